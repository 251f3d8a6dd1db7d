/* GET and PUT /wharf/mode. */
#include <jansson.h>
#include <string.h>

#include "api/json.h"
#include "api/query.h"
#include "base/pure/errors.h"
#include "config/nearest.h"

static const char *wished_place(const struct config *c, const struct config_wish *w)
{
    if (w->gpu < c->gpu_count)
        return c->gpus[w->gpu].name;
    if (w->placement != CONFIG_PLACEMENT_ANY)
        return c->models[w->model].placements[w->placement].id;
    return "loaded";
}

static const char *wish_text(const struct config *c, const struct config_wish *w)
{
    return w->kind == CONFIG_WISH_UNLOADED ? "unloaded" : wished_place(c, w);
}

static void put_wish(const struct config *c, const struct config_wish *w, struct buf *b)
{
    buf_json_text(b, c->models[w->model].id);
    buf_char(b, ':');
    buf_json_text(b, wish_text(c, w));
}

/* How the wishes of the mode that is set stand. */
static void put_standings(const struct server *s, struct buf *b)
{
    const struct config_ref *ref = s->roster.current;
    const struct config_mode *mode = modes_find(ref->config, s->modes.name);
    buf_text(b, ",\"models\":[");
    for (uint32_t i = 0; i < mode->wish_count; i++) {
        const struct config_wish *w = &mode->wishes[i];
        struct core_model_view v;
        struct buf why = {0};
        enum mode_standing standing = modes_standing(s, i, &why);
        core_view_model(s->runner.core, ref->slots[w->model], &v);
        buf_text(b, i ? ",{\"model\":" : "{\"model\":");
        buf_json_text(b, ref->config->models[w->model].id);
        buf_text(b, ",\"wish\":");
        buf_json_text(b, wish_text(ref->config, w));
        buf_printf(b, ",\"state\":\"%s\",\"reached\":%s,\"failed\":%s,\"why\":",
                   model_state_text(v.state), standing == MODE_REACHED ? "true" : "false",
                   standing == MODE_FAILED ? "true" : "false");
        api_put_text(b, standing == MODE_REACHED ? NULL : why.data);
        buf_char(b, '}');
        buf_fini(&why);
    }
    buf_char(b, ']');
}

static void answer(const struct server *s, struct exchange *ex)
{
    const struct config *c = s->roster.current->config;
    struct buf json = {0};
    buf_text(&json, "{\"mode\":");
    buf_json_text(&json, s->modes.name);
    buf_printf(&json, ",\"reached\":%s", modes_look(s) == MODE_REACHED ? "true" : "false");
    put_standings(s, &json);
    buf_text(&json, ",\"modes\":{");
    for (uint32_t i = 0; i < c->mode_count; i++) {
        const struct config_mode *mode = &c->modes[i];
        buf_text(&json, i ? "," : "");
        buf_json_text(&json, mode->id);
        buf_text(&json, ":{");
        for (uint32_t w = 0; w < mode->wish_count; w++) {
            buf_text(&json, w ? "," : "");
            put_wish(c, &mode->wishes[w], &json);
        }
        buf_char(&json, '}');
    }
    buf_text(&json, "}}\n");
    api_send_json(ex, 200, &json);
}

void api_mode(struct server *s, struct exchange *ex)
{
    answer(s, ex);
}

#define MODES_TOLD_MAX 16

static void fail_unknown(const struct config *c, struct exchange *ex, const char *name)
{
    struct nearest near = nearest_to(name);
    struct buf detail = {0};
    buf_text(&detail, "no mode is called ");
    buf_json_text(&detail, name);
    for (uint32_t i = 0; i < c->mode_count; i++)
        nearest_offer(&near, c->modes[i].id);
    if (near.best)
        buf_printf(&detail, "; the nearest name is %s", near.best);
    for (uint32_t i = 0; !near.best && i < c->mode_count && i < MODES_TOLD_MAX; i++)
        buf_printf(&detail, "%s%s", i ? ", " : "; there are ", c->modes[i].id);
    if (!near.best && c->mode_count > MODES_TOLD_MAX)
        buf_text(&detail, " and others");
    exchange_fail(ex, &(struct problem){.error = ERR_MODE_UNKNOWN, .detail = detail.data});
    buf_fini(&detail);
}

/* Which models are not as they should be, and why. */
static void fail_unreached(struct server *s, struct exchange *ex, bool expired)
{
    const struct config *c = s->roster.current->config;
    const struct config_mode *mode = modes_find(c, s->modes.name);
    struct buf detail = {0};
    buf_printf(&detail, "mode %s is not reached%s", s->modes.name, expired ? " in that time" : "");
    const char *sep = ": ";
    for (uint32_t i = 0; i < mode->wish_count; i++) {
        struct buf why = {0};
        if (modes_standing(s, i, &why) != MODE_REACHED) {
            buf_printf(&detail, "%s%s (%s): %s", sep, c->models[mode->wishes[i].model].id,
                       wish_text(c, &mode->wishes[i]), why.data ? why.data : "it is not");
            sep = "; ";
        }
        buf_fini(&why);
    }
    exchange_fail(ex, &(struct problem){.error = ERR_MODE_NOT_REACHED, .detail = detail.data});
    buf_fini(&detail);
}

static void on_wait_end(struct exchange *ex, enum mode_wait_end end)
{
    struct server *s = ex->server;
    switch (end) {
    case MODE_WAIT_REACHED:
        answer(s, ex);
        break;
    case MODE_WAIT_FAILED:
    case MODE_WAIT_EXPIRED:
        fail_unreached(s, ex, end == MODE_WAIT_EXPIRED);
        break;
    case MODE_WAIT_REPLACED:
        exchange_fail_error(ex, ERR_MODE_REPLACED, NULL);
        break;
    case MODE_WAIT_STOPPED:
        exchange_fail_error(ex, ERR_SHUTTING_DOWN, NULL);
        break;
    }
}

/* ?wait=1&timeout=SECONDS. False, and answered, for a time that is none. */
static bool read_wait(struct exchange *ex, bool *ret_waits, uint64_t *ret_ns_max)
{
    char text[32];
    *ret_waits = api_query_flag(ex, "wait", false);
    *ret_ns_max = UINT64_MAX;
    if (!api_query_has(ex, "timeout") || (api_query_value(ex, "timeout", text, sizeof(text)) &&
                                          units_parse_duration(text, NS_PER_S, ret_ns_max)))
        return true;
    api_fail_body(ex, "timeout is a number of seconds, such as 30 or 0.5");
    return false;
}

void api_set_mode(struct server *s, struct exchange *ex)
{
    const char *name;
    bool waits;
    uint64_t wait_ns_max;
    if (!read_wait(ex, &waits, &wait_ns_max))
        return;
    json_t *body = api_read_json(ex);
    if (!body)
        return;
    static const char *const members[] = {"mode"};
    if (api_check_members(ex, body, "the mode to set", members, countof(members)) &&
        api_read_text(ex, body, "mode", true, &name)) {
        if (!modes_set(s, name))
            fail_unknown(s->roster.current->config, ex, name);
        else if (waits)
            modes_wait(s, ex, wait_ns_max, on_wait_end);
        else
            answer(s, ex);
    }
    json_decref(body);
}
