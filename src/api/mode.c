/* GET and PUT /wharf/mode. */
#include <jansson.h>

#include "api/json.h"
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

static void put_wish(const struct config *c, const struct config_wish *w, struct buf *b)
{
    buf_json_text(b, c->models[w->model].id);
    buf_char(b, ':');
    if (w->kind == CONFIG_WISH_UNLOADED)
        buf_text(b, "\"unloaded\"");
    else
        buf_json_text(b, wished_place(c, w));
}

static void answer(const struct server *s, struct exchange *ex)
{
    const struct config *c = s->roster.current->config;
    struct buf json = {0};
    buf_text(&json, "{\"mode\":");
    buf_json_text(&json, s->modes.name);
    buf_printf(&json, ",\"reached\":%s,\"modes\":{", s->modes.reached ? "true" : "false");
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
    exchange_fail(ex, &(struct problem){.error = ERR_MODE_UNKNOWN, .detail = detail.data});
    buf_fini(&detail);
}

void api_set_mode(struct server *s, struct exchange *ex)
{
    const char *name;
    if (api_refuse_cross_site(ex))
        return;
    json_t *body = api_read_json(ex);
    if (!body)
        return;
    if (api_read_text(ex, body, "mode", true, &name)) {
        if (modes_set(s, name))
            answer(s, ex);
        else
            fail_unknown(s->roster.current->config, ex, name);
    }
    json_decref(body);
}
