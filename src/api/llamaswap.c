/* Paths that llama-swap has. */
#include <stdio.h>
#include <string.h>

#include "api/handlers.h"
#include "base/build.h"
#include "base/pure/errors.h"
#include "config/config.h"
#include "server/proxy/entry.h"

void api_health(struct server *s, struct exchange *ex)
{
    if (watchdog_is_unwell(s))
        exchange_fail_error(ex, ERR_NO_PROGRESS, NULL);
    else
        exchange_reply(ex, 200, "text/plain", NULL, "OK", 2);
}

/* Whether to send requests here, and not only whether somebody is there. */
void api_ready(struct server *s, struct exchange *ex)
{
    const char *why = watchdog_unready(s);
    if (!why)
        exchange_reply(ex, 200, "text/plain", NULL, "OK", 2);
    else
        exchange_reply(ex, 503, "text/plain", "Retry-After: 1\r\n", why, strlen(why));
}

static bool wants_page(const struct exchange *ex)
{
    const struct http_field *f = http_head_find(ex->head, HTTP_FIELD_ACCEPT);
    return f && memmem(ex->bytes + f->value.off, f->value.len, "text/html", 9);
}

void api_root(struct server *s, struct exchange *ex)
{
    static const char text[] = "wharf " WHARF_VERSION "\n\n"
                               "  /ui/              the page of all this\n"
                               "  /v1/models        the models\n"
                               "  /wharf/status     what runs, and where\n"
                               "  /wharf/models     each model's state\n"
                               "  /wharf/events     what happens, as it happens\n"
                               "  /logs/stream      the log\n";
    if (api_ui_is_there() && wants_page(ex))
        api_ui_redirect(s, ex);
    else
        exchange_reply(ex, 200, "text/plain; charset=utf-8", NULL, text, sizeof(text) - 1);
}

/* Browsers ask for it unbidden. */
void api_favicon(struct server *s, struct exchange *ex)
{
    (void)s;
    exchange_reply(ex, 204, NULL, NULL, "", 0);
}

/* As llama-swap, which sends those who leave out the model to its page of models. */
void api_upstream_page(struct server *s, struct exchange *ex)
{
    (void)s;
    exchange_reply(ex, 302, "text/plain",
                   api_ui_is_there() ? "Location: ui/#/now\r\n" : "Location: ./\r\n", "", 0);
}

void api_version(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    (void)s;
    buf_printf(&json, "{\"version\":\"%s\",\"commit\":\"%s\",\"build_date\":\"%s\"}", build.version,
               build.commit, build.date);
    api_send_json(ex, 200, &json);
}

bool api_counts_as_loaded(const struct server *s, uint32_t slot)
{
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    return v.state != MODEL_UNLOADED && v.state != MODEL_ERROR;
}

/* In llama-swap's words: what sleeps, or sits elsewhere in a moment, serves all the same. */
static const char *running_state(enum model_state state)
{
    switch (state) {
    case MODEL_LOADING:
    case MODEL_RESUMING:
        return "starting";
    case MODEL_UNLOADING:
    case MODEL_STUCK:
        return "stopping";
    case MODEL_LOADED:
    case MODEL_MOVING:
    case MODEL_SUSPENDING:
    case MODEL_SUSPENDED:
    case MODEL_UNLOADED:
    case MODEL_ERROR:
    case MODEL__COUNT:
        break;
    }
    return "ready";
}

/* As a JSON string, with the port that the server was given. */
static void put_with_port(struct server *s, uint32_t slot, const char *text, struct buf *json)
{
    static const char name[] = "${PORT}";
    struct buf out = {0};
    const char *at;
    struct resident_view its;
    resident_describe(s, slot, &its);
    while (its.port && (at = strstr(text, name))) {
        buf_append(&out, text, (size_t)(at - text));
        buf_printf(&out, "%u", its.port);
        text = at + sizeof(name) - 1;
    }
    buf_text(&out, text);
    buf_json_text(json, out.data);
    buf_fini(&out);
}

void api_running(struct server *s, struct exchange *ex)
{
    const struct config_ref *ref = s->roster.current;
    struct buf json = {0};
    const char *sep = "";
    buf_text(&json, "{\"running\":[");
    for (uint32_t i = 0; i < ref->config->model_count; i++) {
        const struct config_model *m = &ref->config->models[i];
        struct core_model_view v;
        if (!api_counts_as_loaded(s, ref->slots[i]))
            continue;
        core_view_model(s->runner.core, ref->slots[i], &v);
        buf_printf(&json, "%s{\"model\":", sep);
        buf_json_text(&json, m->id);
        buf_printf(&json, ",\"state\":\"%s\",\"cmd\":", running_state(v.state));
        put_with_port(s, ref->slots[i], m->cmd, &json);
        buf_text(&json, ",\"proxy\":");
        put_with_port(s, ref->slots[i], m->proxy, &json);
        buf_printf(&json, ",\"ttl\":%llu,\"name\":", (unsigned long long)(m->ttl_ns / NS_PER_S));
        buf_json_text(&json, m->name);
        buf_text(&json, ",\"description\":");
        buf_json_text(&json, m->description);
        buf_char(&json, '}');
        sep = ",";
    }
    buf_text(&json, "]}\n");
    api_send_json(ex, 200, &json);
}

/* Something could not be unloaded: says so instead of OK. */
static bool failed(struct exchange *ex)
{
    if (ex->command_result == REASON_NONE)
        return false;
    api_fail_reason(ex, ex->slot, ex->command_result);
    return true;
}

static void answer_text(struct exchange *ex)
{
    if (failed(ex))
        return;
    exchange_reply(ex, 200, "text/plain", NULL, "OK", 2);
}

static void answer_json(struct exchange *ex)
{
    if (failed(ex))
        return;
    exchange_reply(ex, 200, "application/json", NULL, "{\"msg\":\"ok\"}", 12);
}

static void unload_all(struct server *s, struct exchange *ex, void (*done)(struct exchange *ex))
{
    ex->commands_held = true;
    for (uint32_t i = 0; i < s->roster.count; i++)
        if (s->roster.entries[i].id)
            exchange_command(ex, i, COMMAND_UNLOAD_NOW, done);
    ex->commands_held = false;
    if (ex->commands_open == 0)
        done(ex);
}

void api_unload_all_text(struct server *s, struct exchange *ex)
{
    unload_all(s, ex, answer_text);
}

void api_unload_all_json(struct server *s, struct exchange *ex)
{
    unload_all(s, ex, answer_json);
}

void api_unload_one(struct server *s, struct exchange *ex)
{
    uint32_t slot;
    (void)s;
    if (api_path_model(ex, &slot))
        exchange_command(ex, slot, COMMAND_UNLOAD_NOW, answer_text);
}

/* A header name that a browser asks for, if it is a token (RFC 9110, section 5.6.2). */
static bool is_token(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(p[i] >= '0' && p[i] <= '9') && !((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'z') &&
            !strchr("!#$%&'*+-.^_`|~", p[i]))
            return false;
    return n > 0;
}

static void put_allowed_headers(const struct exchange *ex, struct buf *out)
{
    const struct http_field *f =
        http_head_find_text(ex->head, ex->bytes, "access-control-request-headers");
    const char *p = f ? ex->bytes + f->value.off : "", *end = p + (f ? f->value.len : 0);
    size_t before = out->len;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
        const char *from = p, *to = stop;
        while (from < to && *from == ' ')
            from++;
        while (to > from && to[-1] == ' ')
            to--;
        if (is_token(from, (size_t)(to - from)))
            buf_printf(out, "%s%.*s", out->len > before ? ", " : "", (int)(to - from), from);
        p = stop + 1;
    }
    if (out->len == before)
        buf_text(out, "Content-Type, Authorization, Accept, X-Requested-With");
}

void api_preflight(struct server *s, struct exchange *ex)
{
    struct buf fields = {0};
    (void)s;
    if (entry_trust(ex) != SITE_NONE)
        buf_text(&fields, "Access-Control-Allow-Origin: *\r\n");
    buf_text(&fields, "Access-Control-Allow-Methods: GET, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
                      "Access-Control-Max-Age: 86400\r\nAccess-Control-Allow-Headers: ");
    put_allowed_headers(ex, &fields);
    buf_text(&fields, "\r\n");
    exchange_reply(ex, 204, NULL, fields.data, "", 0);
    buf_fini(&fields);
}
