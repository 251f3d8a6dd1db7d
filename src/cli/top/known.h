/* known.h: what `wharf top` shows: the daemon's answers, as they came together. */
#ifndef CLI_TOP_KNOWN_H
#define CLI_TOP_KNOWN_H

#include <stdint.h>

#include "cli/session.h"

struct json_t; /* <jansson.h> */

/* All zero: nothing is known yet. */
struct top_known {
    struct json_t *status, *queue, *mode; /* owned; NULL: not known */
    char *trouble;                        /* owned; why nothing new comes; NULL: all is well */
    uint64_t at_ns;                       /* when that was, on the monotonic clock */
};

/* Asks for all of it. On failure *ret has the trouble alone. */
int top_known_ask(const struct client_options *opt, struct top_known *ret) warn_unused;
/* into takes what is new; after a failure it keeps what it had, and takes the trouble. */
void top_known_take(struct top_known *into, struct top_known *from);
void top_known_fini(struct top_known *k);

uint64_t top_now_ns(void);

#endif
