/* drainer.h: the process that finishes what a daemon had begun when another program took its place
 * (handover.h).
 *
 * It is a fork of that daemon. Requests that are with a model's server go on through it to their
 * ends, each of which it reports. All else, idle connections and requests that wait, goes to the
 * new program at once, with what came of it so far: plain connections themselves, those under TLS
 * as one end of a pair whose other end is here. It decides nothing, keeps nothing, and ends with
 * its last connection. */
#ifndef SERVER_HANDOVER_DRAINER_H
#define SERVER_HANDOVER_DRAINER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/core.h"

struct archive_draft;
struct client;
struct exchange;
struct server;
struct store_row;

/* In the forked process, between two turns of the loop: becomes one. fd: of the courier. */
void drainer_begin(struct server *s, int fd);
/* A client between two requests, and the bytes that it has sent; it may be gone afterwards. */
void drainer_give(struct client *c, const char *data, size_t n);
/* A request whose body is whole now; true: it is on its way, and gone here. */
bool drainer_takes(struct exchange *ex);
/* A request whose model's server was not there. */
void drainer_bounce(struct exchange *ex);
/* What there is to report. */
void drainer_request_ended(struct server *s, struct id waiter, enum ended how);
void drainer_row(struct server *s, const struct store_row *row);
void drainer_archived(struct server *s, const struct archive_draft *row);

#endif
