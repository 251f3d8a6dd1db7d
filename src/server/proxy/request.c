/* Reading a request: its route, its key, its body, and the model that it is for. */
#include <stdio.h>
#include <string.h>

#include "base/pure/errors.h"
#include "http/url.h"
#include "server/proxy/answer.h"
#include "server/proxy/auth.h"
#include "server/proxy/client.h"
#include "server/proxy/scanner.h"
#include "server/proxy/upstream.h"
#include "server/server.h"
#include "server/traffic.h"

#define MODEL_NAME_MAX 512
#define FIELD_TEXT_MAX 32
/* While the model's server takes a body more slowly than the client sends it, this much may be
 * ahead before the client has to wait. */
#define AHEAD_HIGH (1024 * 1024)

static void fail(struct exchange *ex, int error, const char *detail)
{
    exchange_fail(ex, &(struct problem){.error = error < 0 ? -error : error, .detail = detail});
}

/* True while the exchange still lives: a failed write ends it. */
static bool send_continue(struct exchange *ex)
{
    static char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t out = uv_buf_init(line, sizeof(line) - 1);
    if (!ex->expects_continue || ex->body_complete)
        return true;
    ex->expects_continue = false;
    return client_write(ex->client, &out, 1);
}

static void submit(struct exchange *ex)
{
    struct server *s = ex->server;
    ex->state = EXCHANGE_WAITING;
    traffic_begin(ex);
    runner_event(&s->runner, (struct event){.type = EVENT_REQUEST_ARRIVED,
                                            .request = {.tag = exchange_tag(ex),
                                                        .model = ex->slot,
                                                        .class = ex->ask.class,
                                                        .wait_ns_max = ex->ask.wait_ns_max,
                                                        .key = ex->ask.key}});
}

void exchange_fail_unknown(struct exchange *ex, const char *name)
{
    const char *near[3];
    uint32_t count = config_nearest_models(ex->config->config, name, near, 3);
    struct buf text = {0};
    buf_text(&text, "no model is called ");
    buf_json_text(&text, name);
    for (uint32_t i = 0; i < count; i++)
        buf_printf(&text, "%s%s", i == 0 ? "; the nearest names are " : ", ", near[i]);
    fail(ex, ERR_MODEL_UNKNOWN, text.data);
    buf_fini(&text);
}

/* The model is known by name: into the queue, or 404. */
static void identify(struct exchange *ex, const char *name)
{
    const struct config *config = ex->config->config;
    const struct config_model *m = config_find_model(config, name);
    if (!m) {
        exchange_fail_unknown(ex, name);
        return;
    }
    ex->slot = ex->config->slots[m - config->models];
    if (ex->ask.class == CLASS__COUNT)
        ex->ask.class = (enum class)m->class;
    submit(ex);
}

static void route_query(struct exchange *ex)
{
    char name[MODEL_NAME_MAX];
    struct http_span q = ex->head->query;
    int found = url_query_find(ex->bytes + q.off, q.len, "model", name, sizeof(name));
    if (found < 0)
        fail(ex, ERR_MODEL_MISSING, "the model in the query cannot be decoded");
    else if (found > 1)
        fail(ex, ERR_MODEL_DUPLICATE, NULL);
    else if (found == 0 || !name[0])
        fail(ex, ERR_MODEL_MISSING, NULL);
    else
        identify(ex, name);
}

/* /upstream/NAME without a slash behind it: relative links of a model's pages would miss. */
static void redirect_to_slash(struct exchange *ex)
{
    struct http_span path = ex->head->path, query = ex->head->query;
    struct buf fields = {0};
    buf_printf(&fields, "Location: %.*s/", (int)path.len, ex->bytes + path.off);
    if (query.len)
        buf_printf(&fields, "?%.*s", (int)query.len, ex->bytes + query.off);
    buf_text(&fields, "\r\n");
    bool safe = ex->is_head_method || http_span_equal(ex->bytes, ex->head->method, "GET");
    exchange_reply(ex, safe ? 301 : 308, "text/plain", fields.data, "", 0);
    buf_fini(&fields);
}

/* The longest run of path segments that is a model's name. */
static void route_path(struct exchange *ex)
{
    char name[MODEL_NAME_MAX];
    const char *path = ex->bytes + ex->head->path.off;
    uint32_t from = ex->route->upstream_skip, len = ex->head->path.len, best = 0;
    for (uint32_t end = from + 1; end <= len; end++) {
        if (end < len && path[end] != '/')
            continue;
        if (url_decode(path + from, end - from, false, name, sizeof(name)) &&
            config_find_model(ex->config->config, name))
            best = end;
    }
    if (best == 0) {
        uint32_t end = from;
        while (end < len && path[end] != '/')
            end++;
        if (!url_decode(path + from, end - from, false, name, sizeof(name)))
            name[0] = '\0';
        exchange_fail_unknown(ex, name);
        return;
    }
    if (best == len) {
        redirect_to_slash(ex);
        return;
    }
    ex->ask.path_skip = best;
    bool decoded = url_decode(path + from, best - from, false, name, sizeof(name));
    must(decoded);
    identify(ex, name);
}

static void route_body(struct exchange *ex)
{
    const struct http_field *type = http_head_find(ex->head, HTTP_FIELD_CONTENT_TYPE);
    const struct http_field *encoding = http_head_find(ex->head, HTTP_FIELD_CONTENT_ENCODING);
    if (encoding && !(encoding->value.len == 8 &&
                      http_span_equal_case(ex->bytes, encoding->value, "identity"))) {
        fail(ex, ERR_BODY_ENCODED, NULL);
        return;
    }
    ex->ask.path_skip = ex->route->upstream_skip;
    ex->scanner =
        scanner_new(type ? ex->bytes + type->value.off : NULL, type ? type->value.len : 0);
    send_continue(ex);
}

bool exchange_authorized(struct exchange *ex)
{
    return auth_allows(ex->config->config, ex->head, ex->bytes, &ex->ask.key);
}

/* The value of the only field of that name, "" where there is none. False: there are several, or
 * its value is too long for any that can be meant. */
static bool find_once(const struct exchange *ex, const char *name, char value[FIELD_TEXT_MAX])
{
    const struct http_head *h = ex->head;
    uint32_t count = 0;
    value[0] = '\0';
    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct http_field *f = &h->fields[i];
        if (!http_span_equal_case(ex->bytes, f->name, name))
            continue;
        if (++count > 1 || f->value.len == 0 || f->value.len >= FIELD_TEXT_MAX)
            return false;
        memcpy(value, ex->bytes + f->value.off, f->value.len);
        value[f->value.len] = '\0';
    }
    return true;
}

/* Who it waits behind, and for how long. False, and answered, when that cannot be understood. */
static bool read_wishes(struct exchange *ex)
{
    char text[FIELD_TEXT_MAX];
    bool is_class = find_once(ex, "x-wharf-class", text) && !*text;
    for (int class = 0; !is_class && *text && class < CLASS__COUNT; class ++) {
        is_class = strcmp(text, class_text((enum class) class)) == 0;
        if (is_class)
            ex->ask.class = (enum class) class;
    }
    if (!is_class) {
        fail(ex, ERR_FIELD_INVALID, "X-Wharf-Class is foreground, normal or background");
        return false;
    }
    if (!find_once(ex, "x-wharf-wait", text) ||
        (*text && (text[strspn(text, "0123456789.")] ||
                   !units_parse_duration(text, NS_PER_S, &ex->ask.wait_ns_max)))) {
        fail(ex, ERR_FIELD_INVALID, "X-Wharf-Wait is a number of seconds, such as 30 or 0.5");
        return false;
    }
    return true;
}

static bool admissible(struct exchange *ex, const char *allow)
{
    const struct http_head *h = ex->head;
    struct server *s = ex->server;
    if (!ex->route) {
        exchange_fail(ex, &(struct problem){.error = allow ? ERR_METHOD_INVALID : ERR_ROUTE_UNKNOWN,
                                            .allow = allow});
        return false;
    }
    if (!ex->route->open && !exchange_authorized(ex)) {
        fail(ex, ERR_UNAUTHORIZED, NULL);
        return false;
    }
    if (ex->route->kind != ROUTE_LOCAL && !read_wishes(ex))
        return false;
    if (h->expect_unknown) {
        fail(ex, ERR_EXPECTATION, NULL);
        return false;
    }
    if (h->framing == HTTP_BODY_LENGTH && h->content_length > s->bodies.body_max) {
        fail(ex, ERR_BODY_TOO_LARGE, NULL);
        return false;
    }
    return true;
}

void exchange_route(struct exchange *ex)
{
    const struct http_head *h = ex->head;
    struct server *s = ex->server;
    const struct server_api *api = ex->client->api;
    const char *allow = NULL;
    if (http_span_equal(ex->bytes, h->method, "OPTIONS")) {
        api->preflight(s, ex);
        return;
    }
    ex->route = api->find(api,
                          &(struct route_request){.method = ex->bytes + h->method.off,
                                                  .method_len = h->method.len,
                                                  .path = ex->bytes + h->path.off,
                                                  .path_len = h->path.len},
                          &allow);
    if (!admissible(ex, allow))
        return;
    switch (ex->route->kind) {
    case ROUTE_LOCAL:
        send_continue(ex);
        break;
    case ROUTE_MODEL_BODY:
        route_body(ex);
        break;
    case ROUTE_MODEL_QUERY:
        if (send_continue(ex))
            route_query(ex);
        break;
    case ROUTE_MODEL_PATH:
        route_path(ex);
        break;
    }
}

static void fail_scan(struct exchange *ex, int error)
{
    char text[96];
    const char *detail = NULL;
    if (error == -ERR_JSON_INVALID || error == -ERR_FORM_INVALID) {
        snprintf(text, sizeof(text), "%s, at byte offset %llu", error_info(error)->text,
                 (unsigned long long)scanner_offset(ex->scanner));
        detail = text;
    }
    fail(ex, error, detail);
}

void exchange_body(struct exchange *ex, const char *data, size_t n)
{
    int rc = ex->scanner ? scanner_feed(ex->scanner, data, n) : 0;
    if (rc < 0) {
        fail_scan(ex, rc);
        return;
    }
    uint64_t expected =
        ex->head && ex->head->framing == HTTP_BODY_LENGTH ? ex->head->content_length : 0;
    rc = body_append(&ex->body, data, n, expected);
    if (rc < 0) {
        fail(ex, rc, NULL);
        return;
    }
    if (!ex->upstream || !ex->upstream->connected || ex->state == EXCHANGE_WAITING)
        return;
    if (ex->body.size - ex->body_sent > AHEAD_HIGH)
        client_pause(ex->client);
    exchange_send_body(ex);
}

/* Another name for the model's own server, in place of the one that the client used. */
static void rename_model(struct exchange *ex, const struct scanner_result *found)
{
    const struct config_model *m = config_find_model(ex->config->config, found->model);
    if (!m || !m->use_model_name[0] || found->len == 0)
        return;
    struct buf text = {0};
    if (found->json)
        buf_json_text(&text, m->use_model_name);
    else
        buf_text(&text, m->use_model_name);
    body_edit(&ex->body, found->off, found->len, text.data, text.len);
    buf_fini(&text);
}

static void finish_scan(struct exchange *ex)
{
    struct scanner_result found = {0};
    char name[MODEL_NAME_MAX + 1];
    int rc = scanner_end(ex->scanner, &ex->body, &found);
    if (rc == -ERR_MODEL_MISSING && ex->head->query.len) {
        scanner_free(ex->scanner);
        ex->scanner = NULL;
        route_query(ex);
        return;
    }
    if (rc < 0) {
        fail_scan(ex, rc);
        return;
    }
    ex->ask.stream = found.stream;
    rename_model(ex, &found);
    snprintf(name, sizeof(name), "%s", found.model);
    scanner_free(ex->scanner);
    ex->scanner = NULL;
    identify(ex, name);
}

void exchange_body_end(struct exchange *ex)
{
    ex->body_complete = true;
    if (ex->state == EXCHANGE_READING && ex->route->kind == ROUTE_LOCAL) {
        ex->state = EXCHANGE_LOCAL;
        traffic_begin(ex);
        ex->route->handle(ex->server, ex);
    } else if (ex->scanner) {
        finish_scan(ex);
    } else if (ex->upstream && ex->upstream->connected && ex->state != EXCHANGE_WAITING) {
        exchange_send_body(ex);
    }
}
