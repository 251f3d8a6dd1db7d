#include <errno.h>
#include <stdlib.h>

#include "client/sse.h"
#include "lib/client/stream.h"

struct wharf_events {
    struct stream stream;
    struct sse sse;
};

static int check(struct wharf_events *e, const struct wharf_limits *l, char **ret_text)
{
    struct client_reply reply;
    if (client_status(e->stream.answer) == 200)
        return 0;
    int rc = stream_collect(&e->stream, l, &reply, ret_text);
    if (rc < 0)
        return rc;
    rc = give_refusal(&reply, ret_text);
    client_reply_fini(&reply);
    return rc < 0 ? rc : -EPROTO;
}

int wharf_events_open(struct wharf_client *c, const char *last_id, const struct wharf_limits *l,
                      struct wharf_events **ret, char **ret_text)
{
    const struct client_request rq = {.method = "GET",
                                      .path = "/wharf/events",
                                      .accept = "text/event-stream",
                                      .last_event_id = last_id && *last_id ? last_id : NULL};
    struct wharf_events *e = calloc(1, sizeof(*e));
    if (ret_text)
        *ret_text = NULL;
    if (!e)
        return -ENOMEM;
    sse_init(&e->sse);
    int rc = stream_open(&e->stream, c, &rq, l, ret_text);
    if (rc == 0)
        rc = check(e, l, ret_text);
    if (rc < 0)
        wharf_events_close(e);
    else
        *ret = e;
    return rc;
}

int wharf_events_fd(const struct wharf_events *e)
{
    return stream_fd(&e->stream);
}

static const char *text_of(const struct buf *b)
{
    return b->data ? b->data : "";
}

int wharf_events_next(struct wharf_events *e, const struct wharf_limits *l,
                      struct wharf_daemon_event *ret)
{
    struct wharf_limits left = {.timeout_ns = WHARF_FOREVER};
    uint64_t end_ns = limits_end_ns(l);
    const char *line;
    int rc;
    if (l)
        left = *l;
    while ((rc = stream_line(&e->stream, &left, &line)) == 0) {
        if (sse_line(&e->sse, line, e->stream.line.len)) {
            *ret = (struct wharf_daemon_event){.id = text_of(&e->sse.id),
                                               .type = text_of(&e->sse.type),
                                               .data = text_of(&e->sse.data)};
            return 0;
        }
        left.timeout_ns = limits_left_ns(end_ns);
    }
    return rc;
}

void wharf_events_close(struct wharf_events *e)
{
    if (!e)
        return;
    stream_close(&e->stream);
    sse_fini(&e->sse);
    free(e);
}
