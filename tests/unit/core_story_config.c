#include "core_story_priv.h"

/* Configuration: these lines stand at the beginning, or before a `reload` */

/* movable, or no-movable */
static bool set_model_flag(struct core_model_policy *m, const char *word)
{
    bool on = strncmp(word, "no-", 3) != 0;
    word += on ? 0 : 3;
    bool *flag = strcmp(word, "movable") == 0    ? &m->movable
                 : strcmp(word, "yields") == 0   ? &m->yields
                 : strcmp(word, "suspends") == 0 ? &m->suspends
                 : strcmp(word, "pinned") == 0   ? &m->pinned
                                                 : NULL;
    if (flag)
        *flag = on;
    return flag != NULL;
}

static bool set_model_number(const struct story *s, struct core_model_policy *m, const char *word)
{
    const char *v;
    if ((v = story_value_of(word, "retries")))
        m->load_retries_max = story_parse_count(v);
    else if ((v = story_value_of(word, "cost")))
        m->evict_cost = story_parse_count(v);
    else if ((v = story_value_of(word, "backend")))
        m->backend = story_parse_count(v);
    else if ((v = story_value_of(word, "residue")))
        m->suspended_bytes = story_parse_bytes(s, v);
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
    bool about = story_value_of(word, "device") || story_value_of(word, "bytes") ||
                 story_value_of(word, "devices");
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
    if ((v = story_value_of(word, "slots")))
        m->slots_max = story_parse_count(v);
    else if ((v = story_value_of(word, "queue")))
        m->queue_max = story_parse_count(v);
    else if ((v = story_value_of(word, "priority")))
        m->priority = (int32_t)strtol(v, NULL, 10);
    else if ((v = story_value_of(word, "group")))
        m->group = story_need_name(s, KIND_GROUP, v);
    else if ((v = story_value_of(word, "device")))
        place->device_mask |= 1U << story_need_name(s, KIND_DEVICE, v);
    else if ((v = story_value_of(word, "devices")))
        place->device_count = story_parse_count(v);
    else if ((v = story_value_of(word, "bytes")))
        place->bytes = story_parse_bytes(s, v);
    else if ((v = story_value_of(word, "free")))
        place->free_bytes_min = story_parse_bytes(s, v);
    else if (set_model_flag(m, word) || set_model_number(s, m, word))
        return;
    else if ((v = story_value_of(word, "ttl")))
        m->ttl_ns = story_parse_ns(s, v);
    else if ((v = story_value_of(word, "load")))
        m->load_ns_max = story_parse_ns(s, v);
    else if ((v = story_value_of(word, "unload")))
        m->unload_ns_max = story_parse_ns(s, v);
    else if ((v = story_value_of(word, "process")))
        m->hash_process = strtoull(v, NULL, 10);
    else if (strcmp(word, "removed") == 0)
        m->present = false;
    else
        story_broken(s, "unknown key of a model: %s", word);
}

static void config_model(struct story *s, char **words, uint32_t count)
{
    struct core_model_policy *m = &s->models[story_add_name(s, KIND_MODEL, words[1], MODELS_MAX)];
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
    struct core_group_policy *g = &s->groups[story_add_name(s, KIND_GROUP, words[1], GROUPS_MAX)];
    *g = (struct core_group_policy){0};
    for (uint32_t i = 2; i < count; i++) {
        if (strcmp(words[i], "swap") == 0)
            g->swap = true;
        else if (strcmp(words[i], "exclusive") == 0)
            g->exclusive = true;
        else if (strcmp(words[i], "persistent") == 0)
            g->persistent = true;
        else
            story_broken(s, "unknown key of a group: %s", words[i]);
    }
}

static void config_device(struct story *s, char **words, uint32_t count)
{
    uint32_t d = story_add_name(s, KIND_DEVICE, words[1], CORE_DEVICES_MAX);
    const char *v;
    s->devices[d] = (struct core_device_policy){.limit_permille = 1000};
    for (uint32_t i = 2; i < count; i++) {
        if ((v = story_value_of(words[i], "reserve")))
            s->devices[d].reserve_bytes = story_parse_bytes(s, v);
        else if ((v = story_value_of(words[i], "limit")))
            s->devices[d].limit_permille = story_parse_count(v);
        else if ((v = story_value_of(words[i], "stale")))
            s->devices[d].stale_ns = story_parse_ns(s, v);
        else
            s->device_bytes[d] = story_parse_bytes(s, words[i]);
    }
}

static void config_gate(struct story *s, char **words, uint32_t count)
{
    uint32_t g = story_add_name(s, KIND_GATE, words[1], GATES_MAX);
    const char *v;
    s->gates[g] = (struct core_gate_policy){.limit = 1};
    for (uint32_t i = 2; i < count; i++) {
        if ((v = story_value_of(words[i], "limit")))
            s->gates[g].limit = story_parse_count(v);
        else if ((v = story_value_of(words[i], "wait")))
            for (int class = 0; class < CLASS__COUNT; class ++)
                s->gates[g].wait_ns_max[class] = story_parse_ns(s, v);
        else if ((v = story_value_of(words[i], "bg")))
            s->gates[g].wait_ns_max[CLASS_BACKGROUND] = story_parse_ns(s, v);
        else
            story_broken(s, "unknown key of a gate: %s", words[i]);
    }
}

/* fair fg=TIME normal=TIME bg=TIME resident=TIME serve=TIME */
static void config_fair(struct story *s, char **words, uint32_t count)
{
    const char *v;
    for (uint32_t i = 1; i < count; i++) {
        if ((v = story_value_of(words[i], "fg")))
            s->config.fair.wait_ns_max[CLASS_FOREGROUND] = story_parse_ns(s, v);
        else if ((v = story_value_of(words[i], "normal")))
            s->config.fair.wait_ns_max[CLASS_NORMAL] = story_parse_ns(s, v);
        else if ((v = story_value_of(words[i], "bg")))
            s->config.fair.wait_ns_max[CLASS_BACKGROUND] = story_parse_ns(s, v);
        else if ((v = story_value_of(words[i], "resident")))
            s->config.fair.min_resident_ns = story_parse_ns(s, v);
        else if ((v = story_value_of(words[i], "serve")))
            s->config.fair.serve_ns_max = story_parse_ns(s, v);
        else
            story_broken(s, "unknown key of fair: %s", words[i]);
    }
}

/* set MODEL…: one more set of the matrix; set none: no sets any more */
static void config_set(struct story *s, char **words, uint32_t count)
{
    struct core_matrix_policy *m = &s->config.matrix;
    uint32_t end = m->set_count ? s->set_ends[m->set_count - 1] : 0;
    if (strcmp(words[1], "none") == 0) {
        m->set_count = 0;
        return;
    }
    if (m->set_count >= MODELS_MAX || end + count > MODELS_MAX * MODELS_MAX)
        story_broken(s, "too many sets");
    for (uint32_t i = 1; i < count; i++)
        s->set_members[end++] = story_need_name(s, KIND_MODEL, words[i]);
    s->set_ends[m->set_count++] = end;
    m->members = s->set_members;
    m->ends = s->set_ends;
}

static void config_suspended(struct story *s, char **words, uint32_t count)
{
    (void)count;
    s->config.suspend_bytes_max = story_parse_bytes(s, words[1]);
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
        story_broken(s, "unknown scheduler: %s", words[1]);
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
        story_broken(s, "unknown planner: %s", words[1]);
}

static void config_waiters(struct story *s, char **words, uint32_t count)
{
    (void)count;
    s->limits.waiters_max = story_parse_count(words[1]);
}

/* auto load=TIME unload=TIME serve=TIME sample=TIME */
static void config_auto(struct story *s, char **words, uint32_t count)
{
    static const char *const keys[AUTO_TIME__COUNT] = {[AUTO_TIME_LOAD] = "load",
                                                       [AUTO_TIME_UNLOAD] = "unload",
                                                       [AUTO_TIME_SERVE] = "serve",
                                                       [AUTO_TIME_SAMPLE] = "sample"};
    s->auto_on = true;
    for (uint32_t i = 1; i < count; i++) {
        const char *v = NULL;
        for (int k = 0; k < AUTO_TIME__COUNT && !v; k++)
            if ((v = story_value_of(words[i], keys[k])))
                s->auto_ns[k] = story_parse_ns(s, v);
        if (!v)
            story_broken(s, "unknown key of auto: %s", words[i]);
    }
}

/* boot later: an event of the story says when */
static void config_boot(struct story *s, char **words, uint32_t count)
{
    (void)count;
    if (strcmp(words[1], "later") != 0)
        story_broken(s, "boot later");
    s->boot_later = true;
}

const struct story_verb story_config_verbs[] = {
    {"model", config_model},
    {"group", config_group},
    {"device", config_device},
    {"gate", config_gate},
    {"scheduler", config_scheduler},
    {"planner", config_planner},
    {"waiters", config_waiters},
    {"boot", config_boot},
    {"expect", story_expect},
    {"fair", config_fair},
    {"set", config_set},
    {"suspended", config_suspended},
    {"tell", config_tell},
    {"auto", config_auto},
    {NULL, NULL},
};
