#include "simulate/bound.h"

#include <stdlib.h>

#include "base/alloc.h"

#define NEVER UINT64_MAX
#define NONE UINT32_MAX

void bound_init(struct bound *b, uint32_t model_count)
{
    *b = (struct bound){.models = alloc_zeroed(model_count, sizeof(*b->models)),
                        .model_count = model_count,
                        .first = NONE};
}

void bound_fini(struct bound *b)
{
    for (uint32_t i = 0; i < b->model_count; i++) {
        for (int k = 0; k < CLASS__COUNT; k++)
            free(b->models[i].queues[k].order);
        free(b->models[i].stays);
    }
    for (int k = 0; k < CLASS__COUNT; k++)
        free(b->classes[k].order);
    free(b->models);
    *b = (struct bound){.model_count = 0};
}

static void append(struct bound_queue *q, uint32_t request)
{
    if (q->count == q->order_max) {
        q->order_max = q->order_max ? 2 * q->order_max : 64;
        q->order = alloc_grow(q->order, q->order_max, sizeof(*q->order));
    }
    q->order[q->count++] = request;
}

/* The first that still waits, or NONE. */
static uint32_t first_of(struct bound_queue *q, const struct sim_requests *rs)
{
    while (q->head < q->count && rs->items[q->order[q->head]].state != SIM_WAITING)
        q->head++;
    return q->head < q->count ? q->order[q->head] : NONE;
}

static uint64_t deadline_of(const struct bound *b, const struct sim_request *r)
{
    return b->wait_ns_max[r->class] ? r->at_ns + b->wait_ns_max[r->class] : NEVER;
}

/* How long the slots take for so much work, however it is parted. */
static uint64_t span_of(const struct bound_model *m, uint64_t work_ns)
{
    return work_ns / m->slots + m->longest_ns;
}

static uint64_t work_of(const struct bound_queue *q)
{
    return q->in_ns - q->out_ns;
}

static uint64_t left_of(uint64_t end_ns, uint64_t now_ns)
{
    return end_ns > now_ns ? end_ns - now_ns : 0;
}

/* Work that waits for r's model and goes before it: what came earlier in its own class, and all of
 * the others', which may be more than really does. */
static uint64_t ahead_of(const struct bound_model *m, const struct sim_request *r)
{
    uint64_t sum = left_of(r->before_ns, m->queues[r->class].out_ns);
    for (int k = 0; k < CLASS__COUNT; k++)
        if (k != (int)r->class)
            sum += work_of(&m->queues[k]);
    return sum;
}

/* How long the model may keep others waiting that came in then: it serves who waits for it, and
 * stays for a while in any case. */
static uint64_t gate_of(const struct bound *b, const struct bound_model *m, uint64_t in_ns,
                        uint64_t now_ns)
{
    uint64_t work = 0, stay = b->min_resident_ns > m->load_ns ? b->min_resident_ns : m->load_ns;
    for (int k = 0; k < CLASS__COUNT; k++)
        work += work_of(&m->queues[k]);
    uint64_t span = work ? span_of(m, work) : 0;
    uint64_t rest = in_ns + stay > now_ns ? in_ns + stay - now_ns + m->longest_ns : 0;
    return span > rest ? span : rest;
}

static uint64_t longest_of(const struct bound *b)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < b->model_count; i++)
        longest = b->models[i].longest_ns > longest ? b->models[i].longest_ns : longest;
    return longest;
}

static void becomes_overdue(struct bound *b, struct sim_request *r, uint64_t now_ns)
{
    const struct bound_model *m = &b->models[r->model];
    uint64_t gates_ns = 0;
    for (uint32_t i = 0; i < b->model_count; i++) {
        const struct bound_model *y = &b->models[i];
        if (i != r->model && y->is_here)
            gates_ns += gate_of(b, y, y->stays[y->stay_count - 1].in_ns, now_ns);
    }
    r->decided_ns = now_ns + gates_ns + b->unload_ns;
    r->until_ns = now_ns + gates_ns + b->unload_ns + m->load_ns + span_of(m, ahead_of(m, r));
    b->overdue++;
}

void bound_pass(struct bound *b, struct sim_requests *rs, uint64_t now_ns)
{
    for (int k = 0; k < CLASS__COUNT; k++) {
        struct bound_queue *q = &b->classes[k];
        uint32_t i;
        while (b->wait_ns_max[k] && (i = first_of(q, rs)) != NONE &&
               deadline_of(b, &rs->items[i]) < now_ns) {
            becomes_overdue(b, &rs->items[i], deadline_of(b, &rs->items[i]));
            q->head++;
        }
    }
}

static void note_length(struct bound_model *m, uint64_t serve_ns)
{
    m->longest_ns = serve_ns > m->longest_ns ? serve_ns : m->longest_ns;
}

void bound_expects(struct bound *b, uint32_t model, uint64_t serve_ns)
{
    note_length(&b->models[model], serve_ns);
}

void bound_waits(struct bound *b, struct sim_requests *rs, uint32_t request)
{
    struct sim_request *r = &rs->items[request];
    struct bound_model *m = &b->models[r->model];
    struct bound_queue *q = &m->queues[r->class];
    r->before_ns = q->in_ns;
    q->in_ns += r->serve_ns;
    append(q, request);
    append(&b->classes[r->class], request);
    note_length(m, r->serve_ns);
}

/* By how much others delay one that waits. */
struct delay {
    uint64_t sum_ns;
    uint64_t decided_ns; /* by the one load, at most, that had been decided on and not begun */
};

/* Adds what model Y may: by a load that was under way when the waiter became overdue, and by the
 * first later one for somebody with an earlier deadline. */
static void add_delay(const struct bound *b, const struct bound_model *y,
                      const struct sim_request *r, uint64_t overdue_ns, struct delay *d)
{
    uint64_t decided_ns_max = r->decided_ns + longest_of(b);
    uint64_t before = 0, later = 0;
    for (uint32_t i = y->stay_count; i-- > 0;) {
        const struct bound_stay *s = &y->stays[i];
        uint64_t delay = b->unload_ns + y->load_ns + (s->in_ns == NEVER ? 0 : s->gate_ns);
        if (s->begun_ns <= overdue_ns) {
            before = s->in_ns > overdue_ns ? delay : 0;
            break;
        }
        if (s->deadline_ns < overdue_ns)
            later = delay;
        else if (s->since_ns < overdue_ns && s->begun_ns <= decided_ns_max && delay > d->decided_ns)
            d->decided_ns = delay;
    }
    d->sum_ns += before + later;
}

static void check(struct bound *b, const struct sim_requests *rs, uint32_t request, uint64_t now_ns)
{
    const struct sim_request *r = &rs->items[request];
    uint64_t overdue_ns = deadline_of(b, r);
    struct delay d = {0};
    for (uint32_t i = 0; i < b->model_count; i++)
        if (i != r->model)
            add_delay(b, &b->models[i], r, overdue_ns, &d);
    uint64_t until = r->until_ns + longest_of(b) + d.sum_ns + d.decided_ns;
    uint64_t permille = (now_ns - r->at_ns) / ((until - r->at_ns) / 1000 + 1);
    b->permille_max = permille > b->permille_max ? permille : b->permille_max;
    if (now_ns <= until)
        return;
    b->violations++;
    if (b->first != NONE)
        return;
    b->first = request;
    b->first_allowed_ns = until - r->at_ns;
}

void bound_served(struct bound *b, struct sim_requests *rs, uint32_t request, uint64_t now_ns)
{
    struct sim_request *r = &rs->items[request];
    struct bound_model *m = &b->models[r->model];
    if (r->state == SIM_WAITING)
        m->queues[r->class].out_ns += r->serve_ns;
    note_length(m, r->serve_ns);
    if (r->until_ns)
        check(b, rs, request, now_ns);
}

void bound_left(struct bound *b, const struct sim_requests *rs, uint32_t request)
{
    const struct sim_request *r = &rs->items[request];
    b->models[r->model].queues[r->class].out_ns += r->serve_ns;
}

void bound_begins(struct bound *b, const struct sim_requests *rs, uint32_t model, uint64_t now_ns)
{
    struct bound_model *m = &b->models[model];
    uint64_t deadline = NEVER, since = NEVER;
    for (int k = 0; k < CLASS__COUNT; k++) {
        uint32_t first = first_of(&m->queues[k], rs);
        if (first == NONE)
            continue;
        uint64_t due = deadline_of(b, &rs->items[first]), at = rs->items[first].at_ns;
        deadline = due < deadline ? due : deadline;
        since = at < since ? at : since;
    }
    if (m->stay_count == m->stays_max) {
        m->stays_max = m->stays_max ? 2 * m->stays_max : 16;
        m->stays = alloc_grow(m->stays, m->stays_max, sizeof(*m->stays));
    }
    m->stays[m->stay_count++] = (struct bound_stay){
        .begun_ns = now_ns, .deadline_ns = deadline, .since_ns = since, .in_ns = NEVER};
}

void bound_loaded(struct bound *b, uint32_t model, uint64_t now_ns)
{
    struct bound_model *m = &b->models[model];
    struct bound_stay *s = &m->stays[m->stay_count - 1];
    s->in_ns = now_ns;
    s->gate_ns = gate_of(b, m, now_ns, now_ns);
    m->is_here = true;
}

void bound_gone(struct bound *b, uint32_t model)
{
    b->models[model].is_here = false;
}

void bound_failed(struct bound *b, uint32_t model, uint64_t now_ns)
{
    struct bound_stay *s = &b->models[model].stays[b->models[model].stay_count - 1];
    s->in_ns = now_ns;
    s->gate_ns = 0;
}
