/* client.h: blocking HTTP requests to a running daemon, each on a connection of its own.
 *
 *     struct client_answer *a;
 *     int rc = client_open(&options, &request, &a, &e);
 *     while (rc == 0 && (rc = client_read(a, &data, &n, &e)) > 0)
 *         …
 *     client_close(a);
 *
 * For a short answer in JSON see reply.h. Nothing here prints, exits or raises SIGPIPE. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/pure/check.h"
#include "client/address.h"

/* Functions return the negative of these, with a struct err that says it to a person. */
enum client_error {
    CLIENT_OK,
    CLIENT_INVALID,     /* the key, or another text of the caller's, cannot stand in a request */
    CLIENT_UNREACHABLE, /* no connection */
    CLIENT_TIMEOUT,     /* connected, but silent for longer than allowed */
    CLIENT_BROKEN,      /* the connection ended early, or what came over it is not HTTP */
    CLIENT_TOO_LARGE,   /* the answer, or a line of it, is beyond its bound */
    CLIENT_STOPPED,     /* stop_fd became readable */
    CLIENT_AGAIN,       /* nothing whole has come yet; only with CLIENT_NO_WAIT */
};

#define CLIENT_CONNECT_MS_DEFAULT 5000
/* As a limit of silence: nothing waits, and what is not there yet is -CLIENT_AGAIN, to be asked for
 * again when client_fd is readable. That says nothing of what was received already: read on until
 * -CLIENT_AGAIN before polling. stop_fd is not looked at. */
#define CLIENT_NO_WAIT UINT32_MAX
#define CLIENT_LINE_BYTES_MAX (1024 * 1024)

struct client_options {
    struct client_address address;
    const char *key;         /* sent as a bearer token; NULL: none; borrowed */
    uint32_t connect_ms_max; /* for each address that the host's name has; 0: no limit */
    int stop_fd;             /* -1: none. Becoming readable ends every wait; borrowed */
};

struct client_request {
    const char *method;
    const char *path;          /* with its query; already percent-encoded */
    const char *accept;        /* media type; NULL: any */
    const char *last_event_id; /* NULL: none */
    const char *body;          /* JSON; NULL: none */
    size_t body_len;           /* bytes */
    uint32_t silence_ms_max;   /* longest wait for the next byte; 0: no limit */
};

struct client_answer; /* the answer to one request, and its connection */

/* Connects, sends the request and reads the answer's head. The options' address must outlive the
 * answer. 0 with *ret owned by the caller (client_close), or an error with *ret NULL. */
int client_open(const struct client_options *opt, const struct client_request *rq,
                struct client_answer **ret, struct err *e) warn_unused;
/* NULL is allowed. */
void client_close(struct client_answer *a);
/* client_close, for a connection of whose socket others have copies (fork, SCM_RIGHTS): it ends for
 * all of them. */
void client_hang_up(struct client_answer *a);

uint16_t client_status(const struct client_answer *a);
/* Its socket, to be polled: readable when more may have come. */
int client_fd(const struct client_answer *a);
/* Replaces the request's limit from here on. */
void client_set_silence(struct client_answer *a, uint32_t silence_ms_max);
/* The next bytes of the body: 1 with *ret_data borrowed until the next call and *ret_n > 0; 0 at
 * the body's end. A body that stops early is -CLIENT_BROKEN, never an end. */
int client_read(struct client_answer *a, const char **ret_data, size_t *ret_n,
                struct err *e) warn_unused;
/* The next line, without its LF or CRLF, replaces the contents of line: 1; 0 at the body's end. The
 * last line need not be ended. Behind -CLIENT_AGAIN, line holds what has come of it: give the same
 * one again. */
int client_read_line(struct client_answer *a, struct buf *line, struct err *e) warn_unused;

/* Appends text as one segment of a path (RFC 3986, section 3.3): all but the unreserved characters
 * is percent-encoded, '/' too. */
void client_encode_segment(struct buf *path, const char *text);

#endif
