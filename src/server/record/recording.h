/* recording.h: what is kept of requests to models. Recorded are POSTs to the paths of inference,
 * those under /upstream/ too, and also those that fail once their key was right: in
 * server->in_flight while they last, then in the history and, as far as there is room, in the
 * captures. The calls and their order are those of traffic.h.
 *
 * There is one for each request that goes through, and hardly any is ever looked at: so it keeps
 * heads as they came, and text is made of them when somebody asks. */
#ifndef SERVER_RECORDING_H
#define SERVER_RECORDING_H

#include <stddef.h>

#include "base/buf.h"
#include "base/pure/list.h"
#include "core/core.h"
#include "http/head.h"
#include "http/trace.h"
#include "server/proxy/body.h"

#define RECORDING_PATH_MAX 2048 /* what is longer is cut */

struct buf;
struct exchange;
struct tap;

/* A recorded request, while it lasts; exchange->recording. */
struct recording {
    struct link link; /* server->in_flight */
    uint64_t id;      /* among those in flight */
    struct exchange *ex;
    int64_t started_s;         /* wall clock */
    uint64_t started_ms;       /* by the loop's clock, which stands while the loop works */
    int64_t waited_ms;         /* until it was granted; -1: it was not */
    int64_t loading_ms;        /* of these, while its model was coming in */
    int64_t first_ms;          /* until its answer had content; -1: it has none yet */
    struct http_head *request; /* owned, a copy; NULL: the exchange still has it */
    struct http_head *answer;  /* owned, a copy; NULL: none yet, or wharf's own */
    struct http_span path;     /* of the request's head: as its server sees it */
    const char *translated;    /* static; instead of path; NULL: that */
    unsigned status;           /* 0: no answer yet */
    uint64_t answer_bytes, told_ns;
    struct tap *tap; /* NULL before the answer */
    bool captured;
    struct body request_body; /* if it is captured, once the exchange needs it no more */
    struct buf answer_body;   /* likewise, as far as it came */
    int64_t priority;
    bool has_priority; /* it is for a model, not for a peer, and the model is known */
    char peer[46];     /* the address of who asks; "" on a unix socket */
    char traceparent[TRACE_PARENT_MAX]; /* that wharf has made for it; "": none */
    char model[];                       /* "": none that is known */
};

void recording_begin(struct exchange *ex);
void recording_granted(struct exchange *ex);
void recording_head(struct exchange *ex, unsigned status, const struct http_head *head,
                    const char *bytes);
void recording_head_done(struct exchange *ex);
void recording_bytes(struct exchange *ex, const char *data, size_t n);
void recording_over(struct exchange *ex, enum ended how);
/* In place of that, before there is an answer: nothing is kept of it. */
void recording_forget(struct exchange *ex);

/* The request's head, and its bytes; never NULL. */
const struct http_head *recording_request(const struct recording *t, const char **ret_bytes);
/* As its server sees it; not terminated. */
const char *recording_path(const struct recording *t, size_t *ret_len);
/* The id of the trace that it is part of; "": none that is known. */
void recording_trace(const struct recording *t, char ret[TRACE_ID_MAX]);
/* Appends the field by which the client is told of a trace that wharf has made. */
void recording_put_fields(const struct recording *t, struct buf *out);
/* The word for its class; NULL: it has none. */
const char *recording_class(const struct recording *t);
/* Appends its metadata as a JSON object, or nothing. */
void recording_put_metadata(const struct recording *t, struct buf *out);

#endif
