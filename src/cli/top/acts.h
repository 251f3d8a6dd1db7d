/* acts.h: what `wharf top` was told to do, each in a thread of its own until the daemon has
 * answered: to load a model may take minutes. */
#ifndef CLI_TOP_ACTS_H
#define CLI_TOP_ACTS_H

#include <pthread.h>
#include <stdbool.h>

#include "cli/session.h"
#include "cli/top/view.h"

#define TOP_ACTS_MAX 8

struct top_acts;

struct top_act {
    struct top_acts *acts;
    bool is_used,
        is_done; /* is_done: guarded by the lock; what follows is the thread's till then */
    pthread_t thread;
    struct model_op op; /* texts owned, as `mode` is; NULL id: the mode is set */
    char *id, *place, *mode;
    struct buf said; /* the sentence of what came of it */
    bool is_bad;
};

struct top_acts {
    struct client_options options;
    int wake_fd; /* borrowed */
    pthread_mutex_t lock;
    struct top_act all[TOP_ACTS_MAX];
};

void top_acts_init(struct top_acts *a, const struct client_options *opt, int quit_fd, int wake_fd);
/* Begins what the order says; said: what to tell of that meanwhile. False: it could not begin. */
bool top_acts_begin(struct top_acts *a, const struct top_order *order, struct buf *said);
/* The next result: true with said and *ret_is_bad set. */
bool top_acts_take(struct top_acts *a, struct buf *said, bool *ret_is_bad);
/* Once quit_fd is readable: waits for all threads. */
void top_acts_fini(struct top_acts *a);

#endif
