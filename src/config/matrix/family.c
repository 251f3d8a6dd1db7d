#include "config/matrix/family.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/routing.h"

/* What putting a set together costs beside its members: it is memory of its own. */
#define JOIN_STEPS 32

bool family_spend(struct family_budget *budget, uint64_t steps)
{
    bool enough = budget->steps >= steps;
    budget->steps = enough ? budget->steps - steps : 0;
    return enough;
}

void family_fini(struct family *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        free(f->sets[i].members);
    free(f->sets);
    *f = (struct family){0};
}

static uint64_t signature_of(uint32_t model)
{
    return UINT64_C(1) << model % 64;
}

bool family_set_within(const struct family_set *part, const struct family_set *whole,
                       uint64_t *steps)
{
    *steps += 1;
    if (part->count > whole->count || (part->signature & ~whole->signature))
        return false;
    uint32_t i = 0, k = 0;
    for (; i < part->count && k < whole->count && whole->members[k] <= part->members[i]; k++)
        i += whole->members[k] == part->members[i];
    *steps += k;
    return i == part->count;
}

/* Drops the sets that are part of `set`. False when it is itself part of one: then nothing is. */
static bool make_way(struct family *f, const struct family_set *set, uint64_t *steps)
{
    uint32_t kept = 0;
    *steps += f->count;
    for (uint32_t i = 0; i < f->count; i++) {
        struct family_set *other = &f->sets[i];
        uint64_t common = set->signature & other->signature;
        /* By far the most are told apart here. */
        bool apart = common != set->signature && common != other->signature;
        if (!apart && family_set_within(set, other, steps)) {
            must(kept == i); /* `other` would hold what was dropped, too */
            return false;
        }
        if (!apart && family_set_within(other, set, steps)) {
            f->members -= other->count;
            free(other->members);
        } else {
            f->sets[kept++] = *other;
        }
    }
    f->count = kept;
    return true;
}

/* Takes the set. */
static enum family_limit insert(struct family *f, struct family_set set,
                                struct family_budget *budget)
{
    uint64_t steps = JOIN_STEPS + set.count;
    enum family_limit met = FAMILY_FITS;
    bool is_new = make_way(f, &set, &steps);
    if (is_new && f->count == CONFIG_MATRIX_SETS_MAX)
        met = FAMILY_SETS;
    else if (is_new && set.count > CONFIG_MATRIX_MEMBERS_MAX - f->members)
        met = FAMILY_MEMBERS;
    if (!family_spend(budget, steps) && met == FAMILY_FITS)
        met = FAMILY_WORK;
    if (!is_new || met != FAMILY_FITS) {
        free(set.members);
        return met;
    }
    if (f->count == f->room) {
        f->room = f->room ? f->room * 2 : 4;
        f->sets = alloc_grow(f->sets, f->room, sizeof(*f->sets));
    }
    f->sets[f->count++] = set;
    f->members += set.count;
    return FAMILY_FITS;
}

void family_one(struct family *f, uint32_t model)
{
    struct family_budget enough = {.steps = JOIN_STEPS + 1};
    struct family_set set = {.signature = signature_of(model),
                             .count = 1,
                             .members = alloc_zeroed(1, sizeof(*set.members))};
    set.members[0] = model;
    family_fini(f);
    must(insert(f, set, &enough) == FAMILY_FITS);
}

static struct family_set join(const struct family_set *a, const struct family_set *b)
{
    struct family_set set = {.signature = a->signature | b->signature};
    set.members = alloc_zeroed((size_t)a->count + b->count, sizeof(*set.members));
    for (uint32_t i = 0, k = 0; i < a->count || k < b->count;) {
        bool first = k == b->count || (i < a->count && a->members[i] <= b->members[k]);
        uint32_t next = first ? a->members[i] : b->members[k];
        i += i < a->count && a->members[i] == next;
        k += k < b->count && b->members[k] == next;
        set.members[set.count++] = next;
    }
    return set;
}

enum family_limit family_or(struct family *f, const struct family *from,
                            struct family_budget *budget)
{
    enum family_limit met = FAMILY_FITS;
    for (uint32_t i = 0; i < from->count && met == FAMILY_FITS; i++)
        met = insert(f, join(&from->sets[i], &(struct family_set){0}), budget);
    return met;
}

enum family_limit family_and(struct family *f, const struct family *with,
                             struct family_budget *budget)
{
    struct family result = {0};
    enum family_limit met = FAMILY_FITS;
    for (uint32_t i = 0; i < f->count; i++)
        for (uint32_t k = 0; k < with->count && met == FAMILY_FITS; k++)
            met = insert(&result, join(&f->sets[i], &with->sets[k]), budget);
    if (met != FAMILY_FITS) {
        family_fini(&result);
        return met;
    }
    family_fini(f);
    *f = result;
    return FAMILY_FITS;
}
