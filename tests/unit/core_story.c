#include "core_story.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"

#define NAME_MAX_LEN 32
#define MODELS_MAX 16
#define GROUPS_MAX 8
#define GATES_MAX 4
#define TAGS_MAX 128
#define WORDS_MAX 24
#define GRANTS_MAX 256
/* A deadline that a TICK does not remove would have the runner tick for ever. */
#define TICKS_MAX 1000

enum kind { KIND_MODEL, KIND_GROUP, KIND_DEVICE, KIND_GATE, KIND__COUNT };

struct story {
    const char *name;
    unsigned line;
    FILE *out;
    bool failed, booted;
    bool boot_later; /* the story says when */
    bool tell_learned;
    void *mem;
    struct core *core;
    uint64_t now_ns;
    uint32_t stale;
    /* What the next CONFIG brings. */
    struct core_limits limits;
    struct core_config config;
    struct core_model_policy models[MODELS_MAX];
    struct core_group_policy groups[GROUPS_MAX];
    struct core_device_policy devices[CORE_DEVICES_MAX];
    struct core_gate_policy gates[GATES_MAX];
    uint32_t set_members[MODELS_MAX * MODELS_MAX], set_ends[MODELS_MAX];
    uint64_t device_bytes[CORE_DEVICES_MAX];
    char names[KIND__COUNT][MODELS_MAX][NAME_MAX_LEN];
    uint32_t counts[KIND__COUNT];
    /* What the effects said; the last entry of per-model counts stands for unknown models. */
    struct id waiters[TAGS_MAX];
    bool tag_lease[TAGS_MAX]; /* the id is a lease's */
    uint64_t ops[MODELS_MAX];
    unsigned loads[MODELS_MAX + 1], served[MODELS_MAX + 1], refused[MODELS_MAX + 1];
    uint32_t starts[GRANTS_MAX], start_count;
    uint64_t grants[GRANTS_MAX];
    uint32_t grant_count;
    bool victim[MODELS_MAX][MODELS_MAX], victims_closed[MODELS_MAX];
};

_Noreturn __attribute__((format(printf, 2, 3))) static void broken(const struct story *s,
                                                                   const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s:%u: ", s->name, s->line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

/* Words and names */

static uint32_t find_name(const struct story *s, enum kind kind, const char *name)
{
    for (uint32_t i = 0; i < s->counts[kind]; i++)
        if (strcmp(s->names[kind][i], name) == 0)
            return i;
    return CORE_SLOT_NONE;
}

static uint32_t add_name(struct story *s, enum kind kind, const char *name, uint32_t max)
{
    uint32_t i = find_name(s, kind, name);
    if (i != CORE_SLOT_NONE)
        return i;
    if (s->counts[kind] >= max || strlen(name) >= NAME_MAX_LEN)
        broken(s, "too many names, or too long: %s", name);
    i = s->counts[kind]++;
    memcpy(s->names[kind][i], name, strlen(name) + 1);
    return i;
}

static uint32_t need_name(const struct story *s, enum kind kind, const char *name)
{
    uint32_t i = name ? find_name(s, kind, name) : CORE_SLOT_NONE;
    if (i == CORE_SLOT_NONE)
        broken(s, "unknown name: %s", name ? name : "(none)");
    return i;
}

static uint64_t parse_tag(const struct story *s, const char *word, char mark)
{
    if (!word || word[0] != mark)
        broken(s, "a tag such as %c1 is missing", mark);
    uint64_t tag = strtoull(word + 1, NULL, 10);
    if (tag == 0 || tag >= TAGS_MAX)
        broken(s, "a tag out of range: %s", word);
    return tag;
}

static uint64_t parse_bytes(const struct story *s, const char *word)
{
    uint64_t bytes = 0;
    if (!word || !units_parse_bytes(word, &bytes))
        broken(s, "not a size: %s", word ? word : "(none)");
    return bytes;
}

static uint64_t parse_ns(const struct story *s, const char *word)
{
    uint64_t ns = 0;
    if (!word || !units_parse_duration(word, NS_PER_S, &ns))
        broken(s, "not a time: %s", word ? word : "(none)");
    return ns;
}

static uint32_t parse_count(const char *word)
{
    return (uint32_t)strtoul(word, NULL, 10);
}

/* The part of "key=value" behind the sign, or NULL when the word has another key. */
static const char *value_of(const char *word, const char *key)
{
    size_t n = strlen(key);
    return strncmp(word, key, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

static uint32_t slot_or_last(const struct story *s, uint32_t model)
{
    return model < s->counts[KIND_MODEL] ? model : MODELS_MAX;
}

/* Output */

static const char *name_of(const struct story *s, enum kind kind, uint32_t i)
{
    return i < s->counts[kind] ? s->names[kind][i] : "unknown";
}

/* Of a lease that was granted. */
static uint64_t tag_of(const struct story *s, struct id id)
{
    for (uint64_t tag = 1; tag < TAGS_MAX; tag++)
        if (s->tag_lease[tag] && id_equal(s->waiters[tag], id))
            return tag;
    return 0;
}

static void print_devices(struct story *s, const struct effect *e)
{
    const char *sign = " on ";
    if (!e->devices && e->device != CORE_SLOT_NONE)
        fprintf(s->out, " on %s", name_of(s, KIND_DEVICE, e->device));
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        if (!(e->devices & (1U << d)))
            continue;
        fprintf(s->out, "%s%s", sign, name_of(s, KIND_DEVICE, d));
        sign = "+";
    }
}

static void print_effect(struct story *s, const struct effect *e, const char *prefix)
{
    char text[UNITS_TEXT_MAX];
    FILE *o = s->out;
    fprintf(o, "    %s%s", prefix,
            e->type == EFFECT_NOTICE  ? notice_text(e->notice)
            : e->type == EFFECT_TRACE ? trace_text(e->trace)
                                      : effect_type_text(e->type));
    if (e->tag)
        fprintf(o, " %c%" PRIu64, e->type == EFFECT_COMMAND_DONE ? '!' : '#', e->tag);
    if (e->gate != CORE_SLOT_NONE)
        fprintf(o, " %s", name_of(s, KIND_GATE, e->gate));
    if (e->model != CORE_SLOT_NONE)
        fprintf(o, " %s", name_of(s, KIND_MODEL, e->model));
    if (e->other != CORE_SLOT_NONE)
        fprintf(o, " %s %s", e->notice == NOTICE_BLOCKED ? "by" : "for",
                name_of(s, KIND_MODEL, e->other));
    else if (!e->tag && !id_none(e->waiter))
        fprintf(o, " for #%" PRIu64, tag_of(s, e->waiter));
    print_devices(s, e);
    if (e->placement != CORE_SLOT_NONE && e->placement > 0)
        fprintf(o, " as %u", e->placement);
    if (e->backend)
        fprintf(o, " backend %u", e->backend);
    if (e->bytes)
        fprintf(o, ", %s", units_format_bytes(e->bytes, text));
    if (e->position)
        fprintf(o, ", place %u", e->position);
    if (e->duration_ns)
        fprintf(o, ", after %s", units_format_duration(e->duration_ns, text));
    if (e->retry_after_s)
        fprintf(o, ", about %us", e->retry_after_s);
    if (e->reason != REASON_NONE)
        fprintf(o, ": %s", reason_text(e->reason));
    fputc('\n', o);
}

static void note_load(struct story *s, uint32_t model)
{
    s->loads[model]++;
    s->starts[s->start_count++ % GRANTS_MAX] = model;
    if (s->victims_closed[model])
        memset(s->victim[model], 0, sizeof(s->victim[model]));
    s->victims_closed[model] = true;
}

static void note_victim(struct story *s, uint32_t victim, uint32_t target)
{
    if (s->victims_closed[target])
        memset(s->victim[target], 0, sizeof(s->victim[target]));
    s->victims_closed[target] = false;
    s->victim[target][victim] = true;
}

/* Keeps what later lines of the story refer to. */
static void note_effect(struct story *s, const struct effect *e)
{
    if (e->tag && !id_none(e->waiter))
        s->waiters[e->tag] = e->waiter;
    if (e->type == EFFECT_LOAD || e->type == EFFECT_UNLOAD || e->type == EFFECT_MOVE ||
        e->type == EFFECT_SUSPEND || e->type == EFFECT_RESUME)
        s->ops[e->model] = e->op;
    if (e->type == EFFECT_LOAD)
        note_load(s, e->model);
    if (e->type == EFFECT_DECISION && e->other != CORE_SLOT_NONE)
        note_victim(s, e->model, e->other);
    if (e->type == EFFECT_GRANT)
        s->served[slot_or_last(s, e->model)]++;
    if (e->type == EFFECT_GRANT || e->type == EFFECT_LEASE_GRANT)
        s->grants[s->grant_count++ % GRANTS_MAX] = e->tag;
    if (e->type == EFFECT_REFUSE)
        s->refused[slot_or_last(s, e->model)]++;
}

static void step_once(struct story *s, const struct event *ev, const char *prefix, bool *ret_more)
{
    struct effects fx = core_step(s->core, ev);
    struct core_view view;
    for (uint32_t i = 0; i < fx.count; i++) {
        if (fx.items[i].type != EFFECT_LEARNED || s->tell_learned)
            print_effect(s, &fx.items[i], prefix);
        note_effect(s, &fx.items[i]);
    }
    *ret_more = fx.more;
    core_view(s->core, &view);
    if (view.stale_ids != s->stale)
        fprintf(s->out, "    %s(stale)\n", prefix);
    s->stale = view.stale_ids;
    core_check(s->core);
}

static void step(struct story *s, struct event *ev, const char *prefix)
{
    bool more;
    ev->now.ns = s->now_ns;
    step_once(s, ev, prefix, &more);
    for (unsigned i = 0; more; i++) {
        if (i == TICKS_MAX)
            broken(s, "`more` without end");
        fprintf(s->out, "    %s(more)\n", prefix);
        step_once(s, &(struct event){.type = EVENT_TICK, .now.ns = s->now_ns}, prefix, &more);
    }
}

/* Time goes on: each deadline on the way gets its TICK, and what it brings is shown below the
 * event before, with its time. */
static void pass_time(struct story *s, uint64_t to_ns)
{
    struct mono at;
    char text[UNITS_TEXT_MAX], prefix[UNITS_TEXT_MAX + 8];
    if (to_ns < s->now_ns)
        broken(s, "time goes back");
    for (unsigned i = 0; core_deadline(s->core, &at) && at.ns <= to_ns; i++) {
        if (i == TICKS_MAX)
            broken(s, "a deadline that is never met");
        s->now_ns = at.ns > s->now_ns ? at.ns : s->now_ns;
        snprintf(prefix, sizeof(prefix), "at %s ", units_format_duration(s->now_ns, text));
        step(s, &(struct event){.type = EVENT_TICK}, prefix);
    }
    s->now_ns = to_ns;
}

/* Configuration: these lines stand at the beginning, or before a `reload` */

static bool set_model_flag(struct core_model_policy *m, const char *word)
{
    bool *flag = strcmp(word, "movable") == 0    ? &m->movable
                 : strcmp(word, "yields") == 0   ? &m->yields
                 : strcmp(word, "suspends") == 0 ? &m->suspends
                 : strcmp(word, "pinned") == 0   ? &m->pinned
                                                 : NULL;
    if (flag)
        *flag = true;
    return flag != NULL;
}

static bool set_model_number(const struct story *s, struct core_model_policy *m, const char *word)
{
    const char *v;
    if ((v = value_of(word, "retries")))
        m->load_retries_max = parse_count(v);
    else if ((v = value_of(word, "cost")))
        m->evict_cost = parse_count(v);
    else if ((v = value_of(word, "backend")))
        m->backend = parse_count(v);
    else if ((v = value_of(word, "residue")))
        m->suspended_bytes = parse_bytes(s, v);
    else
        return false;
    return true;
}

/* The placement that keys are about: the last one begun by a word `or`. */
static struct core_placement *placement(struct story *s, struct core_model_policy *m,
                                        const char *word)
{
    if (strcmp(word, "or") == 0 && m->placement_count < CORE_PLACEMENTS_MAX)
        m->placement_count++;
    bool about = value_of(word, "device") || value_of(word, "bytes") || value_of(word, "devices");
    if (m->placement_count == 0 && about)
        m->placement_count = 1;
    (void)s;
    return &m->placements[m->placement_count ? m->placement_count - 1 : 0];
}

static void set_model_key(struct story *s, struct core_model_policy *m, const char *word)
{
    const char *v;
    struct core_placement *place = placement(s, m, word);
    if (strcmp(word, "or") == 0)
        return;
    if ((v = value_of(word, "slots")))
        m->slots_max = parse_count(v);
    else if ((v = value_of(word, "queue")))
        m->queue_max = parse_count(v);
    else if ((v = value_of(word, "priority")))
        m->priority = (int32_t)strtol(v, NULL, 10);
    else if ((v = value_of(word, "group")))
        m->group = need_name(s, KIND_GROUP, v);
    else if ((v = value_of(word, "device")))
        place->device_mask |= 1U << need_name(s, KIND_DEVICE, v);
    else if ((v = value_of(word, "devices")))
        place->device_count = parse_count(v);
    else if ((v = value_of(word, "bytes")))
        place->bytes = parse_bytes(s, v);
    else if ((v = value_of(word, "free")))
        place->free_bytes_min = parse_bytes(s, v);
    else if (set_model_flag(m, word) || set_model_number(s, m, word))
        return;
    else if ((v = value_of(word, "ttl")))
        m->ttl_ns = parse_ns(s, v);
    else if ((v = value_of(word, "load")))
        m->load_ns_max = parse_ns(s, v);
    else if ((v = value_of(word, "unload")))
        m->unload_ns_max = parse_ns(s, v);
    else if ((v = value_of(word, "process")))
        m->hash_process = strtoull(v, NULL, 10);
    else if (strcmp(word, "removed") == 0)
        m->present = false;
    else
        broken(s, "unknown key of a model: %s", word);
}

static void config_model(struct story *s, char **words, uint32_t count)
{
    struct core_model_policy *m = &s->models[add_name(s, KIND_MODEL, words[1], MODELS_MAX)];
    if (!m->present)
        *m = (struct core_model_policy){.present = true,
                                        .hash_process = 1,
                                        .slots_max = 10,
                                        .queue_max = 100,
                                        .load_ns_max = 60 * NS_PER_S,
                                        .unload_ns_max = 10 * NS_PER_S};
    for (uint32_t i = 2; i < count; i++)
        set_model_key(s, m, words[i]);
}

static void config_group(struct story *s, char **words, uint32_t count)
{
    struct core_group_policy *g = &s->groups[add_name(s, KIND_GROUP, words[1], GROUPS_MAX)];
    *g = (struct core_group_policy){0};
    for (uint32_t i = 2; i < count; i++) {
        if (strcmp(words[i], "swap") == 0)
            g->swap = true;
        else if (strcmp(words[i], "exclusive") == 0)
            g->exclusive = true;
        else if (strcmp(words[i], "persistent") == 0)
            g->persistent = true;
        else
            broken(s, "unknown key of a group: %s", words[i]);
    }
}

static void config_device(struct story *s, char **words, uint32_t count)
{
    uint32_t d = add_name(s, KIND_DEVICE, words[1], CORE_DEVICES_MAX);
    const char *v;
    s->devices[d] = (struct core_device_policy){.limit_permille = 1000};
    for (uint32_t i = 2; i < count; i++) {
        if ((v = value_of(words[i], "reserve")))
            s->devices[d].reserve_bytes = parse_bytes(s, v);
        else if ((v = value_of(words[i], "limit")))
            s->devices[d].limit_permille = parse_count(v);
        else
            s->device_bytes[d] = parse_bytes(s, words[i]);
    }
}

static void config_gate(struct story *s, char **words, uint32_t count)
{
    uint32_t g = add_name(s, KIND_GATE, words[1], GATES_MAX);
    const char *v;
    s->gates[g] = (struct core_gate_policy){.limit = 1};
    for (uint32_t i = 2; i < count; i++) {
        if ((v = value_of(words[i], "limit")))
            s->gates[g].limit = parse_count(v);
        else if ((v = value_of(words[i], "wait")))
            for (int class = 0; class < CLASS__COUNT; class ++)
                s->gates[g].wait_ns_max[class] = parse_ns(s, v);
        else
            broken(s, "unknown key of a gate: %s", words[i]);
    }
}

/* fair fg=TIME normal=TIME bg=TIME resident=TIME */
static void config_fair(struct story *s, char **words, uint32_t count)
{
    const char *v;
    for (uint32_t i = 1; i < count; i++) {
        if ((v = value_of(words[i], "fg")))
            s->config.fair.wait_ns_max[CLASS_FOREGROUND] = parse_ns(s, v);
        else if ((v = value_of(words[i], "normal")))
            s->config.fair.wait_ns_max[CLASS_NORMAL] = parse_ns(s, v);
        else if ((v = value_of(words[i], "bg")))
            s->config.fair.wait_ns_max[CLASS_BACKGROUND] = parse_ns(s, v);
        else if ((v = value_of(words[i], "resident")))
            s->config.fair.min_resident_ns = parse_ns(s, v);
        else
            broken(s, "unknown key of fair: %s", words[i]);
    }
}

/* set MODEL…: one set of the matrix */
static void config_set(struct story *s, char **words, uint32_t count)
{
    struct core_matrix_policy *m = &s->config.matrix;
    uint32_t end = m->set_count ? s->set_ends[m->set_count - 1] : 0;
    if (m->set_count >= MODELS_MAX || end + count > MODELS_MAX * MODELS_MAX)
        broken(s, "too many sets");
    for (uint32_t i = 1; i < count; i++)
        s->set_members[end++] = need_name(s, KIND_MODEL, words[i]);
    s->set_ends[m->set_count++] = end;
    m->members = s->set_members;
    m->ends = s->set_ends;
}

static void config_suspended(struct story *s, char **words, uint32_t count)
{
    (void)count;
    s->config.suspend_bytes_max = parse_bytes(s, words[1]);
}

static void config_tell(struct story *s, char **words, uint32_t count)
{
    (void)words, (void)count;
    s->tell_learned = true;
}

static void config_scheduler(struct story *s, char **words, uint32_t count)
{
    (void)count;
    if (strcmp(words[1], "fifo") == 0)
        s->config.sched = SCHEDULER_FIFO;
    else if (strcmp(words[1], "serial") == 0)
        s->config.sched = SCHEDULER_SERIAL;
    else if (strcmp(words[1], "fair") == 0)
        s->config.sched = SCHEDULER_FAIR;
    else
        broken(s, "unknown scheduler: %s", words[1]);
}

static void config_planner(struct story *s, char **words, uint32_t count)
{
    s->config.victims = count > 2 && strcmp(words[2], "lru") == 0 ? VICTIMS_LRU : VICTIMS_COST;
    if (strcmp(words[1], "group") == 0)
        s->config.plan = PLAN_GROUP;
    else if (strcmp(words[1], "fit") == 0)
        s->config.plan = PLAN_FIT;
    else if (strcmp(words[1], "matrix") == 0)
        s->config.plan = PLAN_MATRIX;
    else
        broken(s, "unknown planner: %s", words[1]);
}

static void config_waiters(struct story *s, char **words, uint32_t count)
{
    (void)count;
    s->limits.waiters_max = parse_count(words[1]);
}

static void send_config(struct story *s)
{
    s->config.models = s->models;
    s->config.model_count = s->counts[KIND_MODEL];
    s->config.groups = s->groups;
    s->config.group_count = s->counts[KIND_GROUP];
    s->config.devices = s->devices;
    s->config.device_count = s->counts[KIND_DEVICE];
    s->config.gates = s->gates;
    s->config.gate_count = s->counts[KIND_GATE];
    step(s, &(struct event){.type = EVENT_CONFIG, .config = &s->config}, "");
}

static void boot(struct story *s)
{
    s->booted = true;
    s->mem = calloc(1, core_size(&s->limits));
    if (!s->mem)
        exit(2);
    s->core = core_init(s->mem, &s->limits, 1);
    send_config(s);
    for (uint32_t d = 0; d < s->counts[KIND_DEVICE]; d++)
        step(s, &(struct event){.type = EVENT_DEVICE_FOUND, .found = {d, s->device_bytes[d]}}, "");
    if (!s->boot_later)
        step(s, &(struct event){.type = EVENT_BOOT_DONE}, "");
}

/* boot later: an event of the story says when */
static void config_boot(struct story *s, char **words, uint32_t count)
{
    (void)count;
    if (strcmp(words[1], "later") != 0)
        broken(s, "boot later");
    s->boot_later = true;
}

/* Events. words[0] is the command itself. */

static bool parse_class(const char *word, enum class *ret)
{
    static const char *const texts[CLASS__COUNT] = {"fg", "normal", "bg"};
    for (int i = 0; i < CLASS__COUNT; i++) {
        if (strcmp(word, texts[i]) == 0) {
            *ret = (enum class)i;
            return true;
        }
    }
    return false;
}

/* request MODEL #TAG [fg|normal|bg] [wait=TIME] */
static void do_request(struct story *s, char **words, uint32_t count)
{
    if (count < 3)
        broken(s, "request MODEL #TAG");
    struct event ev = {.type = EVENT_REQUEST_ARRIVED,
                       .request = {.tag = parse_tag(s, words[2], '#'),
                                   .model = find_name(s, KIND_MODEL, words[1]),
                                   .class = CLASS_NORMAL,
                                   .wait_ns_max = UINT64_MAX}};
    for (uint32_t i = 3; i < count; i++) {
        const char *v;
        if ((v = value_of(words[i], "wait")))
            ev.request.wait_ns_max = parse_ns(s, v);
        else if ((v = value_of(words[i], "key")))
            ev.request.key = parse_count(v);
        else if ((v = value_of(words[i], "lease")))
            ev.request.lease = s->waiters[parse_tag(s, v, '#')];
        else if (!parse_class(words[i], &ev.request.class))
            broken(s, "not a class: %s", words[i]);
    }
    step(s, &ev, "");
}

static void set_lease_key(struct story *s, struct core_lease_ask *ask, const char *word)
{
    const char *v;
    if ((v = value_of(word, "bytes")))
        ask->bytes = parse_bytes(s, v);
    else if ((v = value_of(word, "device")))
        ask->device_mask |= 1U << need_name(s, KIND_DEVICE, v);
    else if ((v = value_of(word, "devices")))
        ask->device_count = parse_count(v);
    else if ((v = value_of(word, "wait")))
        ask->wait_ns_max = parse_ns(s, v);
    else if ((v = value_of(word, "ttl")))
        ask->ttl_ns = parse_ns(s, v);
    else if ((v = value_of(word, "run")))
        ask->run_ns_max = parse_ns(s, v);
    else if ((v = value_of(word, "grace")))
        ask->grace_ns = parse_ns(s, v);
    else if (strcmp(word, "revocable") == 0)
        ask->revocable = true;
    else if (!parse_class(word, &ask->class))
        ask->gates[ask->gate_count++ % CORE_LEASE_GATES_MAX] = need_name(s, KIND_GATE, word);
}

/* lease|restore [fg|normal|bg] [GATE…] #TAG [key=value…]; background unless it names a class;
 * with bytes and no device: on any. */
static void do_lease(struct story *s, char **words, uint32_t count)
{
    struct core_lease_ask ask = {.class = CLASS_BACKGROUND, .wait_ns_max = UINT64_MAX};
    struct event ev = {.type = EVENT_LEASE_ASKED, .lease = {.ask = &ask}};
    for (uint32_t i = 1; i < count; i++) {
        if (words[i][0] == '#')
            ev.lease.tag = parse_tag(s, words[i], '#');
        else
            set_lease_key(s, &ask, words[i]);
    }
    if (!ev.lease.tag)
        broken(s, "lease [CLASS] [GATE…] #TAG [key=value…]");
    if (!ask.device_mask)
        ask.device_mask = (1U << s->counts[KIND_DEVICE]) - 1;
    if (strcmp(words[0], "restore") == 0) {
        ev.type = EVENT_LEASE_RESTORED;
        ev.lease.devices = ask.bytes ? ask.device_mask : 0;
        ev.lease.grace_ns = ask.grace_ns;
    }
    s->tag_lease[ev.lease.tag] = true;
    step(s, &ev, "");
}

static void do_renew(struct story *s, char **words, uint32_t count)
{
    uint64_t tag = parse_tag(s, count > 1 ? words[1] : NULL, '#');
    step(s, &(struct event){.type = EVENT_LEASE_RENEWED, .lease_id = {s->waiters[tag]}}, "");
}

/* quiet #TAG; loud #TAG */
static void do_quiet(struct story *s, char **words, uint32_t count)
{
    uint64_t tag = parse_tag(s, count > 1 ? words[1] : NULL, '#');
    struct event ev = {.type = EVENT_REQUEST_QUIET,
                       .quiet = {s->waiters[tag], strcmp(words[0], "quiet") == 0}};
    step(s, &ev, "");
}

/* end|gone|cut|bounce #TAG */
static void do_end(struct story *s, char **words, uint32_t count)
{
    uint64_t tag = parse_tag(s, count > 1 ? words[1] : NULL, '#');
    struct event ev = {.type = EVENT_REQUEST_ENDED, .ended = {s->waiters[tag], ENDED_DONE}};
    if (s->tag_lease[tag]) {
        ev = (struct event){.type = EVENT_LEASE_ENDED, .lease_id = {s->waiters[tag]}};
        step(s, &ev, "");
        return;
    }
    if (strcmp(words[0], "gone") == 0)
        ev.ended.how = ENDED_GONE;
    else if (strcmp(words[0], "cut") == 0)
        ev.ended.how = ENDED_CUT;
    else if (strcmp(words[0], "bounce") == 0)
        ev.type = EVENT_REQUEST_BOUNCED;
    step(s, &ev, "");
}

static enum reason parse_reason(const struct story *s, const char *word)
{
    if (strcmp(word, "oom") == 0)
        return REASON_OUT_OF_MEMORY;
    if (strcmp(word, "exited") == 0)
        return REASON_EXITED;
    if (strcmp(word, "aborted") == 0)
        return REASON_ABORTED;
    if (strcmp(word, "error") == 0)
        return REASON_LOAD_FAILED;
    broken(s, "not a reason: %s", word);
}

static bool parse_outcome(const char *word, enum outcome *ret)
{
    static const char *const texts[] = {"done", "at-source", "at-target", "gone"};
    for (size_t i = 0; i < countof(texts); i++) {
        if (strcmp(word, texts[i]) == 0) {
            *ret = (enum outcome)i;
            return true;
        }
    }
    return false;
}

/* loaded|failed|unloaded|exited|broken|moved|suspended|resumed MODEL [REASON|stuck|op=N]: completes
 * the model's last op. */
static void do_model(struct story *s, char **words, uint32_t count)
{
    static const struct {
        const char *word;
        enum event_type type;
    } types[] = {
        {"loaded", EVENT_MODEL_LOADED},       {"failed", EVENT_MODEL_LOAD_FAILED},
        {"unloaded", EVENT_MODEL_UNLOADED},   {"exited", EVENT_MODEL_EXITED},
        {"broken", EVENT_UPSTREAM_BROKEN},    {"moved", EVENT_MODEL_MOVED},
        {"suspended", EVENT_MODEL_SUSPENDED}, {"resumed", EVENT_MODEL_RESUMED},
        {"adopted", EVENT_MODEL_ADOPTED},
    };
    uint32_t model = need_name(s, KIND_MODEL, count > 1 ? words[1] : NULL);
    struct event ev = {.model = {.op = s->ops[model], .model = model}};
    for (size_t i = 0; i < countof(types); i++)
        if (strcmp(types[i].word, words[0]) == 0)
            ev.type = types[i].type;
    for (uint32_t i = 2; i < count; i++) {
        const char *v = value_of(words[i], "op");
        if (v)
            ev.model.op = strtoull(v, NULL, 10);
        else if ((v = value_of(words[i], "residue")))
            ev.model.residue_bytes = parse_bytes(s, v);
        else if ((v = value_of(words[i], "device")))
            ev.model.devices |= 1U << need_name(s, KIND_DEVICE, v);
        else if (strcmp(words[i], "stuck") == 0)
            ev.model.stuck = true;
        else if (!parse_outcome(words[i], &ev.model.outcome))
            ev.model.why = parse_reason(s, words[i]);
    }
    step(s, &ev, "");
}

/* sample DEVICE used=BYTES [taken=TIME] [MODEL=BYTES...] */
static void do_sample(struct story *s, char **words, uint32_t count)
{
    struct sample_use uses[MODELS_MAX];
    struct event ev = {.type = EVENT_DEVICE_SAMPLE,
                       .sample = {.device = need_name(s, KIND_DEVICE, count > 1 ? words[1] : NULL),
                                  .taken.ns = s->now_ns,
                                  .uses = uses}};
    for (uint32_t i = 2; i < count; i++) {
        const char *v;
        if ((v = value_of(words[i], "used"))) {
            ev.sample.used_bytes = parse_bytes(s, v);
        } else if ((v = value_of(words[i], "taken"))) {
            ev.sample.taken.ns = parse_ns(s, v);
        } else if (strcmp(words[i], "blind") == 0) {
            ev.sample.uses_unknown = true;
        } else if (strcmp(words[i], "unknown") == 0) {
            ev.sample.used_unknown = true;
        } else if ((v = strchr(words[i], '=')) && ev.sample.use_count < MODELS_MAX) {
            struct sample_use *use = &uses[ev.sample.use_count++];
            words[i][v - words[i]] = '\0';
            *use = (struct sample_use){.model = CORE_SLOT_NONE, .bytes = parse_bytes(s, v + 1)};
            if (words[i][0] == '#')
                use->lease = s->waiters[parse_tag(s, words[i], '#')];
            else
                use->model = need_name(s, KIND_MODEL, words[i]);
        } else {
            broken(s, "not a reading: %s", words[i]);
        }
    }
    step(s, &ev, "");
}

/* found DEVICE BYTES; lost DEVICE */
static void do_device(struct story *s, char **words, uint32_t count)
{
    struct event ev = {.type = EVENT_DEVICE_LOST,
                       .found.device = need_name(s, KIND_DEVICE, count > 1 ? words[1] : NULL)};
    if (strcmp(words[0], "found") == 0) {
        ev.type = EVENT_DEVICE_FOUND;
        ev.found.total_bytes = parse_bytes(s, count > 2 ? words[2] : NULL);
    }
    step(s, &ev, "");
}

/* command load|unload|unload-now MODEL !TAG */
static void do_command(struct story *s, char **words, uint32_t count)
{
    if (count < 4)
        broken(s, "command load|unload|unload-now MODEL !TAG");
    struct event ev = {.type = EVENT_COMMAND,
                       .command = {.tag = parse_tag(s, words[3], '!'),
                                   .model = find_name(s, KIND_MODEL, words[2]),
                                   .what = COMMAND_LOAD,
                                   .why = REASON_COMMAND}};
    static const char *const texts[] = {[COMMAND_LOAD] = "load",
                                        [COMMAND_UNLOAD] = "unload",
                                        [COMMAND_UNLOAD_NOW] = "unload-now",
                                        [COMMAND_MOVE] = "move",
                                        [COMMAND_SUSPEND] = "suspend",
                                        [COMMAND_PIN] = "pin",
                                        [COMMAND_UNPIN] = "unpin"};
    bool known = false;
    for (size_t i = 0; i < countof(texts); i++) {
        if (strcmp(words[1], texts[i]) == 0) {
            ev.command.what = (enum command)i;
            known = true;
        }
    }
    if (!known)
        broken(s, "not a command: %s", words[1]);
    const char *v = count > 4 ? value_of(words[4], "to") : NULL;
    ev.command.placement = v ? parse_count(v) : 0;
    step(s, &ev, "");
}

/* mode [MODEL=loaded|unloaded|PLACEMENT…] */
static void do_mode(struct story *s, char **words, uint32_t count)
{
    struct core_wish wishes[MODELS_MAX];
    struct event ev = {.type = EVENT_MODE, .mode = {.wishes = wishes}};
    for (uint32_t i = 1; i < count && ev.mode.count < MODELS_MAX; i++) {
        char *v = strchr(words[i], '=');
        if (!v)
            broken(s, "not a wish: %s", words[i]);
        *v++ = '\0';
        struct core_wish *wish = &wishes[ev.mode.count++];
        *wish = (struct core_wish){.model = need_name(s, KIND_MODEL, words[i]),
                                   .what = WISH_LOADED,
                                   .placement = CORE_SLOT_NONE};
        if (strcmp(v, "unloaded") == 0)
            wish->what = WISH_UNLOADED;
        else if (strcmp(v, "loaded") != 0)
            wish->placement = parse_count(v);
    }
    step(s, &ev, "");
}

/* backend down|up N */
static void do_backend(struct story *s, char **words, uint32_t count)
{
    if (count < 3)
        broken(s, "backend down|up N");
    bool down = strcmp(words[1], "down") == 0;
    step(s,
         &(struct event){.type = down ? EVENT_BACKEND_DOWN : EVENT_BACKEND_UP,
                         .backend = {parse_count(words[2])}},
         "");
}

/* learned|footprint MODEL [PLACEMENT] [bytes=BYTES] [load=TIME] */
static void do_learned(struct story *s, char **words, uint32_t count)
{
    struct event ev = {.type = strcmp(words[0], "learned") == 0 ? EVENT_LEARNED : EVENT_FOOTPRINT};
    const char *v;
    ev.learned.model = need_name(s, KIND_MODEL, count > 1 ? words[1] : NULL);
    for (uint32_t i = 2; i < count; i++) {
        if ((v = value_of(words[i], "bytes")))
            ev.learned.bytes = parse_bytes(s, v);
        else if ((v = value_of(words[i], "load")))
            ev.learned.load_ns = parse_ns(s, v);
        else
            ev.learned.placement = parse_count(words[i]);
    }
    step(s, &ev, "");
}

static void show_plan(struct story *s, const struct core_plan_view *v)
{
    static const char *const verdicts[] = {"here", "go", "wait", "blocked", "never"};
    static const char *const actions[] = {"unload", "suspend", "move", "revoke"};
    char text[UNITS_TEXT_MAX];
    fprintf(s->out, "    %s", verdicts[v->verdict]);
    if (v->why != REASON_NONE)
        fprintf(s->out, ": %s", reason_text(v->why));
    for (uint32_t i = 0; i < v->victim_count; i++)
        fprintf(s->out, "; %s %s %s%s", actions[v->victims[i].action],
                name_of(s, KIND_MODEL, v->victims[i].model),
                units_format_bytes(v->victims[i].bytes, text),
                v->victims[i].busy ? " when idle" : "");
    fprintf(s->out, "; %s\n", units_format_duration(v->estimate_ns, text));
}

/* plan MODEL [fg|normal|bg]; plan lease [key=value…]: what would happen */
static void do_plan(struct story *s, char **words, uint32_t count)
{
    struct core_plan_view v;
    enum class class = CLASS_NORMAL;
    if (count > 1 && strcmp(words[1], "lease") == 0) {
        struct core_lease_ask ask = {.class = CLASS_BACKGROUND, .wait_ns_max = UINT64_MAX};
        for (uint32_t i = 2; i < count; i++)
            set_lease_key(s, &ask, words[i]);
        if (!ask.device_mask)
            ask.device_mask = (1U << s->counts[KIND_DEVICE]) - 1;
        core_plan_lease(s->core, &ask, &v);
    } else {
        if (count > 2)
            parse_class(words[2], &class);
        core_plan_model(s->core, need_name(s, KIND_MODEL, count > 1 ? words[1] : NULL), class, &v);
    }
    show_plan(s, &v);
}

static void do_cancel(struct story *s, char **words, uint32_t count)
{
    struct event ev = {.type = EVENT_COMMAND_CANCELLED,
                       .command.tag = parse_tag(s, count > 1 ? words[1] : NULL, '!')};
    step(s, &ev, "");
}

static void do_drain(struct story *s, char **words, uint32_t count)
{
    struct event ev = {.type = EVENT_DRAIN,
                       .drain.grace_ns = parse_ns(s, count > 1 ? words[1] : NULL)};
    step(s, &ev, "");
}

/* tick [gap=TIME] */
static void do_tick(struct story *s, char **words, uint32_t count)
{
    struct event ev = {.type = EVENT_TICK};
    const char *v = count > 1 ? value_of(words[1], "gap") : NULL;
    if (v)
        ev.tick.gap_ns = parse_ns(s, v);
    step(s, &ev, "");
}

static void do_reload(struct story *s, char **words, uint32_t count)
{
    (void)words;
    (void)count;
    send_config(s);
}

static void do_boot(struct story *s, char **words, uint32_t count)
{
    (void)words;
    (void)count;
    step(s, &(struct event){.type = EVENT_BOOT_DONE}, "");
}

static void show_device(struct story *s, uint32_t device)
{
    struct core_device_view v;
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], c[UNITS_TEXT_MAX], d[UNITS_TEXT_MAX];
    core_view_device(s->core, device, &v);
    fprintf(s->out, "    own %s, settling %s, foreign %s, room %s%s\n",
            units_format_bytes(v.own_bytes + v.leased_bytes, a),
            units_format_bytes(v.settling_bytes, b), units_format_bytes(v.foreign_bytes, c),
            units_format_bytes(v.room_bytes, d), v.present ? "" : ", absent");
}

/* show MODEL|DEVICE: what core_view says */
static void do_show(struct story *s, char **words, uint32_t count)
{
    struct core_model_view v;
    char text[UNITS_TEXT_MAX];
    if (count > 1 && find_name(s, KIND_DEVICE, words[1]) != CORE_SLOT_NONE) {
        show_device(s, find_name(s, KIND_DEVICE, words[1]));
        return;
    }
    core_view_model(s->core, need_name(s, KIND_MODEL, count > 1 ? words[1] : NULL), &v);
    fprintf(s->out, "    %s, running %u, waiting %u, %s%s\n", model_state_text(v.state), v.running,
            v.waiting, units_format_bytes(v.charged_bytes, text), v.settling ? " settling" : "");
}

/* Expectations: these hold whatever the rest of the trace looks like */

static void expect_equal(struct story *s, const char *what, uint64_t real, uint64_t wanted)
{
    if (real == wanted)
        return;
    fprintf(stderr, "%s:%u: %s: %" PRIu64 ", expected %" PRIu64 "\n", s->name, s->line, what, real,
            wanted);
    s->failed = true;
}

static void expect_grants(struct story *s, char **words, uint32_t count)
{
    expect_equal(s, "grants", s->grant_count, count);
    for (uint32_t i = 0; i < count && i < s->grant_count; i++)
        expect_equal(s, "the next grant is of tag", s->grants[i], parse_tag(s, words[i], '#'));
}

static void expect_starts(struct story *s, char **words, uint32_t count)
{
    expect_equal(s, "loads in all", s->start_count, count);
    for (uint32_t i = 0; i < count && i < s->start_count; i++)
        if (strcmp(name_of(s, KIND_MODEL, s->starts[i]), words[i]) != 0)
            expect_equal(s, words[i], s->starts[i], need_name(s, KIND_MODEL, words[i]));
}

/* The models that were told to leave for the last (or coming) load of this one. */
static void expect_victims(struct story *s, char **words, uint32_t count)
{
    uint32_t target = need_name(s, KIND_MODEL, words[0]);
    uint32_t victims = 0;
    for (uint32_t i = 0; i < MODELS_MAX; i++)
        victims += s->victim[target][i];
    expect_equal(s, "victims", victims, count - 1);
    for (uint32_t i = 1; i < count; i++)
        expect_equal(s, words[i], s->victim[target][need_name(s, KIND_MODEL, words[i])], 1);
}

static void expect_model_count(struct story *s, const char *what, char **words, uint32_t count)
{
    if (count < 2)
        broken(s, "expect %s MODEL N", what);
    uint32_t m = slot_or_last(s, find_name(s, KIND_MODEL, words[0]));
    uint64_t wanted = strtoull(words[1], NULL, 10);
    if (strcmp(what, "loads") == 0)
        expect_equal(s, what, s->loads[m], wanted);
    else if (strcmp(what, "served") == 0)
        expect_equal(s, what, s->served[m], wanted);
    else if (strcmp(what, "refused") == 0)
        expect_equal(s, what, s->refused[m], wanted);
    else
        broken(s, "nothing to expect: %s", what);
}

static void config_expect(struct story *s, char **words, uint32_t count)
{
    struct core_view v;
    const char *what = words[1];
    if (!s->booted)
        broken(s, "nothing has happened yet");
    core_view(s->core, &v);
    if (strcmp(what, "grants") == 0)
        expect_grants(s, words + 2, count - 2);
    else if (strcmp(what, "starts") == 0)
        expect_starts(s, words + 2, count - 2);
    else if (strcmp(what, "victims") == 0 && count > 2)
        expect_victims(s, words + 2, count - 2);
    else if (strcmp(what, "waiting") == 0 && count > 2)
        expect_equal(s, what, v.waiting, parse_count(words[2]));
    else if (strcmp(what, "stale") == 0 && count > 2)
        expect_equal(s, what, v.stale_ids, parse_count(words[2]));
    else
        expect_model_count(s, what, words + 2, count - 2);
}

/* The language: which word calls what */

struct verb {
    const char *word;
    void (*run)(struct story *s, char **words, uint32_t count);
};

static const struct verb config_verbs[] = {
    {"model", config_model},
    {"group", config_group},
    {"device", config_device},
    {"gate", config_gate},
    {"scheduler", config_scheduler},
    {"planner", config_planner},
    {"waiters", config_waiters},
    {"boot", config_boot},
    {"expect", config_expect},
    {"fair", config_fair},
    {"set", config_set},
    {"suspended", config_suspended},
    {"tell", config_tell},
};

static const struct verb event_verbs[] = {
    {"request", do_request}, {"lease", do_lease},     {"end", do_end},
    {"gone", do_end},        {"cut", do_end},         {"bounce", do_end},
    {"loaded", do_model},    {"failed", do_model},    {"unloaded", do_model},
    {"exited", do_model},    {"broken", do_model},    {"sample", do_sample},
    {"found", do_device},    {"lost", do_device},     {"command", do_command},
    {"cancel", do_cancel},   {"drain", do_drain},     {"tick", do_tick},
    {"reload", do_reload},   {"boot", do_boot},       {"show", do_show},
    {"restore", do_lease},   {"renew", do_renew},     {"quiet", do_quiet},
    {"loud", do_quiet},      {"moved", do_model},     {"suspended", do_model},
    {"resumed", do_model},   {"adopted", do_model},   {"mode", do_mode},
    {"backend", do_backend}, {"learned", do_learned}, {"footprint", do_learned},
    {"plan", do_plan},
};

static void run_verb(struct story *s, const struct verb *verbs, size_t verb_count, char **words,
                     uint32_t count)
{
    for (size_t i = 0; i < verb_count; i++) {
        if (count && strcmp(verbs[i].word, words[0]) == 0) {
            verbs[i].run(s, words, count);
            return;
        }
    }
    broken(s, "unknown word: %s", count ? words[0] : "(none)");
}

static uint32_t split(char *line, char **words)
{
    uint32_t count = 0;
    char *rest = NULL;
    for (char *w = strtok_r(line, " ", &rest); w && count < WORDS_MAX;
         w = strtok_r(NULL, " ", &rest))
        words[count++] = w;
    return count;
}

static void run_line(struct story *s, const char *line)
{
    char copy[512], *words[WORDS_MAX];
    if (strlen(line) >= sizeof(copy))
        broken(s, "the line is too long");
    memcpy(copy, line, strlen(line) + 1);
    bool event = line[0] >= '0' && line[0] <= '9';
    uint32_t count = line[0] == '#' ? 0 : split(copy, words);
    if (event) {
        if (!s->booted)
            boot(s);
        pass_time(s, parse_ns(s, words[0]));
    }
    fprintf(s->out, "%s\n", line);
    if (event)
        run_verb(s, event_verbs, countof(event_verbs), words + 1, count - 1);
    else if (count == 1)
        broken(s, "a word is missing");
    else if (count)
        run_verb(s, config_verbs, countof(config_verbs), words, count);
}

char *story_retell(struct story *s, const char *text)
{
    char *out = NULL;
    size_t out_len = 0;
    s->out = open_memstream(&out, &out_len);
    if (!s->out)
        exit(2);
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = strndup(text, n);
        if (!line)
            exit(2);
        s->line++;
        if (line[0] != ' ')
            run_line(s, line);
        free(line);
        text += n + (text[n] == '\n');
    }
    fclose(s->out);
    return out;
}

struct story *story_new(const char *name)
{
    struct story *s = calloc(1, sizeof(*s));
    if (!s)
        exit(2);
    s->name = name;
    s->limits = (struct core_limits){.models_max = MODELS_MAX,
                                     .groups_max = GROUPS_MAX,
                                     .gates_max = GATES_MAX,
                                     .sets_max = MODELS_MAX,
                                     .set_members_max = MODELS_MAX * MODELS_MAX,
                                     .leases_max = 64,
                                     .waiters_max = 64,
                                     .commands_max = 16};
    /* The group of whoever names none, as llama-swap has it. */
    s->groups[add_name(s, KIND_GROUP, "default", GROUPS_MAX)] =
        (struct core_group_policy){.swap = true, .exclusive = true};
    return s;
}

void story_free(struct story *s)
{
    free(s->mem);
    free(s);
}

bool story_failed(const struct story *s)
{
    return s->failed;
}

void story_report(const struct story *s)
{
    fprintf(stderr, "%s:%u: the core failed a check here\n", s->name, s->line);
}
