#include "client_lease.h"

#include <jansson.h>
#include <string.h>

#define LEASES "/wharf/leases"
/* A daemon answers these from memory. */
#define SILENCE_MS_MAX 30000

static const char *const state_words[CLIENT_LEASE__COUNT] = {
    [CLIENT_LEASE_WAITING] = "waiting", [CLIENT_LEASE_GRANTED] = "granted",
    [CLIENT_LEASE_REVOKED] = "revoked", [CLIENT_LEASE_ENDED] = "ended",
    [CLIENT_LEASE_REFUSED] = "refused",
};

int client_lease_ask(const struct client_options *opt, const char *body, size_t body_len,
                     struct client_answer **ret, struct err *e)
{
    /* One with a time to live is answered when it is granted, which may take for ever. */
    const struct client_request rq = {.method = "POST",
                                      .path = LEASES,
                                      .accept = "application/x-ndjson, application/json",
                                      .body = body,
                                      .body_len = body_len};
    return client_open(opt, &rq, ret, e);
}

static void write_path(struct buf *path, const char *id)
{
    buf_text(path, LEASES "/");
    client_encode_segment(path, id);
}

static void write_token(struct buf *body, const char *token)
{
    buf_text(body, "{\"token\":");
    buf_json_text(body, token);
    buf_char(body, '}');
}

int client_lease_resume(const struct client_options *opt, const char *id, const char *token,
                        struct client_answer **ret, struct err *e)
{
    struct buf path = {0}, body = {0};
    write_path(&path, id);
    write_token(&body, token);
    const struct client_request rq = {.method = "POST",
                                      .path = path.data,
                                      .accept = "application/x-ndjson",
                                      .body = body.data,
                                      .body_len = body.len,
                                      .silence_ms_max = SILENCE_MS_MAX};
    int rc = client_open(opt, &rq, ret, e);
    buf_fini(&path);
    buf_fini(&body);
    return rc;
}

static int fetch(const struct client_options *opt, const char *method, const char *id,
                 const char *token, struct client_reply *ret, struct err *e)
{
    struct buf path = {0}, body = {0};
    write_path(&path, id);
    write_token(&body, token);
    const struct client_request rq = {.method = method,
                                      .path = path.data,
                                      .accept = "application/json",
                                      .body = body.data,
                                      .body_len = body.len,
                                      .silence_ms_max = SILENCE_MS_MAX};
    int rc = client_fetch(opt, &rq, ret, e);
    buf_fini(&path);
    buf_fini(&body);
    return rc;
}

int client_lease_renew(const struct client_options *opt, const char *id, const char *token,
                       struct client_reply *ret, struct err *e)
{
    return fetch(opt, "PUT", id, token, ret, e);
}

int client_lease_end(const struct client_options *opt, const char *id, const char *token,
                     struct client_reply *ret, struct err *e)
{
    return fetch(opt, "DELETE", id, token, ret, e);
}

static double seconds(const json_t *json, const char *name)
{
    const json_t *value = json_object_get(json, name);
    double s = json_number_value(value);
    return json_is_number(value) && s >= 0 ? s : -1;
}

/* CLIENT_LEASE__COUNT: no line of a lease. */
static enum client_lease_state read_state(const json_t *json)
{
    const char *word = json_string_value(json_object_get(json, "state"));
    if (!word)
        return json_object_get(json, "ping") ? CLIENT_LEASE_PING : CLIENT_LEASE__COUNT;
    for (enum client_lease_state s = CLIENT_LEASE_WAITING; s < CLIENT_LEASE__COUNT; s++)
        if (strcmp(word, state_words[s]) == 0)
            return s;
    return CLIENT_LEASE__COUNT;
}

int client_lease_line_take(struct json_t *json, struct client_lease_line *ret)
{
    const json_t *error = json_object_get(json, "error");
    const json_t *position = json_object_get(json, "position");
    struct client_lease_line l = {.state = read_state(json), .json = json, .position = -1};
    if (l.state == CLIENT_LEASE__COUNT) {
        json_decref(json);
        return -1;
    }
    l.id = json_string_value(json_object_get(json, "lease"));
    l.token = json_string_value(json_object_get(json, "token"));
    l.why = json_string_value(
        json_object_get(json, l.state == CLIENT_LEASE_WAITING ? "for" : "reason"));
    if (error) {
        l.why = json_string_value(json_object_get(error, "message"));
        l.code = json_string_value(json_object_get(error, "code"));
    }
    if (json_is_integer(position) && json_integer_value(position) >= 0)
        l.position = json_integer_value(position);
    l.estimate_s = seconds(json, "estimate_s");
    l.grace_s = seconds(json, "grace_s");
    l.waited_s = seconds(json, "waited_s");
    l.expires_s = seconds(json, "expires_s");
    *ret = l;
    return 0;
}

int client_lease_read(struct client_answer *a, struct buf *line, struct client_lease_line *ret,
                      struct err *e)
{
    int rc = client_read_line(a, line, e);
    if (rc <= 0)
        return rc;
    if (client_lease_line_take(json_loadb(line->data, line->len, 0, NULL), ret) == 0)
        return 1;
    err_set(e, "what came is no line of a lease: '%.100s'", line->len > 0 ? line->data : "");
    return -CLIENT_BROKEN;
}

void client_lease_line_fini(struct client_lease_line *l)
{
    json_decref(l->json);
    *l = (struct client_lease_line){.state = CLIENT_LEASE_PING};
}
