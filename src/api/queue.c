/* GET /wharf/queue: who waits for what, since when, and for how long still. */
#include <stdlib.h>

#include "api/json.h"
#include "base/alloc.h"

#define LISTED_DEFAULT 1000

/* How many requests of each class wait for one model; then, how many of them were listed. */
struct line {
    uint32_t waiting[CLASS__COUNT], listed[CLASS__COUNT];
    uint32_t estimate_s;
};

struct listing {
    struct server *server;
    struct line *lines; /* by slot */
    bool one_queue;     /* under serial, whatever the model and class */
    uint32_t number;    /* in order of arrival, from 1 on */
};

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
        return l->number;
    for (int class = 0; class < (int)w->class; class ++)
        place += line->waiting[class];
    return place;
}

static void put_deadline(struct buf *b, uint64_t at_ns)
{
    buf_text(b, ",\"deadline_s\":");
    api_put_left(b, at_ns);
    buf_printf(b, ",\"overdue\":%s}", at_ns && at_ns <= uv_hrtime() ? "true" : "false");
}

static void put_request(struct listing *l, const struct core_waiting *w, struct buf *b)
{
    buf_text(b, l->number > 1 ? ",{\"model\":" : "{\"model\":");
    api_put_model(b, l->server, w->model);
    buf_printf(b, ",\"class\":\"%s\",\"since_s\":", class_text(w->class));
    api_put_age(b, w->since.ns);
    buf_printf(b, ",\"position\":%u,\"estimate_s\":%u", position_of(l, w),
               l->lines[w->model].estimate_s);
    put_deadline(b, w->deadline.ns);
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

void api_queue(struct server *s, struct exchange *ex)
{
    struct listing l = {.server = s,
                        .lines = alloc_zeroed(s->roster.count, sizeof(*l.lines)),
                        .one_queue = s->roster.current->config->scheduler == CONFIG_SCHED_SERIAL};
    uint64_t max = api_query_number(ex, "limit", LISTED_DEFAULT);
    struct id cursor = {0};
    struct core_waiting w;
    struct core_view v;
    struct buf json = {0};
    uint32_t waiting, granted;
    leases_count(s, &waiting, &granted);
    core_view(s->runner.core, &v);
    count_waiting(&l);
    buf_printf(&json, "{\"waiting\":%u,\"running\":%u,\"leases_waiting\":%u,\"leases_granted\":%u,",
               v.waiting, v.running, waiting, granted);
    buf_text(&json, "\"requests\":[");
    while (l.number < max && core_view_next_waiting(s->runner.core, &cursor, &w)) {
        l.number++;
        put_request(&l, &w, &json);
    }
    put_leases(s, &json);
    free(l.lines);
    api_send_json(ex, 200, &json);
}
