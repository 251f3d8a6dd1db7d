/* captures.h: requests and answers as they went, for looking into them later: the last ones, one
 * behind the other in a ring of memory, whose oldest give way. What is on its way is bounded by as
 * much again. */
#ifndef SERVER_CAPTURES_H
#define SERVER_CAPTURES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/head.h"

/* In the ring, as all that it points to. */
struct capture {
    int64_t id;                     /* of its row in the history */
    struct http_head *request_head; /* copies (proxy/head_copy.h), without secrets */
    struct http_head *answer_head;  /* NULL: an answer of wharf's own */
    struct http_span path;          /* of the request's head */
    const char *translated;         /* static; instead of path; NULL: that */
    char *request, *answer;         /* bodies */
    size_t request_bytes, answer_bytes;
};

struct capture_sizes {
    size_t request_head, answer_head, request, answer; /* in bytes */
};

struct capture_item {
    int64_t id;
    size_t at; /* in the ring */
};

struct captures {
    char *ring;                 /* owned, of bytes_max; NULL: nothing was captured yet */
    size_t at;                  /* where the next one goes */
    struct capture_item *items; /* owned; those kept, ids ascending, from first to end */
    uint32_t first, end, room;
    uint64_t bytes_max, pending; /* pending: of those on their way */
};

void captures_init(struct captures *c, uint64_t bytes_max);
/* Of those that are kept. */
uint64_t captures_bytes(const struct captures *c);
void captures_fini(struct captures *c);
/* Forgets those kept, unless the bound is the same as before. */
void captures_resize(struct captures *c, uint64_t bytes_max);
/* Adds to an answer on its way. False: it cannot be captured; let go of it. */
bool captures_hold(struct captures *c, struct buf *body, const char *data, size_t n);
void captures_let_go(struct captures *c, struct buf *body);
/* The same for bytes that the caller holds itself. */
bool captures_charge(struct captures *c, uint64_t bytes);
void captures_discharge(struct captures *c, uint64_t bytes);
/* Room for one of these sizes, under an id larger than any before: the caller fills it in at once,
 * all but its sizes and places. NULL: it is too large. */
struct capture *captures_make(struct captures *c, int64_t id, const struct capture_sizes *sizes);
/* NULL: there is none, or no more. Valid until the next is made. */
const struct capture *captures_find(const struct captures *c, int64_t id);

/* What of requests to the path is not captured: sounds and pictures. */
bool captures_request_body(const char *path, size_t n);
bool captures_answer_body(const char *path, size_t n);

#endif
