/* list.h: an intrusive, counted, doubly linked list.
 *
 * A link belongs to at most one list at a time; a link that is on no list points at itself (after
 * link_init) or is all zero. The count is asserted on each removal, so that an object unlinked
 * through another list's head is found at once. Nothing is allocated. */
#ifndef BASE_PURE_LIST_H
#define BASE_PURE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check.h"

struct link {
    struct link *prev, *next;
};

struct list {
    struct link head;
    uint32_t count;
};

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_each(pos, l) for ((pos) = (l)->head.next; (pos) != &(l)->head; (pos) = (pos)->next)
/* Safe against removal of pos in the body. */
#define list_each_safe(pos, tmp, l)                                                                \
    for ((pos) = (l)->head.next, (tmp) = (pos)->next; (pos) != &(l)->head;                         \
         (pos) = (tmp), (tmp) = (pos)->next)

static inline void link_init(struct link *n)
{
    n->prev = n->next = n;
}

static inline bool link_linked(const struct link *n)
{
    return n->next != NULL && n->next != n;
}

static inline void list_init(struct list *l)
{
    link_init(&l->head);
    l->count = 0;
}

static inline bool list_empty(const struct list *l)
{
    must((l->count == 0) == (l->head.next == &l->head));
    return l->count == 0;
}

static inline void list_insert_before(struct list *l, struct link *at, struct link *n)
{
    must(!link_linked(n));
    n->prev = at->prev;
    n->next = at;
    at->prev->next = n;
    at->prev = n;
    l->count++;
}

static inline void list_push(struct list *l, struct link *n)
{
    list_insert_before(l, &l->head, n);
}

static inline void list_push_front(struct list *l, struct link *n)
{
    list_insert_before(l, l->head.next, n);
}

static inline void list_remove(struct list *l, struct link *n)
{
    must(link_linked(n) && l->count > 0);
    n->prev->next = n->next;
    n->next->prev = n->prev;
    link_init(n);
    l->count--;
}

/* First link, or NULL when the list is empty. */
static inline struct link *list_first(const struct list *l)
{
    return l->head.next == &l->head ? NULL : l->head.next;
}

static inline struct link *list_last(const struct list *l)
{
    return l->head.prev == &l->head ? NULL : l->head.prev;
}

static inline struct link *list_pop(struct list *l)
{
    struct link *n = list_first(l);
    if (n)
        list_remove(l, n);
    return n;
}

/* Appends everything on `from` to `to` in order, in constant time. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (from->count == 0)
        return;
    from->head.next->prev = to->head.prev;
    to->head.prev->next = from->head.next;
    from->head.prev->next = &to->head;
    to->head.prev = from->head.prev;
    to->count += from->count;
    list_init(from);
}

#endif
