/* http.h: one server-side HTTP/1.1 connection, blocking, on a thread of its own.
 *
 * Requests are read whole (RFC 9112: Content-Length and chunked bodies, Expect: 100-continue,
 * keep-alive); answers are sent whole or as a chunked stream. Functions that return bool return
 * false when the connection must end. The misbehaviour flags that concern the wire live here. */
#ifndef DEMO_HTTP_H
#define DEMO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "flags.h"

#define HTTP_HEADERS_MAX 128
#define HTTP_HEAD_BYTES_MAX (64 * 1024)
#define HTTP_LINE_BYTES_MAX (8 * 1024)

struct http_header {
    char *name, *value; /* borrowed from the request's head */
};

struct http_request {
    struct buf head; /* cut up in place into the texts below */
    char *method, *path, *query;
    struct http_header headers[HTTP_HEADERS_MAX];
    uint32_t header_count;
    bool keep_alive, http10, chunked, expects_continue;
    uint64_t content_length;
    struct buf body;     /* what of the body was kept, see http_read_body */
    uint64_t body_bytes; /* all of it */
    uint64_t body_fnv1a; /* over all of it, 64 bits */
};

struct http_conn {
    int fd;
    const struct flags *flags;
    bool behaves;  /* the wire's misbehaviour is off, as for /health */
    struct buf in; /* received, not yet used */
    struct buf out;
    struct http_request req;
};

void http_init(struct http_conn *c, int fd, const struct flags *flags);
void http_fini(struct http_conn *c);
/* Waits for the next request and reads its head. A bad one is answered with 400. */
bool http_read_head(struct http_conn *c);
/* Reads the body; keeps it up to keep_bytes_max, counts and hashes all of it. */
bool http_read_body(struct http_conn *c, size_t keep_bytes_max);
/* The header's value, or NULL; names compare without case. */
const char *http_find_header(const struct http_request *r, const char *name);
/* The value of a query parameter as a number, or fallback. */
uint64_t http_query_number(const struct http_request *r, const char *name, uint64_t fallback);

/* Head of an answer whose body follows with http_send_raw; http_finish tells what comes next. */
bool http_send_head(struct http_conn *c, int status, const char *type, uint64_t content_length);
bool http_finish(const struct http_conn *c);
bool http_send_whole(struct http_conn *c, int status, const char *type, const struct buf *body);
/* text is JSON. */
bool http_send_json(struct http_conn *c, int status, const char *text);
/* A stream: begin, any number of parts, end. The head travels with the first part. */
void http_stream_begin(struct http_conn *c, const char *type);
bool http_stream_part(struct http_conn *c, const void *data, size_t n);
bool http_stream_end(struct http_conn *c);
/* Unframed bytes, for what follows an upgrade or a head of one's own. */
bool http_send_raw(struct http_conn *c, const void *data, size_t n);
/* Receives more into c->in; false at the end of input. */
bool http_receive(struct http_conn *c);
/* Waits until then; false as soon as the client has gone. */
bool http_wait_until(struct http_conn *c, struct mono until);
/* Takes input and never answers, until the client goes. */
void http_hang(struct http_conn *c);

#endif
