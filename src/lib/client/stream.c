#include "lib/client/stream.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define LINE_BYTES_MAX CLIENT_LINE_BYTES_MAX

int stream_open(struct stream *s, const struct wharf_client *c, const struct client_request *rq,
                const struct wharf_limits *l, char **ret_text)
{
    struct client_request own = *rq;
    struct err e = {.set = false};
    *s = (struct stream){.line = {.max = LINE_BYTES_MAX}, .options = c->options};
    int rc = stop_init(&s->stop);
    if (rc < 0)
        return rc;
    struct client_options *opt = &s->options;
    opt->stop_fd = s->stop.fd;
    own.silence_ms_max = limits_silence_ms(limits_end_ns(l));
    if (own.silence_ms_max && own.silence_ms_max < opt->connect_ms_max)
        opt->connect_ms_max = own.silence_ms_max;
    rc = -CLIENT_STOPPED;
    if (stop_begin(&s->stop, l ? l->cancel : NULL)) {
        rc = client_open(opt, &own, &s->answer, &e);
        stop_end(&s->stop);
    }
    if (rc < 0)
        give_text(ret_text, e.set ? e.text : "it was cancelled");
    return rc_of_client(rc);
}

void stream_close(struct stream *s)
{
    client_close(s->answer);
    s->answer = NULL;
    buf_fini(&s->line);
    stop_fini(&s->stop);
}

int stream_fd(const struct stream *s)
{
    return s->answer ? client_fd(s->answer) : -1;
}

/* More of the answer, in s->rest. 1, 0 at its end, or the negative of an enum client_error. */
static int read_more(struct stream *s, uint64_t end_ns, struct wharf_cancel *cancel, struct err *e)
{
    if (!stop_begin(&s->stop, cancel))
        return -CLIENT_STOPPED;
    client_set_silence(s->answer, limits_silence_ms(end_ns));
    int rc = client_read(s->answer, &s->rest, &s->rest_len, e);
    stop_end(&s->stop);
    return rc;
}

/* True: a whole line stands in s->line. */
static bool take_line(struct stream *s)
{
    const char *lf = s->rest_len ? memchr(s->rest, '\n', s->rest_len) : NULL;
    size_t n = lf ? (size_t)(lf - s->rest) : s->rest_len, taken = n + (lf ? 1 : 0);
    if (n)
        buf_append(&s->line, s->rest, n);
    s->rest = taken ? s->rest + taken : s->rest;
    s->rest_len -= taken;
    if (!lf)
        return false;
    if (s->line.len && s->line.data[s->line.len - 1] == '\r')
        s->line.data[--s->line.len] = '\0';
    return true;
}

static void over(struct stream *s)
{
    client_close(s->answer);
    s->answer = NULL;
}

int stream_line(struct stream *s, const struct wharf_limits *l, const char **ret_line)
{
    uint64_t end_ns = limits_end_ns(l);
    struct err e = {.set = false};
    if (s->whole)
        buf_clear(&s->line);
    s->whole = false;
    while (s->answer) {
        s->whole = take_line(s);
        if (s->line.overflow)
            break;
        if (s->whole) {
            *ret_line = s->line.data ? s->line.data : "";
            return 0;
        }
        int rc = read_more(s, end_ns, l ? l->cancel : NULL, &e);
        if (rc == -CLIENT_TIMEOUT || rc == -CLIENT_AGAIN || rc == -CLIENT_STOPPED)
            return rc_of_client(rc);
        if (rc <= 0)
            break;
    }
    over(s);
    return -EPROTO;
}

int stream_collect(struct stream *s, const struct wharf_limits *l, struct client_reply *ret,
                   char **ret_text)
{
    struct client_reply r = {.status = client_status(s->answer),
                             .body = {.max = CLIENT_REPLY_BYTES_MAX}};
    uint64_t end_ns = limits_end_ns(l);
    struct err e = {.set = false};
    int rc;
    while ((rc = read_more(s, end_ns, l ? l->cancel : NULL, &e)) > 0 && !r.body.overflow)
        buf_append(&r.body, s->rest, s->rest_len);
    s->rest_len = 0;
    if (r.body.overflow)
        rc = -CLIENT_TOO_LARGE;
    if (rc < 0) {
        give_text(ret_text, e.set ? e.text : "the answer is too large, or it was cancelled");
        buf_fini(&r.body);
        return rc_of_client(rc);
    }
    if (r.body.len)
        r.json = json_loadb(r.body.data, r.body.len, 0, NULL);
    *ret = r;
    return 0;
}
