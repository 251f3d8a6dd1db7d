/* feed.h: streams of lines that many may follow: public events, and logs.
 *
 * A feed keeps the last FEED_ITEMS_MAX items (and at most bytes_max bytes) under rising ids. A
 * follower is a cursor, not a queue: it costs nothing while it lags, and one that lags beyond what
 * is kept is told how much it missed. */
#ifndef SERVER_FEED_H
#define SERVER_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pure/list.h"

#define FEED_ITEMS_MAX 2048

struct feed_item {
    char *text; /* owned */
    uint32_t len;
    const char *type; /* static text: the event's type; NULL for log lines */
};

struct feed {
    struct feed_item items[FEED_ITEMS_MAX]; /* a ring: id % FEED_ITEMS_MAX */
    uint64_t first, next;                   /* ids kept: first .. next-1; ids begin with 1 */
    size_t bytes, bytes_max;
    struct list followers;
    struct link *telling;  /* the follower to be told next; NULL: nobody is being told */
    bool again;            /* something was added meanwhile */
    uint64_t gaps, missed; /* how often a follower had lost some, and how many in all */
};

struct feed_follower {
    struct link link;
    uint64_t next;                            /* id of the item to read next */
    void (*on_news)(struct feed_follower *f); /* something was added */
};

void feed_init(struct feed *f, size_t bytes_max);
void feed_fini(struct feed *f);
/* Copies text; tells followers, which may end (and any other follower with them), and add to this
 * feed in turn. Returns the item's id. */
uint64_t feed_add(struct feed *f, const char *type, const char *text, size_t n);
/* The two halves of that: items are put, and followers are told of all of them at once. */
uint64_t feed_put(struct feed *f, const char *type, const char *text, size_t n);
void feed_tell(struct feed *f);
/* from: first id wanted; feed->next for only what is new. */
void feed_follow(struct feed *f, struct feed_follower *w, uint64_t from);
void feed_unfollow(struct feed *f, struct feed_follower *w);
/* The follower's next item, or NULL when it has read all. *ret_missed: items lost before it. */
const struct feed_item *feed_read(struct feed *f, struct feed_follower *w, uint64_t *ret_id,
                                  uint64_t *ret_missed);

#endif
