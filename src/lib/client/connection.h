/* connection.h: what all calls to a daemon share: where it is, how long they may take, and what
 * ends them before. */
#ifndef LIB_CLIENT_CONNECTION_H
#define LIB_CLIENT_CONNECTION_H

#include "client/reply.h"
#include "lib/cancel.h"
#include "wharf/client.h"

struct wharf_client {
    struct client_options options; /* key is its own; stop_fd is that of each call */
};

/* A descriptor that becomes readable when a cancel is set; for one call at a time. */
struct stop {
    struct cancel_member member;
    struct wharf_cancel *cancel; /* of the call that is under way; NULL: none */
    int fd;                      /* its own; -1: none */
};

/* 0, or -ENOMEM: there are no more descriptors. To be ended in any case. */
int stop_init(struct stop *s) warn_unused;
void stop_fini(struct stop *s);
/* Around each wait. False: it is set already, and stop_end must not follow. */
bool stop_begin(struct stop *s, struct wharf_cancel *cancel) warn_unused;
void stop_end(struct stop *s);

/* When l is over, by the clock of lib/clock.h; UINT64_MAX: never. */
uint64_t limits_end_ns(const struct wharf_limits *l);
/* What is left until then, as a timeout. */
int64_t limits_left_ns(uint64_t end_ns);
/* What is left until then, as a limit of silence of client.h. */
uint32_t limits_silence_ms(uint64_t end_ns);

/* The negative errno for the negative of an enum client_error, and for an HTTP status. */
int rc_of_client(int rc);
int rc_of_status(int status);
/* A copy for the caller, in ret_text unless that is NULL. */
void give_text(char **ret_text, const char *text);
/* What an answer that is not ok says. Returns rc_of_status. */
int give_refusal(const struct client_reply *r, char **ret_text);

/* One request and its whole answer, which is ok with 0 and then the caller's. */
int connection_fetch(const struct wharf_client *c, const struct client_request *rq,
                     const struct wharf_limits *l, struct client_reply *ret, char **ret_text);

#endif
