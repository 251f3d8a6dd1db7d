#include "lib/cancel.h"

#include <pthread.h>
#include <stdlib.h>

struct wharf_cancel {
    pthread_mutex_t lock;
    bool set;
    struct list members;
};

struct wharf_cancel *wharf_cancel_new(void)
{
    struct wharf_cancel *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    list_init(&c->members);
    must(pthread_mutex_init(&c->lock, NULL) == 0);
    return c;
}

void wharf_cancel_set(struct wharf_cancel *c)
{
    struct link *n;
    must(pthread_mutex_lock(&c->lock) == 0);
    c->set = true;
    list_each(n, &c->members) {
        struct cancel_member *m = list_entry(n, struct cancel_member, link);
        m->wake(m);
    }
    must(pthread_mutex_unlock(&c->lock) == 0);
}

void wharf_cancel_free(struct wharf_cancel *c)
{
    if (!c)
        return;
    must(list_empty(&c->members));
    must(pthread_mutex_destroy(&c->lock) == 0);
    free(c);
}

bool cancel_join(struct wharf_cancel *c, struct cancel_member *m)
{
    if (!c)
        return true;
    must(pthread_mutex_lock(&c->lock) == 0);
    bool set = c->set;
    if (!set)
        list_push(&c->members, &m->link);
    must(pthread_mutex_unlock(&c->lock) == 0);
    return !set;
}

void cancel_leave(struct wharf_cancel *c, struct cancel_member *m)
{
    if (!c)
        return;
    must(pthread_mutex_lock(&c->lock) == 0);
    list_remove(&c->members, &m->link);
    must(pthread_mutex_unlock(&c->lock) == 0);
}
