#include "server/residents/probe.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "http/head.h"
#include "server/dial.h"
#include "server/server.h"

#define PROBE_HEAD_MAX 16384

struct prober {
    struct stream stream;
    struct origin *origin; /* counted */
    struct dial dial;
    uv_timer_t timer;
    struct buf in;
    char *request; /* owned */
    size_t scan;
    void (*on_answer)(void *arg, bool ready); /* NULL once answered or cancelled */
    void *arg;
    int handles_open;
};

static void release(struct prober *p)
{
    if (--p->handles_open > 0)
        return;
    origin_put(p->origin);
    buf_fini(&p->in);
    free(p->request);
    free(p);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(container_of(handle, struct prober, timer));
}

static void shut(struct prober *p)
{
    dial_stop(&p->dial);
    stream_close(&p->stream);
    if (!uv_is_closing((uv_handle_t *)&p->timer))
        uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

static void answer(struct prober *p, bool ready)
{
    void (*on_answer)(void *arg, bool ready) = p->on_answer;
    p->on_answer = NULL;
    shut(p);
    if (on_answer)
        on_answer(p->arg, ready);
}

static void on_data(struct stream *s, const char *data, size_t n)
{
    static struct http_head head; /* large; used within this call only */
    struct prober *p = container_of(s, struct prober, stream);
    buf_append(&p->in, data, n);
    if (p->in.overflow) {
        answer(p, false);
        return;
    }
    int rc = http_head_parse(HTTP_RESPONSE, false, p->in.data, p->in.len, &p->scan, &head);
    if (rc != 0)
        answer(p, rc == 1 && head.status == 200);
}

static void on_end(struct stream *s, int error)
{
    (void)error;
    answer(container_of(s, struct prober, stream), false);
}

static void on_closed(struct stream *s)
{
    release(container_of(s, struct prober, stream));
}

static void on_connected(struct stream *s, int error)
{
    struct prober *p = container_of(s, struct prober, stream);
    uv_buf_t out = uv_buf_init(p->request, (unsigned)strlen(p->request));
    if (error && dial_next(&p->dial, &error))
        return;
    if (error == 0) {
        dial_done(&p->dial);
        error = stream_write(s, &out, 1);
    }
    if (error) {
        answer(p, false);
        return;
    }
    stream_read_start(s);
}

static void on_reopened(struct stream *s)
{
    dial_reopened(&container_of(s, struct prober, stream)->dial);
}

static void on_timeout(uv_timer_t *timer)
{
    answer(container_of(timer, struct prober, timer), false);
}

struct prober *probe_start(struct origin *o, const char *path,
                           void (*on_answer)(void *arg, bool ready), void *arg)
{
    static const struct stream_ops ops = {.on_data = on_data,
                                          .on_end = on_end,
                                          .on_closed = on_closed,
                                          .on_connected = on_connected,
                                          .on_reopened = on_reopened};
    struct prober *p = alloc_zeroed(1, sizeof(*p));
    buf_init(&p->in, PROBE_HEAD_MAX);
    p->origin = origin_get(o);
    p->request =
        alloc_printf("GET %s%s%s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: wharf/" WHARF_VERSION
                     "\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                     o->base_path, path, *o->base_query ? strchr(path, '?') ? "&" : "?" : "",
                     o->base_query, o->host);
    p->on_answer = on_answer;
    p->arg = arg;
    p->handles_open = 2;
    stream_init(&p->stream, &o->server->hub, o->is_unix, &ops);
    uv_timer_init(o->server->loop, &p->timer);
    /* A connect that fails at once is answered by the timer, so that nobody is called back from
     * inside his own call. */
    bool failed = dial_start(&p->dial, &p->stream, o) != 0;
    uv_timer_start(&p->timer, on_timeout, failed ? 0 : PROBE_MS_MAX, 0);
    return p;
}

void probe_cancel(struct prober *p)
{
    p->on_answer = NULL;
    shut(p);
}
