/* GET /wharf/queue: who waits for what, since when, and for how long still. */
#include <stdlib.h>

#include "api/json.h"
#include "api/query.h"
#include "base/alloc.h"
#include "base/pure/units.h"

#define LISTED_DEFAULT 1000
/* To look for a plan may take a while: of models further back less is told. */
#define PLANS_MAX 8

/* How many requests of each class wait for one model; then, how many of them were listed. */
struct line {
    uint32_t waiting[CLASS__COUNT], listed[CLASS__COUNT];
    uint32_t estimate_s;
    char *wait; /* owned; JSON: what the first of them waits for; NULL: not looked for yet */
};

/* One that waits. */
struct place {
    const struct lease *lease; /* NULL: a request */
    struct core_waiting request;
    uint32_t position; /* in its model's or its own queue */
    /* By which they are told apart: who is overdue, by deadline alone; else as below. */
    bool overdue;
    enum class class;
    int32_t priority;
    uint64_t deadline_ns, since_ns;
};

struct listing {
    struct server *server;
    struct line *lines; /* by slot */
    struct place *places;
    uint32_t place_count;
    bool one_queue; /* under serial: by arrival alone, whatever the model and class */
    uint32_t requests, plans;
};

/* ---- what it is for ---- */

static void put_leavers(const struct server *s, const struct core_plan_view *p, struct buf *out)
{
    const char *sep = ": these have to leave: ";
    for (uint32_t i = 0; i < p->victim_count && i < CORE_PLAN_VICTIMS_MAX; i++) {
        const struct core_plan_victim *v = &p->victims[i];
        const struct lease *l = leases_by_core(s, v->lease);
        if (v->model == CORE_SLOT_NONE && !l)
            continue;
        buf_text(out, sep);
        if (v->model != CORE_SLOT_NONE)
            buf_text(out, roster_id(&s->roster, v->model));
        else
            buf_printf(out, "lease %s", *leases_name(l) ? leases_name(l) : leases_id(l));
        if (v->busy)
            buf_text(out, ", when it has finished its work");
        sep = ", ";
    }
}

/* Those that serve now: they are put out only once they have done so for a while, or somebody is
 * overdue. */
static void put_busy(const struct server *s, struct buf *out)
{
    const char *sep = ": these are busy: ";
    for (uint32_t i = 0; i < s->roster.count; i++) {
        struct core_model_view v;
        if (!s->roster.entries[i].id)
            continue;
        core_view_model(s->runner.core, i, &v);
        if (v.state != MODEL_LOADED || !v.running || !v.devices)
            continue;
        buf_printf(out, "%s%s", sep, roster_id(&s->roster, i));
        sep = ", ";
    }
}

static void put_room(struct server *s, uint32_t slot, enum class class,
                     const struct core_model_view *v, struct buf *out)
{
    struct core_plan_view plan;
    char size[UNITS_TEXT_MAX];
    core_plan_model(s->runner.core, slot, class, &plan);
    uint64_t bytes = plan.bytes         ? plan.bytes
                     : v->learned_bytes ? v->learned_bytes
                                        : v->declared_bytes;
    if (bytes)
        buf_printf(out, "%s of device memory", units_format_bytes(bytes, size));
    else
        buf_text(out, "its model to come in");
    put_leavers(s, &plan, out);
    if (plan.verdict == VERDICT_WAIT && !plan.victim_count)
        put_busy(s, out);
    else if (plan.verdict != VERDICT_GO && plan.why != REASON_NONE)
        buf_printf(out, ": %s", reason_text(plan.why));
}

void api_put_model_wait(struct server *s, uint32_t slot, enum class class, struct buf *b)
{
    struct buf text = {0};
    struct core_model_view v;
    const char *down = degraded_backend_of(s, slot);
    core_view_model(s->runner.core, slot, &v);
    if (down)
        buf_text(&text, down);
    else if (v.state == MODEL_LOADED)
        buf_printf(&text, "its turn: %u requests are being served", v.running);
    else if (v.state == MODEL_UNLOADED || v.state == MODEL_SUSPENDED || v.state == MODEL_ERROR)
        put_room(s, slot, class, &v, &text);
    else
        buf_printf(&text, "its model, which is %s", model_state_text(v.state));
    api_put_text(b, text.data);
    buf_fini(&text);
}

/* ---- who waits ---- */

static void count_waiting(struct listing *l)
{
    const struct core *c = l->server->runner.core;
    struct id cursor = {0};
    struct core_waiting w;
    while (core_view_next_waiting(c, &cursor, &w)) {
        struct line *line = &l->lines[w.model];
        bool first = true;
        for (size_t class = 0; class < CLASS__COUNT; class ++)
            first &= line->waiting[class] == 0;
        if (first)
            line->estimate_s = core_estimate_s(c, w.model);
        line->waiting[w.class]++;
    }
}

/* The place that core_view_waiter would say, without counting anew for each. */
static uint32_t position_of(struct listing *l, const struct core_waiting *w)
{
    struct line *line = &l->lines[w->model];
    uint32_t place = ++line->listed[w->class];
    if (l->one_queue)
        return l->requests;
    for (int class = 0; class < (int)w->class; class ++)
        place += line->waiting[class];
    return place;
}

static void gather_requests(struct listing *l, uint64_t max)
{
    struct id cursor = {0};
    struct core_waiting w;
    uint64_t now = uv_hrtime();
    while (l->requests < max && core_view_next_waiting(l->server->runner.core, &cursor, &w)) {
        const struct config_model *m = roster_model(&l->server->roster, w.model);
        l->requests++;
        l->places[l->place_count++] =
            (struct place){.request = w,
                           .position = position_of(l, &w),
                           .overdue = w.deadline.ns && w.deadline.ns <= now,
                           .class = w.class,
                           .priority = m ? m->priority : 0,
                           .deadline_ns = w.deadline.ns,
                           .since_ns = w.since.ns};
    }
}

static void gather_leases(struct listing *l)
{
    const struct lease *lease = NULL;
    uint64_t now = uv_hrtime();
    while ((lease = leases_next(l->server, lease))) {
        struct lease_view v;
        leases_look(l->server, lease, &v);
        if (!v.position)
            continue;
        l->places[l->place_count++] = (struct place){.lease = lease,
                                                     .position = v.position,
                                                     .overdue = v.overdue_ns && v.overdue_ns <= now,
                                                     .class = v.ask->class,
                                                     .deadline_ns = v.overdue_ns,
                                                     .since_ns = v.since_ns};
    }
}

static int by_arrival(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->since_ns < y->since_ns ? -1 : x->since_ns > y->since_ns;
}

/* As the core's targets come in (core/want.c), but for what fair makes of many who wait for one
 * model. */
static int by_turn(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->overdue != y->overdue)
        return x->overdue ? -1 : 1;
    if (x->overdue && x->deadline_ns != y->deadline_ns)
        return x->deadline_ns < y->deadline_ns ? -1 : 1;
    if (x->class != y->class)
        return x->class < y->class ? -1 : 1;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return by_arrival(a, b);
}

/* ---- the answer ---- */

static void put_common(const struct place *p, uint32_t estimate_s, struct buf *b)
{
    buf_printf(b, ",\"class\":\"%s\",\"since_s\":", class_text(p->class));
    api_put_age(b, p->since_ns);
    buf_printf(b, ",\"position\":%u", p->position);
    api_put_number(b, "estimate_s", estimate_s || !p->lease, estimate_s);
    buf_text(b, ",\"deadline_s\":");
    api_put_left(b, p->deadline_ns);
    buf_printf(b, ",\"overdue\":%s", p->overdue ? "true" : "false");
}

static void put_request(struct listing *l, const struct place *p, struct buf *b)
{
    buf_text(b, "{\"model\":");
    api_put_model(b, l->server, p->request.model);
    put_common(p, l->lines[p->request.model].estimate_s, b);
}

/* JSON. All that wait for one model wait for the same. */
static const char *wait_of(struct listing *l, const struct place *p)
{
    struct line *line = &l->lines[p->request.model];
    struct buf text = {0};
    if (line->wait)
        return line->wait;
    if (l->plans++ < PLANS_MAX)
        api_put_model_wait(l->server, p->request.model, p->class, &text);
    else
        buf_text(&text, "null");
    line->wait = buf_take(&text);
    return line->wait;
}

static void put_place(struct listing *l, const struct place *p, struct buf *b)
{
    if (p->lease) {
        struct buf text = {0};
        struct lease_view v;
        leases_look(l->server, p->lease, &v);
        leases_put_wait(l->server, p->lease, &text);
        buf_printf(b, "{\"model\":null,\"lease\":\"%s\",\"name\":", v.id);
        api_put_text(b, v.name);
        put_common(p, v.estimate_s, b);
        buf_printf(b, ",\"bytes\":%llu,\"gpus\":%u", (unsigned long long)v.ask->bytes,
                   v.ask->bytes ? v.ask->device_count + !v.ask->device_count : 0);
        api_put_gates(l->server, v.ask, b);
        buf_text(b, ",\"for\":");
        api_put_text(b, text.data);
        buf_fini(&text);
    } else {
        put_request(l, p, b);
        buf_text(b, ",\"lease\":null,\"name\":null,\"bytes\":null,\"gpus\":null,\"gates\":[],"
                    "\"for\":");
        buf_text(b, wait_of(l, p));
    }
    buf_char(b, '}');
}

static void put_queue(struct listing *l, struct buf *b)
{
    qsort(l->places, l->place_count, sizeof(*l->places), l->one_queue ? by_arrival : by_turn);
    buf_text(b, "],\"queue\":[");
    for (uint32_t i = 0; i < l->place_count; i++) {
        buf_text(b, i ? "," : "");
        put_place(l, &l->places[i], b);
    }
}

static void put_leases(struct server *s, struct buf *b)
{
    const struct lease *l = NULL;
    const char *sep = "";
    buf_text(b, "],\"leases\":[");
    while ((l = leases_next(s, l))) {
        buf_text(b, sep);
        api_put_lease(s, l, b);
        sep = ",";
    }
    buf_text(b, "]}\n");
}

static void listing_init(struct listing *l, struct server *s, uint64_t max, uint32_t places_max)
{
    enum config_scheduler scheduler = s->roster.current->config->scheduler;
    *l = (struct listing){.server = s,
                          .lines = alloc_zeroed(s->roster.count, sizeof(*l->lines)),
                          .places = alloc_zeroed(places_max + 1, sizeof(*l->places)),
                          .one_queue = scheduler == CONFIG_SCHED_SERIAL};
    count_waiting(l);
    gather_requests(l, max);
    gather_leases(l);
}

static void listing_fini(struct listing *l)
{
    for (uint32_t i = 0; i < l->server->roster.count; i++)
        free(l->lines[i].wait);
    free(l->lines);
    free(l->places);
}

void api_queue(struct server *s, struct exchange *ex)
{
    struct listing l;
    uint64_t max = api_query_number(ex, "limit", LISTED_DEFAULT);
    struct core_view v;
    struct buf json = {0};
    uint32_t waiting, granted;
    leases_count(s, &waiting, &granted);
    core_view(s->runner.core, &v);
    max = max < v.waiting ? max : v.waiting;
    listing_init(&l, s, max, (uint32_t)max + waiting);
    buf_printf(&json, "{\"waiting\":%u,\"running\":%u,\"leases_waiting\":%u,\"leases_granted\":%u,",
               v.waiting, v.running, waiting, granted);
    buf_text(&json, "\"requests\":[");
    for (uint32_t i = 0; i < l.requests; i++) {
        buf_text(&json, i ? "," : "");
        put_request(&l, &l.places[i], &json);
        buf_char(&json, '}');
    }
    put_queue(&l, &json);
    put_leases(s, &json);
    listing_fini(&l);
    api_send_json(ex, 200, &json);
}
