/* sse.h: server-sent events, reading (WHATWG HTML, section 9.2.6).
 *
 * Lines are given one by one, without their ends; a line that is empty closes an event. */
#ifndef CLIENT_SSE_H
#define CLIENT_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SSE_DATA_BYTES_MAX (4 * 1024 * 1024)
#define SSE_FIELD_BYTES_MAX 256 /* of an id or a type */

/* The texts are those of the event that sse_line has just closed, until the next line is given. */
struct sse {
    struct buf id;   /* stays from event to event, as the last event's id */
    struct buf type; /* "" means "message" */
    struct buf data; /* its lines joined by line feeds */
    bool is_closed;  /* private: an event was given out, its fields make way for the next */
    bool has_data;   /* private */
};

void sse_init(struct sse *s);
void sse_fini(struct sse *s);
/* True when the line closed an event. Events without data are dropped, as the standard asks, and so
 * are those whose data or type is too long; an id that is too long is not taken. */
bool sse_line(struct sse *s, const char *line, size_t n);

#endif
