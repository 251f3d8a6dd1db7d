/* GET /wharf/why/NAME: how a model or a lease stands, what it waits for, and what was decided about
 * it. */
#include <string.h>

#include "api/json.h"
#include "api/query.h"
#include "base/pure/errors.h"
#include "config/nearest.h"
#include "server/leases/leases.h"

/* Names that are no model's and no lease's are told this many that are. */
#define NAMED_MAX 8

static bool is_called(const struct lease *l, const char *name)
{
    return strcmp(leases_id(l), name) == 0 || strcmp(leases_name(l), name) == 0;
}

/* Whether there are any. */
static bool put_leases(struct server *s, const char *name, struct buf *b)
{
    const struct lease *l = NULL;
    bool any = false;
    buf_text(b, ",\"leases\":[");
    while ((l = leases_next(s, l))) {
        if (!is_called(l, name))
            continue;
        buf_text(b, any ? "," : "");
        api_put_lease(s, l, b);
        any = true;
    }
    buf_char(b, ']');
    return any;
}

/* The first of those that wait for it, in order of arrival. */
static void put_first(struct server *s, uint32_t slot, struct buf *b)
{
    struct id cursor = {0};
    struct core_waiting w;
    while (core_view_next_waiting(s->runner.core, &cursor, &w)) {
        if (w.model != slot)
            continue;
        buf_printf(b, "{\"class\":\"%s\",\"since_s\":", class_text(w.class));
        api_put_age(b, w.since.ns);
        buf_printf(b, ",\"estimate_s\":%u,\"deadline_s\":", core_estimate_s(s->runner.core, slot));
        api_put_left(b, w.deadline.ns);
        buf_text(b, ",\"for\":");
        api_put_model_wait(s, slot, w.class, b);
        buf_char(b, '}');
        return;
    }
    buf_text(b, "null");
}

static void put_model(struct server *s, uint32_t slot, struct buf *b)
{
    buf_text(b, "\"model\":");
    if (slot == CORE_SLOT_NONE) {
        buf_text(b, "null,\"first_waiting\":null,\"plan\":null");
        return;
    }
    const struct config_model *m = roster_model(&s->roster, slot);
    enum class class = m ? (enum class)m->class : CLASS_NORMAL;
    api_put_model_whole(s, slot, b);
    buf_text(b, ",\"first_waiting\":");
    put_first(s, slot, b);
    buf_text(b, ",\"plan\":");
    api_put_model_plan(s, slot, class, b);
}

static void name_one(struct buf *out, struct nearest *near, uint32_t *count, const char *name)
{
    if (!*name)
        return;
    nearest_offer(near, name);
    if ((*count)++ < NAMED_MAX)
        buf_printf(out, "%s%s", *count == 1 ? "; there are: " : ", ", name);
}

static void fail_unknown(struct server *s, struct exchange *ex, const char *name)
{
    const struct config *c = s->roster.current->config;
    struct nearest near = nearest_to(name);
    struct buf detail = {0}, names = {0};
    const struct lease *l = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->model_count; i++)
        name_one(&names, &near, &count, c->models[i].id);
    while ((l = leases_next(s, l)))
        name_one(&names, &near, &count, *leases_name(l) ? leases_name(l) : leases_id(l));
    buf_text(&detail, "no model or lease is called ");
    buf_json_text(&detail, name);
    buf_text(&detail, ", and nothing was decided about one");
    if (near.best)
        buf_printf(&detail, "; the nearest name is %s", near.best);
    else
        buf_append(&detail, names.data, names.len);
    exchange_fail(ex, &(struct problem){.error = ERR_MODEL_UNKNOWN, .detail = detail.data});
    buf_fini(&detail);
    buf_fini(&names);
}

void api_why(struct server *s, struct exchange *ex)
{
    char name[API_NAME_MAX];
    struct buf json = {0};
    if (!api_path_tail(ex, name, sizeof(name)))
        return;
    uint32_t slot = roster_find(&s->roster, name);
    const char *id = slot == CORE_SLOT_NONE ? name : roster_id(&s->roster, slot);
    buf_text(&json, "{\"name\":");
    buf_json_text(&json, id);
    buf_char(&json, ',');
    put_model(s, slot, &json);
    bool known = put_leases(s, id, &json) || slot != CORE_SLOT_NONE || api_was_decided(s, id);
    if (!known) {
        buf_fini(&json);
        fail_unknown(s, ex, name);
        return;
    }
    buf_char(&json, ',');
    api_put_decisions(s, id, api_query_number(ex, "limit", API_DECISIONS_DEFAULT), &json);
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}
