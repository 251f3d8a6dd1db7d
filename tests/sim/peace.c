#include "peace.h"

#define PEACE_NS (6 * 3600 * NS_PER_S)
#define OP_NS (100 * NS_PER_MS) /* each op takes this long */
#define SERVE_NS (50 * NS_PER_MS)
#define SAMPLE_NS (2 * NS_PER_S)
#define UNDECLARED_BYTES (256 * MIB)

static void tell(struct run *r, struct event ev)
{
    struct note n = {.ev = ev};
    run_tell(r, &n);
}

/* Whatever was away is there. */
static void bring_back(struct run *r)
{
    const struct judge *j = r->judge;
    for (uint32_t d = 0; d < j->config.device_count; d++)
        if (!j->found[d] && j->total[d])
            tell(r, (struct event){.type = EVENT_DEVICE_FOUND, .found = {d, j->total[d]}});
    for (uint32_t b = 1; b <= CORE_BACKENDS_MAX; b++) {
        if (!j->backend_down[b])
            continue;
        tell(r, (struct event){.type = EVENT_BACKEND_UP, .backend.backend = b});
        for (uint32_t i = 0; i < j->model_count; i++)
            if (j->models[i].policy.backend == b && !seat_passes(j->models[i].seat) &&
                j->models[i].seat != SEAT_GONE)
                tell(r, (struct event){.type = EVENT_MODEL_EXITED,
                                       .model = {.model = i, .why = REASON_EXITED}});
    }
}

static bool complete(struct run *r, uint32_t i)
{
    static const enum event_type types[] = {
        [SEAT_LOADING] = EVENT_MODEL_LOADED,   [SEAT_UNLOADING] = EVENT_MODEL_UNLOADED,
        [SEAT_MOVING] = EVENT_MODEL_MOVED,     [SEAT_SUSPENDING] = EVENT_MODEL_SUSPENDED,
        [SEAT_RESUMING] = EVENT_MODEL_RESUMED,
    };
    const struct judge_model *m = &r->judge->models[i];
    if (m->seat == SEAT_STUCK) {
        tell(r, (struct event){.type = EVENT_MODEL_EXITED,
                               .model = {.model = i, .why = REASON_EXITED}});
        return true;
    }
    if (!seat_passes(m->seat) || r->now_ns < m->op_since_ns + OP_NS)
        return false;
    struct event ev = {.type = types[m->seat], .model = {.model = i}};
    if (m->seat == SEAT_LOADING && m->escalated) {
        ev.type = EVENT_MODEL_LOAD_FAILED;
        ev.model.why = REASON_ABORTED;
    } else if (m->escalated) {
        ev.model.outcome = OUTCOME_GONE;
    }
    tell(r, ev);
    return true;
}

static bool end_one(struct run *r)
{
    const struct link *n = list_first(&r->judge->granted);
    const struct party *p = n ? list_entry(n, const struct party, granted) : NULL;
    if (!p || r->now_ns < p->granted_ns + SERVE_NS)
        return false;
    struct note end = {.ev.type = p->lease ? EVENT_LEASE_ENDED : EVENT_REQUEST_ENDED,
                       .tag = p->tag};
    run_tell(r, &end);
    return true;
}

/* Everything that is over by now. */
static void finish(struct run *r)
{
    for (uint32_t i = 0; i < r->judge->model_count; i++)
        if (complete(r, i))
            i = UINT32_MAX; /* what follows from it may be about any model */
    while (end_one(r))
        ;
}

static uint64_t bytes_of(const struct judge_model *m, uint32_t device)
{
    bool declared =
        m->at.placement < m->policy.placement_count && m->policy.placements[m->at.placement].bytes;
    uint64_t bytes = 0;
    if (m->seat == SEAT_GONE)
        return 0;
    if (m->at.devices >> device & 1)
        bytes = declared || m->seat == SEAT_ASLEEP ? m->at.bytes : UNDECLARED_BYTES;
    if ((m->seat == SEAT_MOVING || m->seat == SEAT_RESUMING) && (m->to.devices >> device & 1))
        bytes += m->to.bytes;
    return bytes;
}

static void sample(struct run *r, uint32_t device)
{
    struct sample_use uses[JUDGE_MODELS_MAX];
    const struct judge *j = r->judge;
    struct event ev = {.type = EVENT_DEVICE_SAMPLE,
                       .sample = {.device = device, .taken.ns = r->now_ns, .uses = uses}};
    for (uint32_t i = 0; i < j->model_count; i++) {
        uint64_t bytes = bytes_of(&j->models[i], device);
        if (bytes)
            uses[ev.sample.use_count++] = (struct sample_use){.model = i, .bytes = bytes};
        ev.sample.used_bytes += bytes;
    }
    tell(r, ev);
}

static bool quiet(const struct judge *j)
{
    for (uint32_t i = 0; i < JUDGE_COMMANDS_MAX; i++)
        if (j->commands[i].open)
            return false;
    for (uint32_t i = 0; i < j->model_count; i++)
        if (seat_passes(j->models[i].seat) || j->models[i].seat == SEAT_STUCK)
            return false;
    return j->arrivals[0].count == 0 && j->arrivals[1].count == 0 && j->granted.count == 0 &&
           (!j->draining || j->drained);
}

/* The next point at which something ends, is due, or is looked at. */
static void pass(struct run *r, uint64_t *next_sample_ns)
{
    const struct judge *j = r->judge;
    struct mono at;
    uint64_t to = *next_sample_ns;
    for (uint32_t i = 0; i < j->model_count; i++)
        if (seat_passes(j->models[i].seat) && j->models[i].op_since_ns + OP_NS < to)
            to = j->models[i].op_since_ns + OP_NS;
    const struct link *n = list_first(&j->granted);
    const struct party *p = n ? list_entry(n, const struct party, granted) : NULL;
    if (p && p->granted_ns + SERVE_NS < to)
        to = p->granted_ns + SERVE_NS;
    if (core_deadline(r->core, &at) && at.ns < to)
        to = at.ns;
    if (to > r->now_ns)
        r->now_ns = to;
    finish(r);
    run_tick(r);
    if (r->now_ns < *next_sample_ns)
        return;
    *next_sample_ns = r->now_ns + SAMPLE_NS;
    for (uint32_t d = 0; d < j->config.device_count; d++)
        sample(r, d);
}

static void unpin_one(struct run *r, uint32_t model)
{
    for (uint32_t k = 0; k < JUDGE_COMMANDS_MAX; k++) {
        struct event ev = {.type = EVENT_COMMAND,
                           .command = {.tag = UINT64_C(1) << 40 | k,
                                       .model = model,
                                       .what = COMMAND_UNPIN,
                                       .why = REASON_COMMAND}};
        if (!judge_legal(r->judge, &ev))
            continue;
        tell(r, ev);
        return;
    }
}

/* Nothing holds its room for ever. */
static void unpin(struct run *r)
{
    static struct core_model_policy models[JUDGE_MODELS_MAX];
    struct judge *j = r->judge;
    struct core_config config = j->config;
    struct core_gate_policy gates[JUDGE_GATES_MAX];
    for (uint32_t i = 0; i < config.model_count; i++) {
        models[i] = j->models[i].policy;
        models[i].pinned = false;
    }
    for (uint32_t g = 0; g < config.gate_count; g++)
        gates[g] = j->gates[g].policy;
    config.models = models;
    config.groups = j->groups;
    config.devices = j->devices;
    config.gates = gates;
    config.matrix.members = j->members;
    config.matrix.ends = j->ends;
    tell(r, (struct event){.type = EVENT_CONFIG, .config = &config});
    for (uint32_t i = 0; i < config.model_count; i++)
        unpin_one(r, i);
}

void peace_make(struct run *r)
{
    uint64_t next_sample_ns = r->now_ns, end = r->now_ns + PEACE_NS;
    bool unpinned = false;
    bring_back(r);
    while (!quiet(r->judge)) {
        pass(r, &next_sample_ns);
        if (!unpinned && r->now_ns + PEACE_NS / 2 > end) {
            unpinned = true;
            unpin(r);
        }
        if (r->now_ns > end)
            break;
    }
    judge_peace(r->judge);
    run_stop_if_broken(r);
}
