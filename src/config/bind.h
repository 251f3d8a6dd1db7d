/* bind.h: nodes → values, by the settings table.
 *
 * Every scope becomes a `bound` with one value a row, defaults included; so whoever reads it never
 * asks whether something is there, only (where it matters) whether it was given. */
#ifndef CONFIG_BIND_H
#define CONFIG_BIND_H

#include "config/diag.h"
#include "config/node.h"
#include "config/settings.h"

/* VRAM: the value of `number` that means auto. */
#define BOUND_VRAM_AUTO INT64_C(-1)

struct bound_text {
    const char *text; /* of COUNTS, PAIRS and EACH types: the name */
    int64_t number;   /* of COUNTS */
    struct place at;
    const char *word; /* of PAIRS and EACH types: what the name has; "" where nothing is given */
    struct place word_at;
};

struct value {
    bool given;   /* false: the default */
    bool broken;  /* it was given, and an error has been reported */
    bool is_word; /* MAP: a word stands in its place */
    struct place at;
    bool flag;
    int64_t number;   /* COUNT, SIZE (bytes), DURATION (ns), SHARE (permille), CHOICE, VRAM, and
                         the word in place of a MAP */
    int64_t written;  /* the number before it was raised to the least that counts */
    const char *text; /* TEXT, TRIMMED */
    struct bound_text *texts; /* of EACH_TEXTS: one for each text, so a name may come repeatedly */
    const struct node *node;  /* of ANY and EACH_ANY: the mapping; NULL where there is none */
    struct bound **children;  /* MAP: exactly one */
    uint32_t count;           /* of texts or children */
};

struct bound {
    enum scope scope;
    const char *id; /* of MAPS: the key; "" otherwise */
    bool broken;    /* it is no mapping, and an error has been reported: all are defaults */
    struct place at;
    struct value *values;
};

/* Never NULL; what is wrong is in d. */
struct bound *bind_config(struct arena *a, struct diag *d, const struct node *root);

const struct value *bound_value(const struct bound *b, enum setting_id id);
/* The inner scope of a MAP row. */
const struct bound *bound_child(const struct bound *b, enum setting_id id);
/* Copies the values of all rows that have a field into the struct that belongs to the scope. Texts
 * are copied into the arena. */
void bound_project(const struct bound *b, struct arena *a, void *target);

#endif
