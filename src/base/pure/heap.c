#include "heap.h"

#include "check.h"

bool heap_key_before(struct heap_key a, struct heap_key b)
{
    return a.major != b.major ? a.major < b.major : a.minor < b.minor;
}

static void put(struct heap *h, uint32_t index, struct heap_item item)
{
    h->items[index] = item;
    h->place[item.slot] = index + 1;
}

static void sift_up(struct heap *h, uint32_t index, struct heap_item item)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;
        if (!heap_key_before(item.key, h->items[parent].key))
            break;
        put(h, index, h->items[parent]);
        index = parent;
    }
    put(h, index, item);
}

static void sift_down(struct heap *h, uint32_t index, struct heap_item item)
{
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && heap_key_before(h->items[child + 1].key, h->items[child].key))
            child++;
        if (!heap_key_before(h->items[child].key, item.key))
            break;
        put(h, index, h->items[child]);
        index = child;
    }
    put(h, index, item);
}

static void settle(struct heap *h, uint32_t index, struct heap_item item)
{
    if (index > 0 && heap_key_before(item.key, h->items[(index - 1) / 2].key))
        sift_up(h, index, item);
    else
        sift_down(h, index, item);
}

size_t heap_bytes(uint32_t slots_max)
{
    size_t place = ((size_t)slots_max * sizeof(uint32_t) + 7) & ~(size_t)7;
    return (size_t)slots_max * sizeof(struct heap_item) + place;
}

void heap_init(struct heap *h, void *mem, uint32_t slots_max)
{
    h->items = mem;
    h->place = (uint32_t *)(void *)(h->items + slots_max);
    h->count = 0;
    h->slots_max = slots_max;
}

bool heap_has(const struct heap *h, uint32_t slot)
{
    must(slot < h->slots_max);
    return h->place[slot] != 0;
}

void heap_set(struct heap *h, uint32_t slot, struct heap_key key)
{
    must(slot < h->slots_max);
    struct heap_item item = {key, slot};
    if (h->place[slot]) {
        settle(h, h->place[slot] - 1, item);
        return;
    }
    h->count++;
    sift_up(h, h->count - 1, item);
}

void heap_remove(struct heap *h, uint32_t slot)
{
    must(slot < h->slots_max);
    if (!h->place[slot])
        return;
    uint32_t index = h->place[slot] - 1;
    h->place[slot] = 0;
    h->count--;
    if (index != h->count)
        settle(h, index, h->items[h->count]);
}

const struct heap_item *heap_peek(const struct heap *h)
{
    return h->count ? &h->items[0] : NULL;
}

const struct heap_item *heap_find(const struct heap *h, uint32_t slot)
{
    return heap_has(h, slot) ? &h->items[h->place[slot] - 1] : NULL;
}

void heap_check(const struct heap *h)
{
    uint32_t members = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        must(i == 0 || !heap_key_before(h->items[i].key, h->items[(i - 1) / 2].key));
        must(h->place[h->items[i].slot] == i + 1);
    }
    for (uint32_t s = 0; s < h->slots_max; s++)
        members += h->place[s] != 0;
    must(members == h->count);
}
