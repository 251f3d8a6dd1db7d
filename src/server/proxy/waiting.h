/* waiting.h: what a client is told while its request waits, and of its wait afterwards.
 *
 * Every answer to a request that waited says so in its head: X-Wharf-Queued, the seconds that it
 * waited, and X-Wharf-Position and X-Wharf-Estimate, its place and the seconds foreseen as it came.
 * Meanwhile only those are told something who have asked: by X-Wharf-Progress, or, as llama-swap
 * has it, by a model's sendLoadingState, for streamed chat completions. What is told in a stream
 * (loading.h) begins the answer before anybody knows how it ends. */
#ifndef SERVER_PROXY_WAITING_H
#define SERVER_PROXY_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include "server/net/timeouts.h"

#define WAITING_TICK_MS 1000

struct buf;
struct effect;
struct exchange;

enum progress {
    PROGRESS_UNSAID,   /* as the model's sendLoadingState has it */
    PROGRESS_NONE,     /* nothing, whatever that says */
    PROGRESS_INTERIM,  /* 102 answers (RFC 2518, section 10.1) */
    PROGRESS_COMMENTS, /* comments in an event stream */
    PROGRESS__COUNT
};

/* Embedded in its exchange; zero is a request that has not waited. */
struct waiting {
    struct timeout timeout;        /* TIMEOUT_PROGRESS, while somebody is to be told */
    uint32_t position, estimate_s; /* when it came; position 0: it was served at once */
    uint32_t position_now;         /* what was told last */
    uint64_t since_ms, over_ms;    /* on the loop's clock; over_ms 0: it waits */
    uint64_t tell_ms;              /* when it is told again */
};

/* The value of X-Wharf-Progress, "" for none; false: there is no such thing. */
bool waiting_parse(const char *text, enum progress *ret_progress);
/* It has to wait: e is the core's WAIT. May end the exchange. */
void waiting_begin(struct exchange *ex, const struct effect *e);
/* The wait is over, well or not: nothing more is told. */
void waiting_over(struct exchange *ex);
/* Same for one that goes to its model now, and is told so. False: the exchange is gone. */
bool waiting_granted(struct exchange *ex);
void waiting_on_timeout(struct timeout *t);
/* Appends the header fields that say how it waited, each with CRLF; none if it did not. */
void waiting_put_fields(const struct exchange *ex, struct buf *out);

#endif
