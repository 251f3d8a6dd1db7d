#include "pool.h"

#include "check.h"

size_t pool_bytes(uint32_t slots_max)
{
    return (size_t)slots_max * 2 * sizeof(uint32_t);
}

void pool_init(struct pool *p, void *mem, uint32_t slots_max)
{
    *p = (struct pool){.gen = mem, .free_head = POOL_NONE, .slots_max = slots_max};
    p->next = p->gen + slots_max;
}

bool pool_get(struct pool *p, struct id *ret_id)
{
    uint32_t slot = p->free_head;
    if (slot != POOL_NONE)
        p->free_head = p->next[slot];
    else if (p->high_water < p->slots_max)
        slot = p->high_water++;
    else
        return false;
    p->gen[slot]++;
    must(p->gen[slot] & 1);
    p->used++;
    *ret_id = (struct id){slot, p->gen[slot]};
    return true;
}

void pool_put(struct pool *p, uint32_t slot)
{
    must(pool_used(p, slot));
    p->gen[slot]++;
    p->next[slot] = p->free_head;
    p->free_head = slot;
    p->used--;
}

bool pool_alive(const struct pool *p, struct id id)
{
    return id.slot < p->high_water && (id.gen & 1) && p->gen[id.slot] == id.gen;
}

struct id pool_id(const struct pool *p, uint32_t slot)
{
    must(pool_used(p, slot));
    return (struct id){slot, p->gen[slot]};
}
