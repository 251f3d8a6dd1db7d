/* call.h: one HTTP request of wharf's own to a server: a small body, a small answer, a time limit.
 *
 * Each goes over a connection of its own, so that none meets a stale one, and a server that accepts
 * and never answers costs no more than that. Calls are nobody's traffic: they are neither logged
 * nor recorded, and the core never hears of them. */
#ifndef SERVER_CALL_H
#define SERVER_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct origin;

struct call_spec {
    const char *method, *path; /* path, with its query: goes behind the origin's own */
    const char *fields;        /* further header lines, each with CRLF; NULL: none */
    const char *body;          /* JSON; NULL: none */
    uint64_t timeout_ns;       /* for all of it, the look-up of the name included */
    size_t answer_bytes_max;   /* of the answer's body; 0: the status is all that is wanted */
};

struct call_answer {
    int error;        /* 0, or libuv's: why it came to no whole answer. UV_ECONNREFUSED: nobody is
                         there; UV_ETIMEDOUT; UV_EPROTO: no HTTP; UV_EMSGSIZE: too large; UV_EOF: cut */
    const char *why;  /* the same as a clause; NULL without an error */
    bool connected;   /* the server has taken the connection */
    int status;       /* 0: no head has come */
    const char *body; /* what has come of it, with a NUL behind; "" for none */
    size_t n;
};

/* on_done comes exactly once, later, unless it is cancelled; the answer is borrowed during it, and
 * the call is over then. All texts are copied; the origin is counted. */
struct call *call_start(struct origin *o, const struct call_spec *spec,
                        void (*on_done)(void *arg, const struct call_answer *a), void *arg);
/* The server sees its connection end. */
void call_cancel(struct call *c);

#endif
