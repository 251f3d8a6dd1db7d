#include "lib/client/connection.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"

static bool is_text(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static const char *or_environment(const char *text, const char *variable)
{
    const char *value = text ? text : getenv(variable);
    return value && *value ? value : NULL;
}

struct wharf_client *wharf_client_new(const struct wharf_client_options *o)
{
    static const struct wharf_client_options none;
    o = o ? o : &none;
    const char *url = or_environment(o->url, "WHARF_URL");
    const char *key = or_environment(o->key, "WHARF_KEY");
    struct err e = {.set = false};
    struct wharf_client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->options.stop_fd = -1;
    c->options.connect_ms_max = CLIENT_CONNECT_MS_DEFAULT;
    int rc = 0;
    if (!url)
        client_address_default(&c->options.address);
    else if (client_address_parse(url, &c->options.address, &e) < 0)
        rc = EINVAL;
    if (key && !is_text(key))
        rc = EINVAL;
    if (rc == 0 && key && !(c->options.key = strdup(key)))
        rc = ENOMEM;
    if (rc == 0)
        return c;
    free(c);
    errno = rc;
    return NULL;
}

void wharf_client_free(struct wharf_client *c)
{
    if (!c)
        return;
    free((void *)(uintptr_t)c->options.key);
    free(c);
}

void wharf_text_free(char *text)
{
    free(text);
}

static void wake(struct cancel_member *m)
{
    must(eventfd_write(container_of(m, struct stop, member)->fd, 1) == 0);
}

int stop_init(struct stop *s)
{
    *s = (struct stop){.member = {.wake = wake}};
    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return s->fd < 0 ? -ENOMEM : 0;
}

void stop_fini(struct stop *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

bool stop_begin(struct stop *s, struct wharf_cancel *cancel)
{
    s->cancel = cancel;
    return cancel_join(cancel, &s->member);
}

void stop_end(struct stop *s)
{
    eventfd_t count;
    cancel_leave(s->cancel, &s->member);
    if (s->cancel)
        (void)!eventfd_read(s->fd, &count); /* it may have been set meanwhile */
    s->cancel = NULL;
}

uint64_t limits_end_ns(const struct wharf_limits *l)
{
    return l ? clock_end_ns(clock_ns(), l->timeout_ns) : UINT64_MAX;
}

int64_t limits_left_ns(uint64_t end_ns)
{
    uint64_t t = clock_ns();
    return end_ns == UINT64_MAX ? WHARF_FOREVER : t >= end_ns ? 0 : (int64_t)(end_ns - t);
}

uint32_t limits_silence_ms(uint64_t end_ns)
{
    if (end_ns == UINT64_MAX)
        return 0;
    uint64_t t = clock_ns();
    uint64_t ms = t >= end_ns ? 0 : (end_ns - t + NS_PER_MS - 1) / NS_PER_MS;
    return ms == 0 ? CLIENT_NO_WAIT : ms < CLIENT_NO_WAIT ? (uint32_t)ms : CLIENT_NO_WAIT - 1;
}

int rc_of_client(int rc)
{
    switch ((enum client_error) - rc) {
    case CLIENT_OK:
        return 0;
    case CLIENT_INVALID:
        return -EINVAL;
    case CLIENT_UNREACHABLE:
        return -ECONNREFUSED;
    case CLIENT_TIMEOUT:
    case CLIENT_AGAIN: /* with no time to wait */
        return -ETIMEDOUT;
    case CLIENT_STOPPED:
        return -ECANCELED;
    case CLIENT_BROKEN:
    case CLIENT_TOO_LARGE:
        break;
    }
    return -EPROTO;
}

int rc_of_status(int status)
{
    static const struct {
        int status, rc;
    } rows[] = {{400, -EINVAL}, {401, -EACCES}, {403, -EACCES}, {404, -ENOENT},
                {429, -EAGAIN}, {503, -EAGAIN}, {507, -ENOSPC}};
    for (size_t i = 0; i < countof(rows); i++)
        if (rows[i].status == status)
            return rows[i].rc;
    return status >= 200 && status < 300 ? 0 : -EIO;
}

void give_text(char **ret_text, const char *text)
{
    if (ret_text)
        *ret_text = strdup(text);
}

int give_refusal(const struct client_reply *r, char **ret_text)
{
    struct buf text = {0};
    client_reply_explain(r, &text);
    give_text(ret_text, text.data);
    buf_fini(&text);
    return rc_of_status(r->status);
}

/* client_collect, but for the time that all of it may take. */
static int collect(struct client_answer *a, uint64_t end_ns, struct client_reply *ret,
                   struct err *e)
{
    struct client_reply r = {.status = client_status(a), .body = {.max = CLIENT_REPLY_BYTES_MAX}};
    const char *data;
    size_t n;
    int rc;
    do {
        client_set_silence(a, limits_silence_ms(end_ns));
        rc = client_read(a, &data, &n, e);
        if (rc > 0)
            buf_append(&r.body, data, n);
    } while (rc > 0 && !r.body.overflow);
    if (r.body.overflow) {
        (void)err_set(e, "the answer is larger than %d bytes", CLIENT_REPLY_BYTES_MAX);
        rc = -CLIENT_TOO_LARGE;
    }
    if (rc < 0) {
        buf_fini(&r.body);
        return rc;
    }
    if (r.body.len)
        r.json = json_loadb(r.body.data, r.body.len, 0, NULL);
    *ret = r;
    return 0;
}

/* 0 with an answer of whatever status, or the negative of an enum client_error. */
static int exchange(struct client_options *opt, struct client_request *rq, uint64_t end_ns,
                    struct client_reply *ret, struct err *e)
{
    struct client_answer *a;
    rq->silence_ms_max = limits_silence_ms(end_ns);
    if (rq->silence_ms_max && rq->silence_ms_max < opt->connect_ms_max)
        opt->connect_ms_max = rq->silence_ms_max;
    int rc = client_open(opt, rq, &a, e);
    if (rc == 0)
        rc = collect(a, end_ns, ret, e);
    client_close(a);
    return rc;
}

int connection_fetch(const struct wharf_client *c, const struct client_request *rq,
                     const struct wharf_limits *l, struct client_reply *ret, char **ret_text)
{
    struct client_options opt = c->options;
    struct client_request own = *rq;
    struct wharf_cancel *cancel = l ? l->cancel : NULL;
    struct stop stop = {.fd = -1};
    struct err e = {.set = false};
    uint64_t end_ns = limits_end_ns(l);
    int rc = cancel ? stop_init(&stop) : 0;
    if (ret_text)
        *ret_text = NULL;
    if (rc < 0)
        return rc;
    opt.stop_fd = stop.fd;
    rc = -CLIENT_STOPPED;
    if (stop_begin(&stop, cancel)) {
        rc = exchange(&opt, &own, end_ns, ret, &e);
        stop_end(&stop);
    }
    stop_fini(&stop);
    if (rc < 0) {
        give_text(ret_text, e.set ? e.text : "it was cancelled");
        return rc_of_client(rc);
    }
    if (client_reply_ok(ret))
        return 0;
    rc = give_refusal(ret, ret_text);
    client_reply_fini(ret);
    return rc;
}
