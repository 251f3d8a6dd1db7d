#include "simulate/policies.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum sched_kind sched;
} scheds[] = {{"fifo", SCHEDULER_FIFO}, {"fair", SCHEDULER_FAIR}, {"serial", SCHEDULER_SERIAL}};

static const struct {
    const char *name;
    enum plan_kind plan;
    enum victim_kind victims;
} plans[] = {
    {"group", PLAN_GROUP, VICTIMS_COST},
    {"matrix", PLAN_MATRIX, VICTIMS_COST},
    {"fit", PLAN_FIT, VICTIMS_COST},
    {"fit-lru", PLAN_FIT, VICTIMS_LRU},
    {"clairvoyant", PLAN_FIT, VICTIMS_FORESEEN},
};

static bool is_word(const char *word, const char *text, size_t n)
{
    return strlen(word) == n && memcmp(word, text, n) == 0;
}

/* text: n bytes. */
static bool parse_one(const char *text, size_t n, struct sim_policy *ret)
{
    size_t sched = countof(scheds), plan = countof(plans);
    const char *plus = memchr(text, '+', n);
    if (!plus || n >= POLICY_NAME_MAX)
        return false;
    size_t before = (size_t)(plus - text);
    for (size_t i = 0; i < countof(scheds); i++)
        if (is_word(scheds[i].name, text, before))
            sched = i;
    for (size_t i = 0; i < countof(plans); i++)
        if (is_word(plans[i].name, plus + 1, n - before - 1))
            plan = i;
    if (sched == countof(scheds) || plan == countof(plans))
        return false;
    *ret = (struct sim_policy){
        .sched = scheds[sched].sched, .plan = plans[plan].plan, .victims = plans[plan].victims};
    memcpy(ret->name, text, n);
    return true;
}

int policies_parse(const char *text, struct sim_policies *ret, struct err *e)
{
    struct sim_policies found = {.count = 0};
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        if (found.count == POLICIES_MAX)
            return err_set(e, "more than %d policies", POLICIES_MAX);
        if (!parse_one(p, n, &found.items[found.count]))
            return err_set(e,
                           "'%.*s' is no policy: SCHEDULER+PLANNER with fair, fifo or serial, and "
                           "group, matrix, fit, fit-lru or clairvoyant",
                           n > 60 ? 60 : (int)n, p);
        found.count++;
        p += n;
        if (!*p)
            break;
    }
    *ret = found;
    return 0;
}

const char *policies_name(enum sched_kind sched, enum plan_kind plan)
{
    static const char *const names[][3] = {
        [SCHEDULER_FIFO] = {"fifo+group", "fifo+fit", "fifo+matrix"},
        [SCHEDULER_SERIAL] = {"serial+group", "serial+fit", "serial+matrix"},
        [SCHEDULER_FAIR] = {"fair+group", "fair+fit", "fair+matrix"},
    };
    _Static_assert(PLAN_GROUP == 0 && PLAN_FIT == 1 && PLAN_MATRIX == 2, "their places above");
    return names[sched][plan];
}

static void add(struct sim_policies *p, const char *name)
{
    must(p->count < POLICIES_MAX && parse_one(name, strlen(name), &p->items[p->count]));
    p->count++;
}

void policies_default(bool fits, bool matrix, bool foreseen, struct sim_policies *ret)
{
    *ret = (struct sim_policies){.count = 0};
    add(ret, "serial+group");
    add(ret, "fifo+group");
    add(ret, "fair+group");
    if (matrix) {
        add(ret, "fifo+matrix");
        add(ret, "fair+matrix");
    }
    if (!fits)
        return;
    add(ret, "fifo+fit-lru");
    add(ret, "fifo+fit");
    add(ret, "fair+fit-lru");
    add(ret, "fair+fit");
    if (foreseen)
        add(ret, "fair+clairvoyant");
}
