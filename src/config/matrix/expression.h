/* expression.h: the language in which a matrix says which models may run together. It is
 * llama-swap's:
 *
 *     expression := both ('|' both)*         either
 *     both       := term ('&' term)*         together
 *     term       := NAME | '+' NAME | '(' expression ')'
 *
 * NAME is a run of letters, digits, '_', '-' and '.'; '+' stands directly before the name of
 * another set. Blanks between them mean nothing. */
#ifndef CONFIG_MATRIX_EXPRESSION_H
#define CONFIG_MATRIX_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"
#include "config/matrix/family.h"

enum term {
    TERM_MODEL, /* a variable or a model's id */
    TERM_SET,   /* the set of that name */
    TERM_AND,   /* takes the two before it */
    TERM_OR,
};

struct expression_step {
    enum term term;
    uint32_t length;
    const char *name; /* of MODEL and SET; in the text, so it ends by its length */
    uint32_t index;   /* what the name stands for; filled in by who knows */
};

/* As a stack machine takes it: operands first. */
struct expression {
    struct expression_step *steps; /* owned */
    uint32_t count, room;
};

/* Returns NULL, or what is wrong in llama-swap's words, in the arena; then the expression is empty
 * or a part of it. The text is UTF-8 and must outlive the expression. */
const char *expression_parse(struct arena *a, struct family_budget *budget, const char *text,
                             struct expression *ret);
void expression_fini(struct expression *e);

/* A letter or a digit of any script, or one of "_-.". Beyond ASCII, what is not known to be
 * something else counts as a letter. */
bool expression_is_name_char(uint32_t rune);
/* The character at *p, which moves behind it; 0 at the end. */
uint32_t expression_next_rune(const char **p);

#endif
