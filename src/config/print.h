/* print.h: the parts of config_print. Private to config/. A depth is one of indentation, two blanks
 * each. */
#ifndef CONFIG_PRINT_H
#define CONFIG_PRINT_H

#include "config/config.h"
#include "config/settings.h"

void print_indent(struct buf *out, int depth);
/* The rows of a scope that have a field, a line each; `from` is the struct that they are in. */
void print_scope(struct buf *out, int depth, enum scope scope, const void *from);
/* One line; nothing where there are no texts. */
void print_texts(struct buf *out, int depth, const char *key, const struct config_strings *texts);
/* In quotes, secrets masked, and the end of the line. */
void print_command(struct buf *out, const char *text);

/* routing: and all below it. */
void print_routing(struct buf *out, const struct config *c);
/* classes, gates, modes, hooks, host. */
void print_policies(struct buf *out, const struct config *c);

#endif
