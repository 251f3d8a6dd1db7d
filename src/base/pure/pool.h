/* pool.h: numbered slots with generations.
 *
 * A slot is handed out with a generation that changes each time it is reused, so that a late
 * message about a dead object is recognised and dropped. Slots never used cost no memory: the free
 * list holds only slots that were given back, the rest lies above a high-water mark. */
#ifndef BASE_PURE_POOL_H
#define BASE_PURE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_NONE UINT32_MAX

/* Names an object across the core's edge. Generation 0 is never given: {0,0} is "none". */
struct id {
    uint32_t slot, gen;
};

struct pool {
    uint32_t *gen;  /* caller's memory; odd: in use, even: free */
    uint32_t *next; /* free list; meaningful only below high_water */
    uint32_t free_head, high_water, used, slots_max;
};

static inline bool id_none(struct id id)
{
    return id.gen == 0;
}

static inline bool id_equal(struct id a, struct id b)
{
    return a.slot == b.slot && a.gen == b.gen;
}

size_t pool_bytes(uint32_t slots_max);
/* mem: pool_bytes(slots_max) bytes, zeroed, aligned to 4. */
void pool_init(struct pool *p, void *mem, uint32_t slots_max);
/* False when all slots are in use; then *ret_id is untouched. */
bool pool_get(struct pool *p, struct id *ret_id);
void pool_put(struct pool *p, uint32_t slot);
/* True while the id names a slot in use in this generation. */
bool pool_alive(const struct pool *p, struct id id);
/* Inline: checks ask it of every object at every step. */
static inline bool pool_used(const struct pool *p, uint32_t slot)
{
    return slot < p->high_water && (p->gen[slot] & 1);
}
/* The current id of a slot in use. */
struct id pool_id(const struct pool *p, uint32_t slot);

#endif
