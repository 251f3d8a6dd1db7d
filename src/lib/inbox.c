#include "lib/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct wharf_inbox {
    pthread_mutex_t lock;
    struct list items;
    int fd; /* readable while items has any */
};

struct wharf_inbox *wharf_inbox_new(void)
{
    struct wharf_inbox *i = calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    i->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (i->fd < 0) {
        free(i);
        return NULL;
    }
    list_init(&i->items);
    must(pthread_mutex_init(&i->lock, NULL) == 0);
    return i;
}

int wharf_inbox_fd(const struct wharf_inbox *i)
{
    return i->fd;
}

/* A counter that goes from 0 to 1 and back cannot fail, nor block. */
static void set_readable(struct wharf_inbox *i, bool readable)
{
    eventfd_t count;
    must((readable ? eventfd_write(i->fd, 1) : eventfd_read(i->fd, &count)) == 0);
}

void inbox_put(struct wharf_inbox *i, struct inbox_item *item)
{
    must(pthread_mutex_lock(&i->lock) == 0);
    list_push(&i->items, &item->link);
    if (i->items.count == 1)
        set_readable(i, true);
    must(pthread_mutex_unlock(&i->lock) == 0);
}

bool inbox_remove(struct wharf_inbox *i, struct inbox_item *item)
{
    must(pthread_mutex_lock(&i->lock) == 0);
    bool there = link_linked(&item->link);
    if (there) {
        list_remove(&i->items, &item->link);
        if (list_empty(&i->items))
            set_readable(i, false);
    }
    must(pthread_mutex_unlock(&i->lock) == 0);
    return there;
}

bool wharf_inbox_next(struct wharf_inbox *i, void **ret_arg)
{
    must(pthread_mutex_lock(&i->lock) == 0);
    struct link *first = list_pop(&i->items);
    if (first && list_empty(&i->items))
        set_readable(i, false);
    must(pthread_mutex_unlock(&i->lock) == 0);
    if (!first)
        return false;
    struct inbox_item *item = list_entry(first, struct inbox_item, link);
    *ret_arg = item->arg;
    item->free(item);
    return true;
}

void wharf_inbox_free(struct wharf_inbox *i)
{
    if (!i)
        return;
    must(list_empty(&i->items));
    must(pthread_mutex_destroy(&i->lock) == 0);
    close(i->fd);
    free(i);
}
