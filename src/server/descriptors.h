/* descriptors.h: how many files the daemon may have open, and what happens when none is left.
 *
 * Each connection of a client is budgeted two, the second for that to a model's server or for the
 * file of its body, and connections_max (limits.h) is what that leaves; so a lack is an accident: a
 * limit that was lowered, or one of the whole system. Who fails for want of one says so here. As
 * long as they lack, /wharf/status calls it degraded. */
#ifndef SERVER_DESCRIPTORS_H
#define SERVER_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/pure/check.h"

struct server;

struct descriptors {
    uint64_t max;   /* the limit of this process */
    uint32_t spare; /* a descriptor + 1, kept for descriptors_give; 0: none is */
    uint64_t shortages;
    bool lacking;
    uv_timer_t timer; /* looks whether there are some again, while they are lacking */
};

void descriptors_init(struct server *s);
/* Raises the limit of this process, and finds out how many connections that is enough for. Children
 * get the limit that there was, if they have asked for it before. */
int descriptors_open(struct server *s, struct err *err) warn_unused;
void descriptors_close(struct server *s);
/* error: an errno, of either sign. Whether it says that none was left. */
bool descriptors_is_short(int error);
/* The same, and it is told. what: for which it failed, as in "to accept a connection". */
bool descriptors_short(struct server *s, const char *what, int error);
/* How many are open, as far as the system says (Linux 6.2); else those of connections and spool
 * files alone. */
uint64_t descriptors_used(const struct server *s);
/* Lets go of the one that is kept, so that the next that is opened gets one; false: none is kept.
 */
bool descriptors_give(struct descriptors *d);
/* Once that is closed again. False: somebody else has it. */
bool descriptors_take_back(struct descriptors *d);

#endif
