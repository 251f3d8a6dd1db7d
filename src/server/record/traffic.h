/* traffic.h: told of every request that goes through, and of its answer: the one place for what
 * counts, lists, keeps or logs requests, so that the proxy itself knows none of that.
 *
 * Of one exchange come, in this order: traffic_arrived, always, traffic_begin, traffic_granted
 * each time that it may go to its model's server, traffic_head, traffic_head_done where the answer
 * is not wharf's own, traffic_bytes, any number of times, and traffic_over, always. What fails
 * before it has a model or a handler (an unknown path, a missing key, a malformed body) has no
 * traffic_begin. Nothing here ends an exchange or writes to its client, and pointers are valid
 * during the call only. */
#ifndef SERVER_TRAFFIC_H
#define SERVER_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "core/core.h"

struct exchange;
struct http_head;

/* Requests for models and peers that are over, since the start. */
struct traffic_totals {
    uint64_t processed; /* answered to the end, by a status below 500 */
    uint64_t failed;    /* refused, answered by a worse one, or cut */
    uint64_t cancelled; /* the client left first */
};

/* Its head has arrived; nothing is known but that. */
void traffic_arrived(struct exchange *ex);
/* It has its model and enters the queue (exchange->slot), or goes to wharf's own handler
 * (exchange->slot is CORE_SLOT_NONE), or to a peer (exchange->peer). Its head is there; its body
 * may still be coming. */
void traffic_begin(struct exchange *ex);
void traffic_granted(struct exchange *ex);
/* An answer begins. head: that of the model's server, its bytes at bytes; NULL for an answer of
 * wharf's own. A tunnel is an answer of status 101, whose bytes are not told. */
void traffic_head(struct exchange *ex, unsigned status, const struct http_head *head,
                  const char *bytes);
/* Nobody else needs the request's head any more: may take exchange->head, and leaves NULL then. */
void traffic_head_done(struct exchange *ex);
/* Content of the answer, free of its framing; of a model's server: as that sent it, also when the
 * client has left. */
void traffic_bytes(struct exchange *ex, const char *data, size_t n);
/* It ends, and its memory goes after this. how: ENDED_DONE when the model's server answered to the
 * end, whatever it answered, ENDED_CUT also for a whole answer of wharf's own. */
void traffic_over(struct exchange *ex, enum ended how);
/* In place of that: it goes on elsewhere, and is told of there. */
void traffic_forget(struct exchange *ex);

#endif
