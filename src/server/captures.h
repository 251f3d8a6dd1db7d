/* captures.h: requests and answers as they went, for looking into them later: the last ones, in
 * memory. What is being captured and what is kept count together; the oldest leave first, and one
 * that cannot fit beside nothing is given up. */
#ifndef SERVER_CAPTURES_H
#define SERVER_CAPTURES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/head.h"

struct capture {
    int64_t id; /* of its row in the history; 0 while it is captured */
    /* Owned copies (proxy/head_copy.h) without secrets; NULL while it is captured, and of an answer
     * of wharf's own. */
    struct http_head *request_head, *answer_head;
    struct http_span path;      /* of the request's head */
    const char *translated;     /* static; instead of path; NULL: that */
    struct buf request, answer; /* bodies */
    uint64_t bytes;             /* that it counts for */
};

struct captures {
    struct capture **items; /* owned; those kept, ids ascending, from first to end */
    uint32_t first, end, room;
    uint64_t bytes, bytes_max;
};

void captures_init(struct captures *c, uint64_t bytes_max);
void captures_fini(struct captures *c);
void captures_resize(struct captures *c, uint64_t bytes_max);
/* Begins one, whose heads come to so many bytes; NULL: nothing is captured. */
struct capture *captures_begin(struct captures *c, size_t head_bytes);
/* Adds to one of its bodies. False: it was given up, and is freed. */
bool captures_add(struct captures *c, struct capture *one, struct buf *body, const char *data,
                  size_t n);
/* It is whole, with its heads: keeps it under the id, larger than any before. */
void captures_keep(struct captures *c, struct capture *one, int64_t id);
/* NULL is legal. */
void captures_drop(struct captures *c, struct capture *one);
/* NULL: there is none, or no more. */
const struct capture *captures_find(const struct captures *c, int64_t id);

/* What of requests to the path is not captured: sounds and pictures. */
bool captures_request_body(const char *path, size_t n);
bool captures_answer_body(const char *path, size_t n);

#endif
