/* recording.h: what is kept of requests to models. Recorded are POSTs to the paths of inference,
 * those under /upstream/ too, and also those that fail once their key was right: in
 * server->in_flight while they last, then in the history and, as far as there is room, in the
 * captures. The calls and their order are those of traffic.h. */
#ifndef SERVER_RECORDING_H
#define SERVER_RECORDING_H

#include <stddef.h>

#include "base/pure/list.h"
#include "core/core.h"

#define RECORDING_PATH_MAX 2048 /* what is longer is cut */

struct capture;
struct exchange;
struct http_head;
struct tap;

/* A recorded request, while it lasts; exchange->recording. Texts are owned. */
struct recording {
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

void recording_begin(struct exchange *ex);
void recording_granted(struct exchange *ex);
void recording_head(struct exchange *ex, unsigned status, const struct http_head *head,
                    const char *bytes);
void recording_bytes(struct exchange *ex, const char *data, size_t n);
void recording_over(struct exchange *ex, enum ended how);

#endif
