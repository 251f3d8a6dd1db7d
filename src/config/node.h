/* node.h: a YAML document as a tree of nodes that know where they stand.
 *
 * Nodes live in an arena and form a tree: an alias is a copy of what it stands for, so that macros
 * of one model never reach another. A scalar keeps its text; what type it has follows from the text
 * when it is plain (scalar_read), and is always text when it was quoted. */
#ifndef CONFIG_NODE_H
#define CONFIG_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"

struct place {
    const char *file;      /* as given by the user */
    uint32_t line, column; /* from 1; 0: the file as a whole */
};

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node_item {
    struct node *key; /* NULL in lists */
    struct node *value;
};

struct node {
    enum node_kind kind;
    bool plain;    /* scalar: not quoted, so that its text may mean a number, a bool or null */
    bool anchored; /* an anchor stands on this node or somewhere below */
    bool broken;   /* an error was already reported for it: ignore what it says */
    struct place at;
    const char *text; /* scalar; no NUL inside */
    struct node_item *items;
    uint32_t count, room;
};

struct node *node_new(struct arena *a, enum node_kind kind, struct place at);
void node_append(struct arena *a, struct node *parent, struct node *key, struct node *value);
/* The value of that key in a mapping, or NULL. */
struct node *node_find(const struct node *map, const char *key);
/* Takes a key out of a mapping. Returns its value, or NULL. */
struct node *node_remove(struct node *map, const char *key);

enum scalar_type { SCALAR_NULL, SCALAR_BOOL, SCALAR_INT, SCALAR_FLOAT, SCALAR_TEXT };

struct scalar {
    enum scalar_type type;
    bool flag;
    int64_t number;
    double real;
};

/* What a scalar means by the rules of yaml.v3, which llama-swap uses: the YAML 1.2 core schema plus
 * underscores, 0b, 0o and a leading 0 for octal. Integers beyond int64 are floats. */
struct scalar scalar_read(const struct node *scalar);
/* The text that Go's %v gives, which is how a macro's value enters a longer string: 0x10 is "16",
 * 1.50 is "1.5", 1000000.0 is "1e+06". Text stays as it is. */
const char *scalar_format(struct arena *a, const struct node *scalar);
/* `~`, `null` or nothing at all. */
bool node_says_null(const struct node *n);
/* That, or a missing node. */
static inline bool node_is_null(const struct node *n)
{
    return !n || node_says_null(n);
}

#endif
