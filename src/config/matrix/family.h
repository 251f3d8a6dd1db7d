/* family.h: families of sets of models, which is what the expressions of a matrix stand for, built
 * up within bounds.
 *
 * A family holds no set that is part of another one in it. What would break a bound is refused the
 * moment it does, and work is paid for from a budget, so that neither memory nor time follows the
 * size of what an expression would come to. */
#ifndef CONFIG_MATRIX_FAMILY_H
#define CONFIG_MATRIX_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pure/check.h"

struct family_set {
    uint64_t signature; /* bit i: has a member whose number modulo 64 is i */
    uint32_t count;
    uint32_t *members; /* owned; ascending */
};

struct family {
    struct family_set *sets; /* owned; in the order in which they came, a set that swallowed others
                                at the end */
    uint32_t count, room;
    uint32_t members; /* of all sets together */
};

enum family_limit {
    FAMILY_FITS,
    FAMILY_SETS,    /* more than CONFIG_MATRIX_SETS_MAX */
    FAMILY_MEMBERS, /* more than CONFIG_MATRIX_MEMBERS_MAX */
    FAMILY_WORK,    /* the budget is used up */
};

/* Steps that are left, each about as long as one comparison. */
struct family_budget {
    uint64_t steps;
};

/* False, and nothing is left, when there are fewer. */
bool family_spend(struct family_budget *budget, uint64_t steps) warn_unused;

/* All zero is a valid, empty family. */
void family_fini(struct family *f);
/* f becomes { {model} }. */
void family_one(struct family *f, uint32_t model);
/* Adds the sets of `from`. When a limit is met, f holds a part of them. */
enum family_limit family_or(struct family *f, const struct family *from,
                            struct family_budget *budget) warn_unused;
/* Each set of f joined with each of `with`. When a limit is met, f is as it was. */
enum family_limit family_and(struct family *f, const struct family *with,
                             struct family_budget *budget) warn_unused;
/* Whether all members of one set are in the other. Adds what it took to *steps. */
bool family_set_within(const struct family_set *part, const struct family_set *whole,
                       uint64_t *steps);

#endif
