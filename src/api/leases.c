/* Leases: POST /wharf/leases asks for one, and is held for as long as the lease is, or has a ttl.
 * What may end, renew or hold a lease is its token, and nothing else. */
#include <jansson.h>
#include <string.h>

#include "api/json.h"
#include "base/pure/errors.h"
#include "config/config.h"
#include "server/leases/leases.h"

#define TOKEN_FIELD "x-wharf-lease-token"

static void fail(struct exchange *ex, int error, const char *detail)
{
    exchange_fail(ex, &(struct problem){.error = error, .detail = detail});
}

/* ---- asking ---- */

/* What a key allows holds for jobs as it does for requests. */
static void apply_key(const struct exchange *ex, bool has_class, struct core_lease_ask *ask)
{
    const struct config_key *key = ex->ask.auth.key;
    if (!key)
        return;
    if (!has_class && key->has_class && ask->class < (enum class)key->class)
        ask->class = (enum class)key->class;
    if (ask->class < (enum class)key->class_max)
        ask->class = (enum class)key->class_max;
    if (key->has_wait && ask->wait_ns_max > key->wait_ns_max)
        ask->wait_ns_max = key->wait_ns_max;
}

static bool read_name(struct exchange *ex, const json_t *body, const char **ret)
{
    const json_t *name = json_object_get(body, "name");
    *ret = json_is_string(name) ? json_string_value(name) : "";
    if ((!name || json_is_null(name) || json_is_string(name)) && strlen(*ret) <= LEASE_NAME_MAX)
        return true;
    api_fail_body(ex, "\"name\" must be a text of 128 bytes at most");
    return false;
}

/* Bytes can be promised only where it is known how many there are. */
static bool refuse_early(struct server *s, struct exchange *ex, const struct core_lease_ask *ask)
{
    if (!ask->bytes || (s->boot.over && ask->device_mask))
        return false;
    struct problem early = {.error = ERR_BUSY,
                            .detail = "wharf is still finding out which GPUs there are",
                            .retry_after_s = 1};
    struct problem none = {.error = ERR_NO_ROOM,
                           .detail = "there is no GPU, so that no lease can have device memory: "
                                     "the largest possible is 0 bytes"};
    exchange_fail(ex, s->boot.over ? &none : &early);
    return true;
}

void api_lease_ask(struct server *s, struct exchange *ex)
{
    struct lease_terms terms = {0};
    if (s->stopping) {
        fail(ex, ERR_SHUTTING_DOWN, NULL);
        return;
    }
    json_t *body = api_read_json(ex);
    if (!body)
        return;
    const json_t *class = json_object_get(body, "class");
    if (read_name(ex, body, &terms.name) && api_read_lease(ex, body, &terms.ask) &&
        !refuse_early(s, ex, &terms.ask)) {
        apply_key(ex, class && !json_is_null(class), &terms.ask);
        terms.pid = api_peer_pid(ex, body);
        leases_ask(s, ex, &terms);
    }
    json_decref(body);
}

/* ---- one that there is ---- */

/* A token in the head; else the body's, which json owns. NULL, and answered, when there is none. */
static const char *read_token(struct exchange *ex, json_t **json, size_t *ret_len)
{
    const struct http_head *h = ex->head;
    for (uint32_t i = 0; i < h->field_count; i++) {
        if (!http_span_equal_case(ex->bytes, h->fields[i].name, TOKEN_FIELD))
            continue;
        *ret_len = h->fields[i].value.len;
        return ex->bytes + h->fields[i].value.off;
    }
    static const char *const members[] = {"token"};
    const char *token = NULL;
    *json = api_read_json(ex);
    if (*json && api_check_members(ex, *json, "this body", members, countof(members)) &&
        api_read_text(ex, *json, "token", true, &token))
        *ret_len = strlen(token);
    return token;
}

/* The lease that the path names, if the request brings its token; NULL, and answered, otherwise. */
static struct lease *open_lease(struct server *s, struct exchange *ex)
{
    char id[API_NAME_MAX];
    json_t *json = NULL;
    size_t len = 0;
    if (!api_path_tail(ex, id, sizeof(id)))
        return NULL;
    const char *token = read_token(ex, &json, &len);
    if (!token) {
        json_decref(json);
        return NULL;
    }
    struct lease *l = leases_find(s, id, strlen(id));
    bool opens = l && leases_opens(l, token, len);
    json_decref(json);
    if (opens)
        return l;
    if (!l && !s->boot.over) {
        exchange_fail(ex, &(struct problem){.error = ERR_BUSY,
                                            .detail = "wharf is starting, and does not know yet "
                                                      "which leases an earlier daemon has granted",
                                            .retry_after_s = 1});
        return NULL;
    }
    fail(ex, l ? ERR_LEASE_FOREIGN : ERR_LEASE_UNKNOWN, NULL);
    return NULL;
}

void api_lease_hold(struct server *s, struct exchange *ex)
{
    struct lease *l = open_lease(s, ex);
    if (!l)
        return;
    if (leases_has_ttl(l))
        fail(ex, ERR_CONFLICT, "a lease with a ttl is not held; PUT renews it");
    else if (!leases_is_granted(l))
        fail(ex, ERR_CONFLICT, "the lease waits, and is held by another connection");
    else
        leases_hold(l, ex);
}

void api_lease_renew(struct server *s, struct exchange *ex)
{
    struct lease *l = open_lease(s, ex);
    if (!l)
        return;
    if (!leases_has_ttl(l) || !leases_is_granted(l)) {
        fail(ex, ERR_CONFLICT, "only a granted lease with a ttl can be renewed");
        return;
    }
    struct buf json = {0};
    leases_renew(l);
    struct lease_view v;
    leases_look(s, l, &v);
    buf_printf(&json, "{\"lease\":\"%s\",\"state\":\"%s\",\"expires_s\":", v.id, v.state);
    api_put_seconds(&json, leases_left_ns(l));
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}

void api_lease_end(struct server *s, struct exchange *ex)
{
    struct lease *l = open_lease(s, ex);
    if (!l)
        return;
    leases_end(l, "its holder has ended it");
    exchange_reply(ex, 204, NULL, NULL, "", 0);
}

/* ---- all of them ---- */

void api_put_gates(const struct server *s, const struct core_lease_ask *ask, struct buf *b)
{
    buf_text(b, ",\"gates\":[");
    for (uint32_t i = 0; i < ask->gate_count; i++) {
        buf_text(b, i ? "," : "");
        buf_json_text(b, roster_gate(&s->roster, ask->gates[i]));
    }
    buf_char(b, ']');
}

static void put_wait(struct server *s, const struct lease *l, const struct lease_view *v,
                     struct buf *b)
{
    struct buf text = {0};
    if (v->position)
        leases_put_wait(s, l, &text);
    api_put_number(b, "position", v->position != 0, v->position);
    api_put_number(b, "estimate_s", v->estimate_s != 0, v->estimate_s);
    buf_text(b, ",\"for\":");
    api_put_text(b, text.data);
    buf_fini(&text);
}

void api_put_lease(struct server *s, const struct lease *l, struct buf *b)
{
    struct lease_view v;
    leases_look(s, l, &v);
    buf_printf(b, "{\"id\":\"%s\",\"name\":", v.id);
    api_put_text(b, v.name);
    buf_printf(b, ",\"state\":\"%s\",\"class\":\"%s\",\"bytes\":%llu,\"gpus\":%u,\"devices\":",
               v.state, class_text(v.ask->class), (unsigned long long)v.ask->bytes,
               v.ask->bytes ? v.ask->device_count + !v.ask->device_count : 0);
    api_put_devices(b, s, v.devices);
    api_put_gates(s, v.ask, b);
    api_put_number(b, "pid", v.pid != 0, (uint64_t)v.pid);
    buf_printf(b, ",\"held\":%s,\"revocable\":%s,\"since_s\":", v.held ? "true" : "false",
               v.ask->revocable ? "true" : "false");
    api_put_age(b, v.since_ns);
    buf_text(b, ",\"granted_s\":");
    api_put_age(b, v.granted_ns);
    buf_text(b, ",\"expires_s\":");
    api_put_left(b, v.expires_ns);
    put_wait(s, l, &v, b);
    buf_char(b, '}');
}

static void put_known_gates(const struct config *c, struct buf *b)
{
    buf_text(b, ",\"gates\":[");
    for (uint32_t i = 0; i < c->gate_count; i++) {
        buf_text(b, i ? ",{\"name\":" : "{\"name\":");
        buf_json_text(b, c->gates[i].id);
        buf_printf(b, ",\"limit\":%u}", c->gates[i].limit);
    }
    buf_char(b, ']');
}

void api_leases(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    const struct lease *l = NULL;
    const char *sep = "";
    buf_text(&json, "{\"leases\":[");
    while ((l = leases_next(s, l))) {
        buf_text(&json, sep);
        api_put_lease(s, l, &json);
        sep = ",";
    }
    buf_char(&json, ']');
    put_known_gates(s->roster.current->config, &json);
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}
