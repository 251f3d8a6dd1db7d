#include "simulate/agenda.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/pure/check.h"

#define CHILDREN 4
#define ITEMS_MIN 256

void agenda_fini(struct agenda *a)
{
    free(a->items);
    *a = (struct agenda){.count = 0};
}

static bool before(const struct agenda_item *a, const struct agenda_item *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

void agenda_put(struct agenda *a, struct agenda_item item)
{
    if (a->count == a->items_max) {
        a->items_max = a->items_max ? 2 * a->items_max : ITEMS_MIN;
        a->items = alloc_grow(a->items, a->items_max, sizeof(*a->items));
    }
    item.seq = a->seq++;
    uint32_t at = a->count++;
    while (at > 0 && before(&item, &a->items[(at - 1) / CHILDREN])) {
        a->items[at] = a->items[(at - 1) / CHILDREN];
        at = (at - 1) / CHILDREN;
    }
    a->items[at] = item;
}

uint64_t agenda_next(const struct agenda *a)
{
    return a->count ? a->items[0].at_ns : AGENDA_NEVER;
}

struct agenda_item agenda_take(struct agenda *a)
{
    must(a->count > 0);
    struct agenda_item first = a->items[0], item = a->items[--a->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = CHILDREN * at + 1, least = child;
        if (child >= a->count)
            break;
        for (uint32_t i = child + 1; i < child + CHILDREN && i < a->count; i++)
            if (before(&a->items[i], &a->items[least]))
                least = i;
        if (!before(&a->items[least], &item))
            break;
        a->items[at] = a->items[least];
        at = least;
    }
    a->items[at] = item;
    return first;
}
