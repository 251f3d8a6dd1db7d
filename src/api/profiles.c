/* GET /api/profiles and PUT /api/profiles/active. */
#include <jansson.h>

#include "api/json.h"
#include "base/pure/errors.h"
#include "config/nearest.h"

static void put_active(const struct server *s, struct buf *json)
{
    buf_text(json, "{\"active\":");
    api_put_text(json, s->profiles.active);
}

void api_profiles(struct server *s, struct exchange *ex)
{
    const struct config *c = s->roster.current->config;
    struct buf json = {0};
    put_active(s, &json);
    buf_text(&json, ",\"profiles\":[");
    for (uint32_t i = 0; i < c->profile_count; i++) {
        const struct config_profile *p = &c->profiles[i];
        buf_text(&json, i ? ",{\"id\":" : "{\"id\":");
        buf_json_text(&json, p->id);
        buf_text(&json, ",\"description\":");
        buf_json_text(&json, p->description);
        buf_text(&json, ",\"pins\":{");
        for (uint32_t k = 0; k < p->pin_count; k++) {
            buf_text(&json, k ? "," : "");
            buf_json_text(&json, p->pins[k].name);
            buf_char(&json, ':');
            buf_json_text(&json, p->pins[k].target);
        }
        buf_text(&json, "}}");
    }
    buf_text(&json, "]}\n");
    api_send_json(ex, 200, &json);
}

static void fail_unknown(const struct config *c, struct exchange *ex, const char *name)
{
    struct nearest near = nearest_to(name);
    struct buf detail = {0};
    buf_text(&detail, "profile ");
    buf_json_text(&detail, name);
    buf_text(&detail, " not found");
    for (uint32_t i = 0; i < c->profile_count; i++)
        nearest_offer(&near, c->profiles[i].id);
    if (near.best)
        buf_printf(&detail, "; the nearest name is %s", near.best);
    exchange_fail(ex, &(struct problem){.error = ERR_PROFILE_UNKNOWN, .detail = detail.data});
    buf_fini(&detail);
}

void api_set_profile(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    json_t *body = api_read_json(ex);
    if (!body)
        return;
    const json_t *value = json_object_get(body, "name");
    const char *name = json_string_value(value);
    if (name && !*name)
        name = NULL; /* the same as null */
    if (!value) {
        api_fail_body(ex, "profile name is required");
    } else if (!json_is_string(value) && !json_is_null(value)) {
        api_fail_body(ex, "profile name must be a string or null");
    } else if (!profiles_set(s, name)) {
        fail_unknown(s->roster.current->config, ex, name);
    } else {
        put_active(s, &json);
        buf_text(&json, "}\n");
        api_send_json(ex, 200, &json);
    }
    json_decref(body);
}
