/* heap.h: a binary min-heap over small integers, with keys that may change.
 *
 * Members are slots 0..slots_max-1, each at most once. Keys compare by major, then minor: give the
 * minor a sequence number, and equal deadlines keep the order in which they were set (the rule of
 * libuv's timer heap). The caller supplies the memory; heap_bytes() says how much. */
#ifndef BASE_PURE_HEAP_H
#define BASE_PURE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_key {
    uint64_t major, minor;
};

struct heap_item {
    struct heap_key key;
    uint32_t slot;
};

struct heap {
    struct heap_item *items; /* caller's memory, slots_max entries */
    uint32_t *place;         /* slot -> index in items + 1; 0: not a member */
    uint32_t count, slots_max;
};

bool heap_key_before(struct heap_key a, struct heap_key b);
size_t heap_bytes(uint32_t slots_max);
/* mem: heap_bytes(slots_max) bytes, zeroed, aligned to 8. */
void heap_init(struct heap *h, void *mem, uint32_t slots_max);
bool heap_has(const struct heap *h, uint32_t slot);
/* Inserts the slot, or moves it to its new place. */
void heap_set(struct heap *h, uint32_t slot, struct heap_key key);
/* No effect when the slot is not a member. */
void heap_remove(struct heap *h, uint32_t slot);
/* The least item, or NULL. Valid until the next change. */
const struct heap_item *heap_peek(const struct heap *h);
/* The slot's item, or NULL. */
const struct heap_item *heap_find(const struct heap *h, uint32_t slot);
/* Asserts order and the consistency of both arrays. */
void heap_check(const struct heap *h);

#endif
