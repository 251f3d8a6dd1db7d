/* inbox.h: what the objects of libwharf put into an inbox. */
#ifndef LIB_INBOX_H
#define LIB_INBOX_H

#include "base/pure/list.h"
#include "wharf/api.h"

/* The first member of each kind of wait; free ends the whole of it. */
struct inbox_item {
    struct link link;
    void *arg;
    void (*free)(struct inbox_item *item);
};

/* From any thread. Of locks of others, none is taken. */
void inbox_put(struct wharf_inbox *i, struct inbox_item *item);
/* False: it is not in there. */
bool inbox_remove(struct wharf_inbox *i, struct inbox_item *item);

#endif
