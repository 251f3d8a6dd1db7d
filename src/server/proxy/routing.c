/* Where a request goes: its route, its key, what it wishes for, and the model that it names. */
#include "server/proxy/routing.h"

#include <stdlib.h>
#include <string.h>

#include "base/pure/errors.h"
#include "http/url.h"
#include "server/models/naming.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/entry.h"
#include "server/proxy/paths.h"
#include "server/proxy/request.h"
#include "server/proxy/scanner.h"
#include "server/record/traffic.h"
#include "server/residents/residents.h"
#include "server/server.h"

#define MODEL_NAME_MAX 512
#define FIELD_TEXT_MAX 64
#define MODELS_NAMED_MAX 8

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

/* Where nothing is near: what there is. On wharf's own paths: a model's client knows what it asks.
 */
static void put_models(const struct exchange *ex, struct buf *out)
{
    const struct config *c = ex->config->config;
    for (uint32_t i = 0; i < c->model_count && i < MODELS_NAMED_MAX; i++)
        buf_printf(out, "%s%s", i == 0 ? "; there are: " : ", ", c->models[i].id);
    if (c->model_count > MODELS_NAMED_MAX)
        buf_printf(out, " and %u more", c->model_count - MODELS_NAMED_MAX);
}

void exchange_fail_unknown(struct exchange *ex, const char *name)
{
    const char *near[3];
    uint32_t count =
        entry_is_scoped(ex) ? 0 : config_nearest_models(ex->config->config, name, near, 3);
    struct buf text = {0};
    buf_text(&text, "no model is called ");
    buf_json_text(&text, name);
    for (uint32_t i = 0; i < count; i++)
        buf_printf(&text, "%s%s", i == 0 ? "; the nearest names are " : ", ", near[i]);
    if (count == 0 && ex->route && strncmp(ex->route->path, "/wharf/", strlen("/wharf/")) == 0)
        put_models(ex, &text);
    exchange_fail_error(ex, ERR_MODEL_UNKNOWN, text.data);
    buf_fini(&text);
}

void exchange_fail_name(struct exchange *ex, enum naming_result result, const char *name,
                        const struct naming *who)
{
    struct buf text = {0};
    switch (result) {
    case NAMING_OFF:
        buf_text(&text, "the active profile has switched off ");
        buf_json_text(&text, name);
        exchange_fail_error(ex, ERR_NAME_OFF, text.data);
        break;
    case NAMING_NO_TARGET:
        buf_text(&text, "selector ");
        buf_json_text(&text, who->selector);
        buf_text(&text, " has no available targets: all of them are stopping");
        exchange_fail_error(ex, ERR_NO_TARGET, text.data);
        break;
    case NAMING_UNKNOWN:
    case NAMING_FOUND:
        exchange_fail_unknown(ex, who->asked);
        break;
    }
    buf_fini(&text);
}

bool exchange_name(struct exchange *ex, const char *name, struct naming *ret_who)
{
    enum naming_result result = naming_choose(ex->server, ex->config, name, ret_who);
    if (!entry_reaches(ex, ret_who)) {
        exchange_fail_unknown(ex, name);
        return false;
    }
    if (result != NAMING_FOUND)
        exchange_fail_name(ex, result, name, ret_who);
    return result == NAMING_FOUND;
}

void exchange_settle(struct exchange *ex, const struct config_model *m)
{
    const struct config_key *key = ex->ask.auth.key;
    if (ex->ask.class == CLASS__COUNT)
        ex->ask.class = (enum class)(key && key->has_class ? key->class : m->class);
    if (key && ex->ask.class < (enum class)key->class_max)
        ex->ask.class = (enum class)key->class_max;
    if (key && key->has_wait && ex->ask.wait_ns_max > key->wait_ns_max)
        ex->ask.wait_ns_max = key->wait_ns_max;
}

static bool is_websocket(const struct exchange *ex)
{
    const struct http_field *f = http_head_find(ex->head, HTTP_FIELD_UPGRADE);
    return ex->head->upgrade && f && http_span_equal_case(ex->bytes, f->value, "websocket");
}

/* compat.ignoreWebsockets: past the core, which neither loads the model for it nor lets it stand in
 * anybody's way; it ends with its model's server. */
static void pass_by(struct exchange *ex)
{
    struct buf text = {0};
    if (resident_origin(ex->server, ex->slot)) {
        traffic_begin(ex);
        exchange_forward(ex);
        return;
    }
    buf_printf(&text, "model %s is not loaded; ignored websocket requests cannot start it",
               roster_id(&ex->server->roster, ex->slot));
    exchange_fail_error(ex, ERR_CONFLICT, text.data);
    buf_fini(&text);
}

/* Past the core: what peers can take, they know themselves. */
static void admit_to_peer(struct exchange *ex, const struct naming *who)
{
    if (ex->server->stopping) {
        exchange_fail_error(ex, ERR_SHUTTING_DOWN, NULL);
        return;
    }
    ex->peer = who->peer;
    ex->peer_model = who->peer_model;
    peers_begin(ex);
    traffic_begin(ex);
    exchange_forward(ex);
}

void exchange_admit(struct exchange *ex, const struct naming *who)
{
    ex->slot = who->slot;
    ex->ask.selector = who->selector;
    scanner_free(ex->scanner);
    ex->scanner = NULL;
    if (who->peer) {
        admit_to_peer(ex, who);
        return;
    }
    if (who->model->ignore_websockets && is_websocket(ex)) {
        pass_by(ex);
        return;
    }
    exchange_settle(ex, who->model);
    ex->state = EXCHANGE_WAITING;
    traffic_begin(ex);
    uint64_t since = ex->since_ns;
    ex->since_ns = since ? since : uv_hrtime();
    runner_event(&ex->server->runner, (struct event){.type = EVENT_REQUEST_ARRIVED,
                                                     .request = {.tag = exchange_tag(ex),
                                                                 .model = ex->slot,
                                                                 .class = ex->ask.class,
                                                                 .wait_ns_max = ex->ask.wait_ns_max,
                                                                 .key = ex->ask.auth.number,
                                                                 .lease = ex->ask.lease,
                                                                 .since = {since}}});
}

/* The name in the query, as the model's server is to see it: profile and selector may have put
 * another in its place. */
static void rename_in_query(struct exchange *ex, const char *name)
{
    struct http_span q = ex->head->query;
    const char *query = ex->bytes + q.off;
    struct buf text = {0};
    size_t off, len;
    must(url_query_span(query, q.len, "model", &off, &len));
    buf_append(&text, query, off);
    url_encode(&text, name);
    buf_append(&text, query + off + len, q.len - off - len);
    free(ex->ask.query);
    ex->ask.query = buf_take(&text);
}

/* The model is known by name: into the queue, or 404. */
static void identify(struct exchange *ex, const char *name)
{
    struct naming who;
    if (!exchange_name(ex, name, &who) || (ex->scanner && !exchange_filter(ex, &who)))
        return;
    /* useModelName is for bodies; a peer knows its models by no other name. */
    const char *theirs = who.peer && who.write ? who.write : who.asked;
    if (theirs != name)
        rename_in_query(ex, theirs);
    exchange_admit(ex, &who);
}

void exchange_route_query(struct exchange *ex)
{
    char name[MODEL_NAME_MAX];
    struct http_span q = ex->head->query;
    int found = url_query_find(ex->bytes + q.off, q.len, "model", name, sizeof(name));
    if (found < 0)
        exchange_fail_error(ex, ERR_MODEL_MISSING, "the model in the query cannot be decoded");
    else if (found > 1)
        exchange_fail_error(ex, ERR_MODEL_DUPLICATE, NULL);
    else if (found == 0 || !name[0])
        exchange_fail_error(ex, ERR_MODEL_MISSING, NULL);
    else
        identify(ex, name);
}

/* Whether any field says so, of however many. */
static bool is_encoded(const struct exchange *ex)
{
    const struct http_head *h = ex->head;
    for (uint32_t i = 0; i < h->field_count; i++)
        if (h->fields[i].known == HTTP_FIELD_CONTENT_ENCODING &&
            !http_span_equal_case(ex->bytes, h->fields[i].value, "identity"))
            return true;
    return false;
}

static void route_body(struct exchange *ex)
{
    const struct http_field *type = http_head_find(ex->head, HTTP_FIELD_CONTENT_TYPE);
    if (is_encoded(ex)) {
        exchange_fail_error(ex, ERR_BODY_ENCODED, NULL);
        return;
    }
    ex->ask.path_skip = ex->route->upstream_skip;
    if (!ex->route->translate)
        ex->scanner =
            scanner_new(type ? ex->bytes + type->value.off : NULL, type ? type->value.len : 0);
    send_continue(ex);
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

/* ID:TOKEN of the lease under which the request is made, which it must not wait for. False, and
 * answered, when it is none. */
static bool read_lease(struct exchange *ex)
{
    char text[FIELD_TEXT_MAX];
    if (!find_once(ex, "x-wharf-lease", text) || (*text && !strchr(text, ':'))) {
        exchange_fail_error(ex, ERR_FIELD_INVALID, "X-Wharf-Lease is ID:TOKEN, as in WHARF_LEASE");
        return false;
    }
    if (!*text)
        return true;
    size_t n = strcspn(text, ":");
    const struct lease *l = leases_find(ex->server, text, n);
    const char *token = text + n + 1;
    if (!l || !leases_opens(l, token, strlen(token))) {
        exchange_fail_error(ex, l ? ERR_LEASE_FOREIGN : ERR_LEASE_UNKNOWN, NULL);
        return false;
    }
    ex->ask.lease = leases_core_id(l);
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
        exchange_fail_error(ex, ERR_FIELD_INVALID,
                            "X-Wharf-Class is foreground, normal or background");
        return false;
    }
    if (!find_once(ex, "x-wharf-wait", text) ||
        (*text && (text[strspn(text, "0123456789.")] ||
                   !units_parse_duration(text, NS_PER_S, &ex->ask.wait_ns_max)))) {
        exchange_fail_error(ex, ERR_FIELD_INVALID,
                            "X-Wharf-Wait is a number of seconds, such as 30 or 0.5");
        return false;
    }
    if (!find_once(ex, "x-wharf-progress", text) || !waiting_parse(text, &ex->ask.progress)) {
        exchange_fail_error(ex, ERR_FIELD_INVALID, "X-Wharf-Progress is interim, comments or none");
        return false;
    }
    return read_lease(ex);
}

static bool admissible(struct exchange *ex, const char *allow)
{
    const struct http_head *h = ex->head;
    struct server *s = ex->server;
    if (!entry_by_name(ex))
        return false;
    if (!ex->route) {
        if (!allow && paths_redirect_clean(ex))
            return false;
        exchange_fail(ex, &(struct problem){.error = allow ? ERR_METHOD_INVALID : ERR_ROUTE_UNKNOWN,
                                            .allow = allow});
        return false;
    }
    /* It would show what the model's server is sent, and would have to count Max-Forwards (RFC
     * 9110, sections 9.3.8 and 7.6.2). */
    if (http_span_equal(ex->bytes, h->method, "TRACE")) {
        exchange_fail(ex,
                      &(struct problem){.error = ERR_METHOD_INVALID,
                                        .allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"});
        return false;
    }
    if (!entry_permits(ex, ex->route->right))
        return false;
    if (ex->route->kind != ROUTE_LOCAL && !read_wishes(ex))
        return false;
    if (h->expect_unknown) {
        exchange_fail_error(ex, ERR_EXPECTATION, NULL);
        return false;
    }
    if (h->framing == HTTP_BODY_LENGTH && h->content_length > s->bodies.body_max) {
        exchange_fail_error(ex, ERR_BODY_TOO_LARGE, NULL);
        return false;
    }
    return true;
}

void exchange_route(struct exchange *ex)
{
    const struct http_head *h = ex->head;
    struct server *s = ex->server;
    const char *allow = NULL;
    if (http_span_equal(ex->bytes, h->method, "OPTIONS")) {
        ex->client->api->preflight(s, ex);
        return;
    }
    ex->route = paths_find(ex, ex->bytes + h->path.off, h->path.len, &allow);
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
            exchange_route_query(ex);
        break;
    case ROUTE_MODEL_PATH:
        paths_route(ex);
        break;
    case ROUTE_MODEL_FIXED:
        paths_route_fixed(ex);
        break;
    }
}
