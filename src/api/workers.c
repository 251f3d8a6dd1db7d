/* Workers: POST /wharf/workers is held for as long as one is there; what it was told to do it
 * answers by POST /wharf/workers/TOKEN. */
#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/json.h"
#include "base/pure/errors.h"
#include "config/config.h"
#include "server/net/origin.h"
#include "server/proxy/client.h"
#include "server/residents/worker.h"

static void fail(struct exchange *ex, int error, const char *detail)
{
    exchange_fail(ex, &(struct problem){.error = error, .detail = detail});
}

/* Without keys, whoever reaches wharf over a network could stand for a model. */
static bool refuse_stranger(struct server *s, struct exchange *ex)
{
    const char *peer = ex->client->peer;
    if (!*peer || api_is_loopback(peer) || s->roster.current->config->key_count)
        return false;
    fail(ex, ERR_UNAUTHORIZED,
         "a worker on another machine needs an API key, and none are configured");
    return true;
}

/* Absent or null: *ret is NULL. */
static bool read_text(struct exchange *ex, const json_t *body, const char *name, const char **ret)
{
    *ret = NULL;
    return json_is_null(json_object_get(body, name)) || api_read_text(ex, body, name, false, ret);
}

static bool find_model(struct server *s, struct exchange *ex, const json_t *body, uint32_t *ret)
{
    const char *name;
    if (!api_read_text(ex, body, "model", true, &name))
        return false;
    *ret = roster_find(&s->roster, name);
    if (*ret == CORE_SLOT_NONE) {
        exchange_fail_unknown(ex, name);
        return false;
    }
    if (roster_model(&s->roster, *ret)->backend == CONFIG_BACKEND_WORKER)
        return true;
    struct buf detail = {0};
    buf_printf(&detail,
               "model %s is not configured with `backend: worker`, so no worker can hold it",
               roster_id(&s->roster, *ret));
    fail(ex, ERR_CONFLICT, detail.data);
    buf_fini(&detail);
    return false;
}

static bool read_offered(struct exchange *ex, const json_t *body, const struct config_model *m,
                         uint32_t *ret)
{
    const json_t *list = json_object_get(body, "devices"), *item;
    size_t i;
    uint32_t mask = 0;
    if (!list || json_is_null(list)) {
        *ret = (1U << m->placement_count) - 1;
        return true;
    }
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        uint32_t variant = name ? config_model_find_placement(m, name) : UINT32_MAX;
        /* One that only the worker knows is nothing that it would be sent to. */
        if (variant != UINT32_MAX)
            mask |= 1U << variant;
    }
    *ret = mask;
    if (!mask)
        api_fail_body(ex, "\"devices\" must be a list with at least one of the model's devices");
    return mask != 0;
}

static bool read_place(struct server *s, struct exchange *ex, const json_t *body,
                       const struct config_model *m, const char **ret)
{
    struct err err = {0};
    if (!read_text(ex, body, "device", ret))
        return false;
    if (worker_check(s, m, *ret, &err) == 0)
        return true;
    api_fail_body(ex, err.text);
    return false;
}

/* Absent or null: 0. */
static bool read_bytes(struct exchange *ex, const json_t *body, uint64_t *ret)
{
    const json_t *bytes = json_object_get(body, "bytes");
    *ret = json_is_integer(bytes) && json_integer_value(bytes) > 0
               ? (uint64_t)json_integer_value(bytes)
               : 0;
    if (!bytes || json_is_null(bytes) || json_is_integer(bytes))
        return true;
    api_fail_body(ex, "\"bytes\" must be a whole number");
    return false;
}

static bool on_this_machine(const struct origin *o)
{
    bool is = !o->named && o->addr_count > 0;
    for (uint32_t i = 0; i < o->addr_count && !o->is_unix; i++) {
        char text[INET6_ADDRSTRLEN] = "";
        const struct sockaddr *addr = (const struct sockaddr *)&o->addrs[i];
        uv_ip_name(addr, text, sizeof(text));
        is &= api_is_loopback(text);
    }
    return is;
}

/* A socket of another user may be one that wharf may open and the worker may not: it would have
 * wharf speak to it. Only root may name any. */
static bool bind_to_user(const struct exchange *ex, struct origin *o)
{
    struct peer_user user = api_peer_user(ex);
    o->owned = o->is_unix && user.uid != 0;
    o->owner_uid = user.uid;
    return !o->is_unix || user.known;
}

/* The configuration's address, else the one that it names itself, which may not send requests to
 * other machines. *ret: NULL for none; counted. */
static bool read_origin(struct server *s, struct exchange *ex, const json_t *body,
                        const struct config_model *m, struct origin **ret)
{
    const char *url;
    struct err err = {0};
    *ret = NULL;
    if (!read_text(ex, body, "proxy", &url))
        return false;
    bool own = *m->proxy != '\0';
    if (own)
        url = m->proxy;
    if (!url)
        return true;
    struct origin *o = origin_new(s);
    o->connect_timeout_ns = m->connect_timeout_ns;
    o->tls_timeout_ns = m->tls_timeout_ns;
    o->header_timeout_ns = m->header_timeout_ns;
    o->idle_timeout_ns = m->idle_timeout_ns;
    if (origin_locate(o, url, &err) == 0 && (own || (on_this_machine(o) && bind_to_user(ex, o)))) {
        *ret = o;
        return true;
    }
    origin_put(o);
    api_fail_body(
        ex,
        *err.text
            ? err.text
            : "\"proxy\" must be on this machine: a loopback address, or "
              "unix:/PATH of the worker's own user; another one can be given as the model's proxy");
    return false;
}

static bool read_terms(struct server *s, struct exchange *ex, const json_t *body,
                       struct worker_terms *ret)
{
    if (!find_model(s, ex, body, &ret->slot))
        return false;
    const struct config_model *m = roster_model(&s->roster, ret->slot);
    struct err err = {0};
    if (!read_offered(ex, body, m, &ret->offered) || !read_place(s, ex, body, m, &ret->device) ||
        !read_bytes(ex, body, &ret->bytes))
        return false;
    if (worker_admits(s, ret->slot, &err) < 0) {
        fail(ex, ERR_CONFLICT, err.text);
        return false;
    }
    ret->pid = api_peer_pid(ex, body);
    return read_origin(s, ex, body, m, &ret->origin);
}

void api_worker_join(struct server *s, struct exchange *ex)
{
    struct worker_terms terms = {0};
    if (refuse_stranger(s, ex))
        return;
    if (s->stopping) {
        fail(ex, ERR_SHUTTING_DOWN, NULL);
        return;
    }
    if (!s->boot.over) {
        exchange_fail(ex,
                      &(struct problem){.error = ERR_BUSY,
                                        .detail = "wharf is still finding out which GPUs there are",
                                        .retry_after_s = 1});
        return;
    }
    json_t *body = api_read_json(ex);
    if (!body)
        return;
    static const char *const members[] = {"model", "devices", "device", "bytes", "proxy", "pid"};
    if (api_check_members(ex, body, "a worker", members, countof(members)) &&
        read_terms(s, ex, body, &terms))
        worker_join(s, ex, &terms);
    json_decref(body);
}

static struct worker *find_worker(struct server *s, struct exchange *ex)
{
    char token[API_NAME_MAX];
    if (!api_path_tail(ex, token, sizeof(token)))
        return NULL;
    struct worker *w = worker_find(s, token);
    if (!w)
        fail(ex, ERR_ROUTE_UNKNOWN, "no worker has this token");
    return w;
}

static bool read_reply(struct exchange *ex, const json_t *body, struct worker_reply *ret)
{
    const json_t *id = json_object_get(body, "id"), *ok = json_object_get(body, "ok");
    if (!json_is_integer(id) || !json_is_boolean(ok)) {
        api_fail_body(ex,
                      "an answer has \"id\", the number of the order, and \"ok\", true or false");
        return false;
    }
    ret->id = (uint64_t)json_integer_value(id);
    ret->ok = json_is_true(ok);
    if (!read_text(ex, body, "device", &ret->device) ||
        !read_text(ex, body, "error", &ret->error) || !read_bytes(ex, body, &ret->bytes))
        return false;
    if (!ret->ok || !ret->device || json_is_true(json_object_get(body, "checked")))
        return true;
    api_fail_body(ex,
                  "\"ok\": true on a device needs \"checked\": true: the worker has to find out "
                  "that the model still works there");
    return false;
}

void api_worker_answer(struct server *s, struct exchange *ex)
{
    struct worker_reply reply = {0};
    struct err err = {0};
    struct worker *w = find_worker(s, ex);
    json_t *body = w ? api_read_json(ex) : NULL;
    if (!body)
        return;
    static const char *const members[] = {"id", "ok", "device", "error", "bytes", "checked"};
    bool sound = api_check_members(ex, body, "an answer", members, countof(members)) &&
                 read_reply(ex, body, &reply);
    int rc = sound ? worker_answer(w, &reply, &err) : 0;
    json_decref(body);
    if (!sound)
        return;
    if (rc) {
        fail(ex, rc < 0 ? ERR_BODY_INVALID : ERR_CONFLICT, err.text);
        return;
    }
    struct buf json = {0};
    buf_text(&json, "{}\n");
    api_send_json(ex, 200, &json);
}

void api_worker_leave(struct server *s, struct exchange *ex)
{
    struct worker *w = find_worker(s, ex);
    if (!w)
        return;
    worker_leave(w);
    struct buf json = {0};
    buf_text(&json, "{}\n");
    api_send_json(ex, 200, &json);
}
