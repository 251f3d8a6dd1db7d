/* client_lease.h: a lease of a running daemon, as its holder sees it.
 *
 * A held lease is one answer that lasts: a JSON object a line says how it stands, and the lease
 * ends with the connection. A lease with a time to live is an answer like others, and is renewed.
 */
#ifndef CLIENT_CLIENT_LEASE_H
#define CLIENT_CLIENT_LEASE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/pure/check.h"
#include "client/client.h"
#include "client/reply.h"

struct json_t; /* <jansson.h> */

/* The daemon says something at least this often; see docs/http.md. */
#define CLIENT_LEASE_PING_MS 15000

enum client_lease_state {
    CLIENT_LEASE_PING, /* nothing has changed */
    CLIENT_LEASE_WAITING,
    CLIENT_LEASE_GRANTED,
    CLIENT_LEASE_REVOKED, /* it has to be given back within its grace */
    CLIENT_LEASE_ENDED,
    CLIENT_LEASE_REFUSED,
    CLIENT_LEASE__COUNT
};

/* Texts are borrowed from json. All zero is a line that is fit for client_lease_line_fini. */
struct client_lease_line {
    enum client_lease_state state;
    struct json_t *json; /* owned */
    const char *id, *token;
    const char *why;  /* what it waits for, or why it was revoked, ended or refused */
    const char *code; /* of a refusal */
    int64_t position; /* -1: not said */
    double estimate_s, grace_s, waited_s, expires_s; /* -1: not said */
};

/* Asks for a lease; body: a JSON object. As client_open: 0 whatever the status. */
int client_lease_ask(const struct client_options *opt, const char *body, size_t body_len,
                     struct client_answer **ret, struct err *e) warn_unused;
/* Takes up a held lease whose connection was lost. */
int client_lease_resume(const struct client_options *opt, const char *id, const char *token,
                        struct client_answer **ret, struct err *e) warn_unused;
/* Renews one with a time to live, or gives one back. As client_fetch. */
int client_lease_renew(const struct client_options *opt, const char *id, const char *token,
                       struct client_reply *ret, struct err *e) warn_unused;
int client_lease_end(const struct client_options *opt, const char *id, const char *token,
                     struct client_reply *ret, struct err *e) warn_unused;

/* The next line of a held lease, as client_read_line. What is not such a line is -CLIENT_BROKEN.
 * *ret is untouched unless the result is 1. */
int client_lease_read(struct client_answer *a, struct buf *line, struct client_lease_line *ret,
                      struct err *e) warn_unused;
/* Takes a JSON object apart. 0 with *ret_line the owner of json; or -1, and json is released. */
int client_lease_line_take(struct json_t *json, struct client_lease_line *ret) warn_unused;
void client_lease_line_fini(struct client_lease_line *l);

#endif
