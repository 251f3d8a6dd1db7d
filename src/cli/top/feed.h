/* feed.h: a thread that keeps asking the daemon how things are: as soon as an event says that they
 * have changed, and once a second. A daemon that is gone is tried again, after longer and longer.
 */
#ifndef CLI_TOP_FEED_H
#define CLI_TOP_FEED_H

#include <pthread.h>
#include <stdbool.h>

#include "cli/session.h"
#include "cli/top/known.h"

struct top_feed {
    struct client_options options; /* stop_fd is quit_fd */
    int quit_fd;                   /* borrowed; readable: the end */
    int wake_fd;                   /* borrowed; written to when something new is there */
    int kick_fd;                   /* owned; written to: ask now */
    pthread_t thread;
    pthread_mutex_t lock;    /* guards what follows */
    struct top_known latest; /* not taken yet */
    bool is_new;
};

/* 0, or -1 with errno. */
int top_feed_begin(struct top_feed *f, const struct client_options *opt, int quit_fd,
                   int wake_fd) warn_unused;
/* True: *into has changed. */
bool top_feed_take(struct top_feed *f, struct top_known *into);
/* Something was done: what is known is old. */
void top_feed_kick(struct top_feed *f);
/* Once quit_fd is readable. */
void top_feed_end(struct top_feed *f);

/* An eventfd was written to, or shall be. */
void top_signal(int fd);
void top_unsignal(int fd);
/* Starts a thread that gets no signals, so that they interrupt the one that draws. 0, or an errno.
 */
int top_thread(pthread_t *ret, void *(*run)(void *), void *arg) warn_unused;

#endif
