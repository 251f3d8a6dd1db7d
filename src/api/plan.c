/* POST /wharf/plan: what would happen if a model, or memory for a job, were wanted now. */
#include <jansson.h>

#include "api/json.h"

static const char *verdict_text(enum core_verdict v)
{
    static const char *const texts[] = {[VERDICT_HERE] = "here",
                                        [VERDICT_GO] = "go",
                                        [VERDICT_WAIT] = "wait",
                                        [VERDICT_BLOCKED] = "blocked",
                                        [VERDICT_NEVER] = "never"};
    return texts[v];
}

static const char *action_text(enum core_action a)
{
    static const char *const texts[] = {[ACTION_UNLOAD] = "unload",
                                        [ACTION_SUSPEND] = "suspend",
                                        [ACTION_MOVE] = "move",
                                        [ACTION_REVOKE] = "revoke"};
    return texts[a];
}

static void put_room(const struct server *s, struct buf *b)
{
    const struct config *c = s->roster.current->config;
    buf_text(b, ",\"room\":[");
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        struct core_device_view v;
        core_view_device(s->runner.core, d, &v);
        buf_printf(b, "%s{\"device\":", d ? "," : "");
        buf_json_text(b, c->gpus[d].name);
        buf_printf(b, ",\"total_bytes\":%llu,\"room_bytes\":%llu}",
                   (unsigned long long)v.total_bytes, (unsigned long long)v.room_bytes);
    }
    buf_char(b, ']');
}

/* Nobody knows how long what has no estimate takes. */
static bool is_known(const struct core_plan_view *p)
{
    return p->verdict == VERDICT_HERE || p->verdict == VERDICT_GO ||
           (p->verdict == VERDICT_WAIT && p->estimate_ns);
}

/* What it is down to; NULL: whoever comes in at once displaces nobody, for no reason at all. */
static const char *why_of(const struct core_plan_view *p)
{
    bool none = p->why == REASON_NONE || (p->verdict == VERDICT_GO && p->victim_count == 0);
    return none ? NULL : reason_text(p->why);
}

static void put_plan(const struct server *s, const struct core_plan_view *p, const char *why,
                     struct buf *b)
{
    buf_printf(b, ",\"verdict\":\"%s\",\"why\":", verdict_text(p->verdict));
    api_put_text(b, why);
    buf_text(b, ",\"devices\":");
    api_put_devices(b, s, p->devices);
    if (p->bytes)
        buf_printf(b, ",\"bytes\":%llu", (unsigned long long)p->bytes);
    else
        buf_text(b, ",\"bytes\":null");
    buf_text(b, ",\"seconds\":");
    if (is_known(p))
        api_put_seconds(b, p->estimate_ns);
    else
        buf_text(b, "null");
    buf_printf(b, ",\"leaves_count\":%u,\"leaves\":[", p->victim_count);
    for (uint32_t i = 0; i < p->victim_count && i < CORE_PLAN_VICTIMS_MAX; i++) {
        const struct core_plan_victim *v = &p->victims[i];
        buf_text(b, i ? ",{\"model\":" : "{\"model\":");
        api_put_model(b, s, v->model);
        const struct lease *l = leases_by_core(s, v->lease);
        buf_text(b, ",\"lease\":");
        api_put_text(b, l ? leases_id(l) : NULL);
        buf_printf(b, ",\"action\":\"%s\",\"bytes\":%llu,\"busy\":%s}", action_text(v->action),
                   (unsigned long long)v->bytes, v->busy ? "true" : "false");
    }
    buf_char(b, ']');
}

static void put_answer(struct server *s, const struct core_plan_view *p, enum class class,
                       uint32_t model, struct buf *b)
{
    buf_text(b, "{\"model\":");
    api_put_model(b, s, model);
    buf_printf(b, ",\"class\":\"%s\"", class_text(class));
    const char *down = model == CORE_SLOT_NONE ? NULL : degraded_backend_of(s, model);
    if (down && p->verdict != VERDICT_HERE)
        put_plan(s, &(struct core_plan_view){.verdict = VERDICT_BLOCKED}, down, b);
    else
        put_plan(s, p, why_of(p), b);
}

void api_put_model_plan(struct server *s, uint32_t slot, enum class class, struct buf *b)
{
    struct core_plan_view plan;
    core_plan_model(s->runner.core, slot, class, &plan);
    put_answer(s, &plan, class, slot, b);
    put_room(s, b);
    buf_char(b, '}');
}

static void plan_model(struct server *s, struct exchange *ex, const json_t *body)
{
    const char *name;
    struct buf json = {0};
    if (!api_read_text(ex, body, "model", true, &name))
        return;
    uint32_t slot = roster_find(&s->roster, name);
    if (slot == CORE_SLOT_NONE) {
        exchange_fail_unknown(ex, name);
        return;
    }
    enum class class = (enum class)roster_model(&s->roster, slot)->class;
    if (!api_read_class(ex, body, &class))
        return;
    api_put_model_plan(s, slot, class, &json);
    buf_char(&json, '\n');
    api_send_json(ex, 200, &json);
}

/* What can never be, with the numbers that a refusal would have. */
static void put_detail(struct server *s, const struct core_lease_ask *ask,
                       const struct core_plan_view *p, struct buf *b)
{
    struct buf text = {0};
    if (p->verdict == VERDICT_NEVER && ask->bytes)
        leases_put_numbers(s, ask, &text);
    buf_text(b, ",\"detail\":");
    api_put_text(b, text.data);
    buf_fini(&text);
}

/* The gates that it would pass: who is inside, and who stands before it. */
static void put_gates(struct server *s, const struct core_lease_ask *ask, struct buf *b)
{
    buf_text(b, ",\"gates\":[");
    for (uint32_t i = 0; i < ask->gate_count; i++) {
        struct lease_gate g;
        leases_look_at_gate(s, ask->gates[i], &g);
        buf_text(b, i ? ",{\"gate\":" : "{\"gate\":");
        buf_json_text(b, roster_gate(&s->roster, ask->gates[i]));
        buf_printf(b, ",\"limit\":%u,\"inside\":%u,\"waiting\":%u,\"holders\":", g.limit, g.inside,
                   g.waiting);
        api_put_text(b, g.holders.data);
        buf_char(b, '}');
        buf_fini(&g.holders);
    }
    buf_char(b, ']');
}

static void plan_lease(struct server *s, struct exchange *ex, const json_t *lease)
{
    struct core_lease_ask ask;
    struct core_plan_view plan;
    if (!api_read_lease(ex, lease, &ask))
        return;
    if (ask.bytes && !ask.device_mask)
        plan = (struct core_plan_view){.verdict = VERDICT_NEVER, .why = REASON_NO_DEVICE};
    else
        core_plan_lease(s->runner.core, &ask, &plan);
    struct buf json = {0};
    put_answer(s, &plan, ask.class, CORE_SLOT_NONE, &json);
    put_detail(s, &ask, &plan, &json);
    put_gates(s, &ask, &json);
    put_room(s, &json);
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}

void api_plan(struct server *s, struct exchange *ex)
{
    json_t *body = api_read_json(ex);
    if (!body)
        return;
    static const char *const members[] = {"model", "class", "lease"};
    const json_t *lease = json_object_get(body, "lease");
    if (!api_check_members(ex, body, "a plan", members, countof(members)))
        ; /* answered */
    else if (lease && json_object_get(body, "model"))
        api_fail_body(ex, "\"model\" and \"lease\" exclude each other");
    else if (lease && !json_is_object(lease))
        api_fail_body(ex, "\"lease\" must be an object");
    else if (lease)
        plan_lease(s, ex, lease);
    else
        plan_model(s, ex, body);
    json_decref(body);
}
