/* A lease of a daemon's, as the daemon tells of it line by line. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pure/errors.h"
#include "base/pure/units.h"
#include "lib/client/stream.h"
#include "wharf/lease.h"

struct wharf_lease {
    struct wharf_client *client;
    struct stream stream; /* unless it has a ttl */
    bool has_stream;
    enum wharf_lease_state state;
    json_t *identity; /* its first word: lease and token */
    json_t *granted;  /* NULL: not yet */
    json_t *said;     /* the last of state */
    int refusal;      /* ENDED because it was refused: why; 0: it was not */
};

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- asking ---- */

static void put_texts(struct buf *b, const char *key, const char *const *texts, uint32_t count)
{
    if (!texts || !count)
        return;
    buf_printf(b, ",\"%s\":[", key);
    for (uint32_t i = 0; i < count; i++) {
        buf_text(b, i ? "," : "");
        buf_json_text(b, texts[i]);
    }
    buf_char(b, ']');
}

static void put_span(struct buf *b, const char *key, int64_t ns)
{
    buf_printf(b, ",\"%s\":%" PRId64 ".%09" PRId64, key, ns / (int64_t)NS_PER_S,
               ns % (int64_t)NS_PER_S);
}

static const char *class_text(enum wharf_class c)
{
    switch (c) {
    case WHARF_FOREGROUND:
        return "foreground";
    case WHARF_NORMAL:
        return "normal";
    case WHARF_BACKGROUND:
        return "background";
    }
    return NULL;
}

static void write_ask(struct buf *b, const struct wharf_lease_ask *a)
{
    buf_printf(b, "{\"class\":\"%s\",\"pid\":%ld", class_text(a->wharf_class), (long)getpid());
    if (a->name) {
        buf_text(b, ",\"name\":");
        buf_json_text(b, a->name);
    }
    if (a->bytes)
        buf_printf(b, ",\"vram\":%" PRIu64 ",\"gpus\":%" PRIu32, a->bytes,
                   a->device_count ? a->device_count : 1);
    put_texts(b, "devices", a->devices, a->devices_listed);
    put_texts(b, "gates", a->gates, a->gate_count);
    if (a->wait_ns >= 0)
        put_span(b, "wait", a->wait_ns);
    if (a->ttl_ns > 0)
        put_span(b, "ttl", a->ttl_ns);
    if (a->run_ns > 0)
        put_span(b, "run", a->run_ns);
    if (a->revocable) {
        buf_text(b, ",\"revocable\":true");
        put_span(b, "grace", a->grace_ns > 0 ? a->grace_ns : 0);
    }
    buf_char(b, '}');
}

/* ---- what the daemon says ---- */

static int refusal_of(const json_t *said)
{
    const json_t *error = json_object_get(said, "error");
    int rc = rc_of_status(error_info(error_find(text_at(error, "code")))->http_status);
    return rc < 0 ? rc : -EIO;
}

static void keep(json_t **where, json_t *what)
{
    json_decref(*where);
    *where = json_incref(what);
}

/* False: it is of no interest, or no object at all. */
static bool apply(struct wharf_lease *s, json_t *said)
{
    static const struct {
        const char *text;
        enum wharf_lease_state state;
    } states[] = {{"waiting", WHARF_LEASE_WAITS},
                  {"granted", WHARF_LEASE_GRANTED},
                  {"revoked", WHARF_LEASE_REVOKED},
                  {"ended", WHARF_LEASE_ENDED},
                  {"refused", WHARF_LEASE_ENDED}};
    const char *text = text_at(said, "state");
    for (size_t i = 0; i < countof(states); i++) {
        if (strcmp(states[i].text, text) != 0)
            continue;
        s->state = states[i].state;
        keep(&s->said, said);
        if (s->state == WHARF_LEASE_GRANTED &&
            (!s->granted || json_object_get(said, "devices"))) /* a renewal names none */
            keep(&s->granted, said);
        if (strcmp(text, "refused") == 0)
            s->refusal = refusal_of(said);
        if (!s->identity || *text_at(said, "token"))
            keep(&s->identity, said);
        return true;
    }
    return false;
}

int wharf_lease_next(struct wharf_lease *s, const struct wharf_limits *l, char **ret_text)
{
    struct wharf_limits left = {.timeout_ns = WHARF_FOREVER};
    uint64_t end_ns = limits_end_ns(l);
    const char *line;
    bool told = false;
    int rc = 0;
    if (l)
        left = *l;
    if (ret_text)
        *ret_text = NULL;
    if (s->state == WHARF_LEASE_ENDED)
        return -EIO;
    while (!told && (rc = stream_line(&s->stream, &left, &line)) == 0) {
        json_t *said = json_loads(line, 0, NULL);
        told = said && apply(s, said);
        json_decref(said);
        left.timeout_ns = limits_left_ns(end_ns);
    }
    if (rc == 0)
        give_text(ret_text, line);
    return rc;
}

int wharf_lease_wait(struct wharf_lease *s, const struct wharf_limits *l, char **ret_text)
{
    struct wharf_limits left = {.timeout_ns = WHARF_FOREVER};
    uint64_t end_ns = limits_end_ns(l);
    if (l)
        left = *l;
    if (ret_text)
        *ret_text = NULL;
    while (s->state == WHARF_LEASE_WAITS) {
        int rc = wharf_lease_next(s, &left, NULL);
        if (rc < 0) {
            give_text(ret_text, rc == -ETIMEDOUT   ? "it still waits"
                                : rc == -ECANCELED ? "it was cancelled"
                                                   : "the connection to the daemon is gone");
            return rc;
        }
        left.timeout_ns = limits_left_ns(end_ns);
    }
    if (s->state != WHARF_LEASE_ENDED)
        return 0;
    const char *why = s->refusal ? text_at(json_object_get(s->said, "error"), "message")
                                 : text_at(s->said, "reason");
    give_text(ret_text, why);
    return s->refusal ? s->refusal : -EIO;
}

/* ---- its begin ---- */

/* The first word of an answer that has begun well. */
static int hear(struct wharf_lease *s, const struct wharf_limits *l, char **ret_text)
{
    struct client_reply reply;
    if (client_status(s->stream.answer) == 200) {
        int rc = wharf_lease_next(s, l, NULL);
        if (rc < 0)
            give_text(ret_text, "the daemon has not said whether it waits");
        return rc;
    }
    int rc = stream_collect(&s->stream, l, &reply, ret_text);
    if (rc < 0)
        return rc;
    stream_close(&s->stream);
    s->has_stream = false;
    if (!client_reply_ok(&reply))
        rc = give_refusal(&reply, ret_text);
    else if (!reply.json || !apply(s, reply.json))
        rc = -EPROTO;
    client_reply_fini(&reply);
    return rc;
}

static void forget(struct wharf_lease *s)
{
    if (s->has_stream)
        stream_close(&s->stream);
    json_decref(s->identity);
    json_decref(s->granted);
    json_decref(s->said);
    free(s);
}

static int open_stream(struct wharf_lease *s, const char *path, const struct buf *body,
                       const struct wharf_limits *l, char **ret_text)
{
    const struct client_request rq = {
        .method = "POST", .path = path, .body = body->data, .body_len = body->len};
    s->has_stream = true;
    int rc = stream_open(&s->stream, s->client, &rq, l, ret_text);
    return rc < 0 ? rc : hear(s, l, ret_text);
}

int wharf_lease_begin(struct wharf_client *c, const struct wharf_lease_ask *ask,
                      const struct wharf_limits *l, struct wharf_lease **ret, char **ret_text)
{
    struct buf body = {0};
    if (ret_text)
        *ret_text = NULL;
    if (!class_text(ask->wharf_class) || (!ask->bytes && !ask->gate_count)) {
        give_text(ret_text, "a lease has a class, and bytes or gates");
        return -EINVAL;
    }
    struct wharf_lease *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->client = c;
    write_ask(&body, ask);
    int rc = open_stream(s, "/wharf/leases", &body, l, ret_text);
    buf_fini(&body);
    if (rc < 0)
        forget(s);
    else
        *ret = s;
    return rc;
}

int wharf_lease_fd(const struct wharf_lease *s)
{
    return s->has_stream ? stream_fd(&s->stream) : -1;
}

/* ---- what is known of it ---- */

static double number_at(const json_t *object, const char *key)
{
    const json_t *n = json_object_get(object, key);
    return json_is_number(n) ? json_number_value(n) : -1;
}

static const json_t *device_at(const struct wharf_lease *s, size_t i)
{
    return json_array_get(json_object_get(s->granted, "devices"), i);
}

void wharf_lease_info(const struct wharf_lease *s, struct wharf_lease_info *ret)
{
    double position = number_at(s->said, "position"), bytes = number_at(device_at(s, 0), "bytes");
    const char *why = text_at(json_object_get(s->said, "error"), "message");
    if (!*why)
        why = text_at(s->said, "reason");
    if (!*why)
        why = text_at(s->said, "for");
    *ret = (struct wharf_lease_info){
        .state = s->state,
        .id = text_at(s->identity, "lease"),
        .token = text_at(s->identity, "token"),
        .position = position > 0 && position < UINT32_MAX ? (uint32_t)position : 0,
        .estimate_s = number_at(s->said, "estimate_s"),
        .why = why,
        .expires_s = number_at(s->said, "expires_s"),
        .device_count = (uint32_t)json_array_size(json_object_get(s->granted, "devices")),
        .bytes = bytes > 0 ? (uint64_t)json_integer_value(json_object_get(device_at(s, 0), "bytes"))
                           : 0};
}

const char *wharf_lease_device(const struct wharf_lease *s, uint32_t i)
{
    return json_string_value(json_object_get(device_at(s, i), "name"));
}

bool wharf_lease_environment(const struct wharf_lease *s, uint32_t i, const char **ret_name,
                             const char **ret_value)
{
    json_t *environment = json_object_get(s->granted, "environment");
    void *at = json_object_iter(environment);
    while (at && i--)
        at = json_object_iter_next(environment, at);
    const char *value = at ? json_string_value(json_object_iter_value(at)) : NULL;
    if (!value)
        return false;
    *ret_name = json_object_iter_key(at);
    *ret_value = value;
    return true;
}

/* ---- its later life ---- */

static void write_path(const struct wharf_lease *s, struct buf *path)
{
    buf_text(path, "/wharf/leases/");
    client_encode_segment(path, text_at(s->identity, "lease"));
}

static void write_token(const struct wharf_lease *s, struct buf *body)
{
    buf_text(body, "{\"token\":");
    buf_json_text(body, text_at(s->identity, "token"));
    buf_char(body, '}');
}

static int send_token(struct wharf_lease *s, const char *method, const struct wharf_limits *l,
                      struct client_reply *ret, char **ret_text)
{
    struct buf path = {0}, body = {0};
    write_path(s, &path);
    write_token(s, &body);
    const struct client_request rq = {
        .method = method, .path = path.data, .body = body.data, .body_len = body.len};
    int rc = connection_fetch(s->client, &rq, l, ret, ret_text);
    buf_fini(&path);
    buf_fini(&body);
    return rc;
}

int wharf_lease_renew(struct wharf_lease *s, const struct wharf_limits *l, char **ret_text)
{
    struct client_reply reply;
    if (s->has_stream)
        return -EINVAL;
    int rc = send_token(s, "PUT", l, &reply, ret_text);
    if (rc == -ENOENT)
        s->state = WHARF_LEASE_ENDED;
    if (rc < 0)
        return rc;
    if (json_is_object(reply.json)) {
        if (!apply(s, reply.json))
            keep(&s->said, reply.json);
        give_text(ret_text, reply.body.data);
    }
    client_reply_fini(&reply);
    return 0;
}

int wharf_lease_resume(struct wharf_lease *s, const struct wharf_limits *l, char **ret_text)
{
    struct buf path = {0}, body = {0};
    if (ret_text)
        *ret_text = NULL;
    if (!s->has_stream || s->state == WHARF_LEASE_ENDED)
        return -EINVAL;
    stream_close(&s->stream);
    write_path(s, &path);
    write_token(s, &body);
    int rc = open_stream(s, path.data, &body, l, ret_text);
    s->has_stream = true; /* a refusal has closed it, and it can be tried again */
    if (rc == -ENOENT)
        s->state = WHARF_LEASE_ENDED;
    buf_fini(&path);
    buf_fini(&body);
    return rc;
}

int wharf_lease_end(struct wharf_lease *s, const struct wharf_limits *l)
{
    struct client_reply reply;
    int rc = 0;
    if (!s)
        return 0;
    if (!s->has_stream && s->state != WHARF_LEASE_ENDED) {
        rc = send_token(s, "DELETE", l, &reply, NULL);
        if (rc == 0)
            client_reply_fini(&reply);
    }
    forget(s);
    return rc;
}

int wharf_client_gate(struct wharf_client *c, const char *gate, enum wharf_class wharf_class,
                      const struct wharf_limits *l, struct wharf_lease **ret)
{
    struct wharf_lease *s;
    struct wharf_limits left = {.timeout_ns = WHARF_FOREVER};
    uint64_t end_ns = limits_end_ns(l);
    if (l)
        left = *l;
    const struct wharf_lease_ask ask = {
        .gates = &gate, .gate_count = 1, .wharf_class = wharf_class, .wait_ns = left.timeout_ns};
    /* With 0 the daemon answers at once, which takes what it takes. */
    const bool waits = left.timeout_ns != 0;
    struct wharf_limits patience = {.timeout_ns = WHARF_FOREVER, .cancel = left.cancel};
    int rc = wharf_lease_begin(c, &ask, waits ? &left : &patience, &s, NULL);
    if (rc < 0)
        return rc == -EAGAIN ? -ETIMEDOUT : rc;
    left.timeout_ns = limits_left_ns(end_ns);
    rc = wharf_lease_wait(s, waits ? &left : &patience, NULL);
    if (rc < 0)
        (void)!wharf_lease_end(s, NULL);
    else
        *ret = s;
    return rc == -EAGAIN ? -ETIMEDOUT : rc;
}
