/* What happens by itself in a story with a line `auto`: ops end, requests are served, devices are
 * read and clients ask again, each after a fixed time. */
#include "core_story_priv.h"

static struct story_auto *add(struct story *s, enum story_auto_kind kind, uint64_t after_ns)
{
    for (uint32_t i = 0; i < AUTOS_MAX; i++) {
        struct story_auto *a = &s->autos[i];
        if (a->kind != AUTO_NONE)
            continue;
        *a = (struct story_auto){.kind = kind, .at_ns = s->now_ns + after_ns, .seq = ++s->auto_seq};
        return a;
    }
    story_broken(s, "too much happens by itself");
}

void story_auto_note(struct story *s, const struct effect *e)
{
    struct story_auto *a = NULL;
    if (!s->auto_on)
        return;
    if (e->type == EFFECT_LOAD || e->type == EFFECT_UNLOAD || e->type == EFFECT_MOVE ||
        e->type == EFFECT_SUSPEND || e->type == EFFECT_RESUME || e->type == EFFECT_ABORT) {
        a = add(s, AUTO_OP, s->auto_ns[e->type == EFFECT_LOAD ? AUTO_TIME_LOAD : AUTO_TIME_UNLOAD]);
        a->order = e->type;
        a->model = e->model;
        a->op = e->op;
    } else if (e->type == EFFECT_GRANT) {
        a = add(s, AUTO_END, s->auto_ns[AUTO_TIME_SERVE]);
        a->tag = e->tag;
    } else if (e->type == EFFECT_SAMPLE_NOW) {
        a = add(s, AUTO_SAMPLE, s->auto_ns[AUTO_TIME_SAMPLE]);
        a->device = e->device;
    }
}

static const struct story_auto *find_first(const struct story *s)
{
    const struct story_auto *first = NULL;
    for (uint32_t i = 0; i < AUTOS_MAX; i++) {
        const struct story_auto *a = &s->autos[i];
        if (a->kind != AUTO_NONE && (!first || a->at_ns < first->at_ns ||
                                     (a->at_ns == first->at_ns && a->seq < first->seq)))
            first = a;
    }
    return first;
}

bool story_auto_next(const struct story *s, uint64_t *ret_at_ns)
{
    const struct story_auto *first = find_first(s);
    if (first)
        *ret_at_ns = first->at_ns;
    return first != NULL;
}

static void complete(struct story *s, const struct story_auto *a, const char *at)
{
    static const struct {
        enum event_type type;
        const char *text;
    } ends[EFFECT__COUNT] = {
        [EFFECT_LOAD] = {EVENT_MODEL_LOADED, "loaded"},
        [EFFECT_ABORT] = {EVENT_MODEL_LOAD_FAILED, "failed"},
        [EFFECT_UNLOAD] = {EVENT_MODEL_UNLOADED, "unloaded"},
        [EFFECT_MOVE] = {EVENT_MODEL_MOVED, "moved"},
        [EFFECT_SUSPEND] = {EVENT_MODEL_SUSPENDED, "suspended"},
        [EFFECT_RESUME] = {EVENT_MODEL_RESUMED, "resumed"},
    };
    struct event ev = {.type = ends[a->order].type, .model = {.op = a->op, .model = a->model}};
    if (s->ops[a->model] != a->op)
        return;
    s->ops[a->model] = 0;
    if (a->order == EFFECT_ABORT)
        ev.model.why = REASON_ABORTED;
    fprintf(s->out, "    %s- %s %s\n", at, ends[a->order].text,
            story_name_of(s, KIND_MODEL, a->model));
    story_step(s, &ev, at);
}

/* The client is content, and may ask again. */
static void end(struct story *s, const struct story_auto *a, const char *at)
{
    struct story_agent *agent = &s->agents[a->tag];
    struct event ev = {.type = EVENT_REQUEST_ENDED, .ended = {s->waiters[a->tag], ENDED_DONE}};
    fprintf(s->out, "    %s- end #%" PRIu64 "\n", at, a->tag);
    story_step(s, &ev, at);
    if (agent->again) {
        struct story_auto *next = add(s, AUTO_REQUEST, agent->pause_ns);
        next->tag = a->tag + agent->step;
        next->model = agent->model;
        if (next->tag >= TAGS_MAX)
            story_broken(s, "more requests than tags");
        s->agents[next->tag] = *agent;
        s->agents[next->tag].again--;
    }
}

static void ask(struct story *s, const struct story_auto *a, const char *at)
{
    struct event ev = {.type = EVENT_REQUEST_ARRIVED,
                       .request = {.tag = a->tag,
                                   .model = a->model,
                                   .class = s->agents[a->tag].class,
                                   .wait_ns_max = UINT64_MAX}};
    fprintf(s->out, "    %s- request %s #%" PRIu64 "\n", at, story_name_of(s, KIND_MODEL, a->model),
            a->tag);
    story_step(s, &ev, at);
}

/* The device says just what the core believes to be there, except for what has gone. */
static void sample(struct story *s, const struct story_auto *a, const char *at)
{
    struct sample_use uses[MODELS_MAX];
    struct event ev = {.type = EVENT_DEVICE_SAMPLE,
                       .sample = {.device = a->device, .taken.ns = s->now_ns, .uses = uses}};
    for (uint32_t m = 0; m < s->counts[KIND_MODEL]; m++) {
        struct core_model_view v;
        uint32_t devices = 0;
        core_view_model(s->core, m, &v);
        for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
            devices += v.devices >> d & 1;
        if (!(v.devices >> a->device & 1) || v.settling || v.state == MODEL_LOADING)
            continue;
        uses[ev.sample.use_count++] =
            (struct sample_use){.model = m, .bytes = v.charged_bytes / devices};
        ev.sample.used_bytes += v.charged_bytes / devices;
    }
    story_step(s, &ev, at);
}

void story_auto_run(struct story *s)
{
    char text[UNITS_TEXT_MAX], at[UNITS_TEXT_MAX + 8];
    const struct story_auto *first = find_first(s);
    if (!first)
        return;
    struct story_auto a = *first;
    s->autos[first - s->autos].kind = AUTO_NONE;
    s->now_ns = a.at_ns > s->now_ns ? a.at_ns : s->now_ns;
    snprintf(at, sizeof(at), "at %s ", units_format_duration(s->now_ns, text));
    if (a.kind == AUTO_OP)
        complete(s, &a, at);
    else if (a.kind == AUTO_END)
        end(s, &a, at);
    else if (a.kind == AUTO_REQUEST)
        ask(s, &a, at);
    else
        sample(s, &a, at);
}
