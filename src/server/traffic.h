/* traffic.h: told of every request that goes through, and of its answer: the one place for what
 * counts, lists, keeps or logs requests, so that the proxy itself knows none of that.
 *
 * Of one exchange come, in this order: traffic_begin, traffic_granted each time that it may go to
 * its model's server, traffic_head and traffic_bytes, the last any number of times, and
 * traffic_over, always. What fails before it has a model or a handler (an unknown path, a missing
 * key, a malformed body) has no traffic_begin. Nothing here ends an exchange or writes to its
 * client, and pointers are valid during the call only.
 *
 * Recorded are POSTs to the paths of inference, those under /upstream/ too, and also those that
 * fail once their key was right: in server->in_flight while they last, then in the history and, as
 * far as there is room, in the captures. */
#ifndef SERVER_TRAFFIC_H
#define SERVER_TRAFFIC_H

#include <stddef.h>

#include "base/pure/list.h"
#include "core/core.h"

#define TRAFFIC_PATH_MAX 2048 /* what is longer is cut */

struct capture;
struct exchange;
struct http_head;
struct tap;

/* A recorded request, while it lasts; exchange->traffic. Texts are owned. */
struct traffic {
    struct link link; /* server->in_flight */
    uint64_t id;      /* among those in flight */
    struct exchange *ex;
    int64_t started_s; /* wall clock */
    uint64_t started_ns;
    int64_t waited_ms; /* until it was granted; -1: it was not */
    char *model;       /* "": none that is known */
    char *path;        /* as its server sees it */
    char method[16], remote[64];
    char *metadata;                       /* JSON object, or "" */
    char *request_fields, *answer_fields; /* JSON objects, without secrets */
    char *content_type;                   /* of the answer; NULL before it */
    unsigned status;                      /* 0: no answer yet */
    bool own;                             /* the answer is wharf's own */
    uint64_t answer_bytes;
    struct tap *tap;
    struct capture *capture; /* NULL: not captured */
};

/* It has its model and enters the queue (exchange->slot), or goes to wharf's own handler
 * (exchange->slot is CORE_SLOT_NONE). Its head is there; its body may still be coming. */
void traffic_begin(struct exchange *ex);
void traffic_granted(struct exchange *ex);
/* An answer begins. head: that of the model's server, its bytes at bytes; NULL for an answer of
 * wharf's own. A tunnel is an answer of status 101, whose bytes are not told. */
void traffic_head(struct exchange *ex, unsigned status, const struct http_head *head,
                  const char *bytes);
/* Content of the answer, free of its framing; of a model's server: as that sent it, also when the
 * client has left. */
void traffic_bytes(struct exchange *ex, const char *data, size_t n);
/* It ends, and its memory goes after this. how: ENDED_DONE when the model's server answered to the
 * end, whatever it answered, ENDED_CUT also for a whole answer of wharf's own. */
void traffic_over(struct exchange *ex, enum ended how);

#endif
