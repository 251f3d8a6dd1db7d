/* reply.h: one request and its whole answer, usually JSON. */
#ifndef CLIENT_REPLY_H
#define CLIENT_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/pure/check.h"
#include "client/client.h"

struct json_t; /* <jansson.h> */

#define CLIENT_REPLY_BYTES_MAX (16 * 1024 * 1024)

struct client_reply {
    uint16_t status;
    struct buf body;
    struct json_t *json; /* the body parsed; NULL when it is not JSON */
};

/* 0 with *ret to be given to client_reply_fini, whatever the status; or the negative of an enum
 * client_error with *ret empty. */
int client_fetch(const struct client_options *opt, const struct client_request *rq,
                 struct client_reply *ret, struct err *e) warn_unused;
/* Reads the rest of an answer that is already open. */
int client_collect(struct client_answer *a, struct client_reply *ret, struct err *e) warn_unused;
void client_reply_fini(struct client_reply *r);

static inline bool client_reply_ok(const struct client_reply *r)
{
    return r->status >= 200 && r->status < 300;
}

/* What an answer that is not ok says, for people: the message of {"error":{"message"}} or
 * {"error":"…"}, else a short body as it came, else the status in words. Appended to out, which may
 * then hold any byte that the daemon chose to send. */
void client_reply_explain(const struct client_reply *r, struct buf *out);

#endif
