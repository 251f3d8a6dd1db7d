/* text.h: looking at configuration text before and beside the YAML parser. */
#ifndef CONFIG_TEXT_H
#define CONFIG_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"

/* The first byte that is not part of valid UTF-8 (RFC 3629), or is a control character that YAML
 * forbids (5.1: everything below a space but tab, LF and CR; and DEL). NULL when there is none. */
const char *text_invalid_at(const char *text, size_t n);
/* Line and column (characters, from 1) of a position in the text. */
void text_position(const char *text, const char *at, uint32_t *ret_line, uint32_t *ret_column);
/* The number of a line from `line - 1` to `line + 1` whose indentation holds a tab; 0: none. */
uint32_t text_tab_indent_near(const char *text, size_t n, uint32_t line);

/* llama-swap puts environment variables into the text before it is parsed, so `[${env.X}]` is a
 * list with one item there, while YAML sees a mapping in it. We parse first, so that values cannot
 * change the structure; to that end the braces of `${env.NAME}` are replaced by characters for
 * private use, which keeps every column, and put back in the scalars. */
char *text_hide_references(struct arena *a, const char *text, size_t n);
char *text_restore_references(struct arena *a, const char *text, size_t n);

/* What a single-quoted scalar says, from what stands between its quotes (YAML 1.2.2, 7.3.2 and
 * 6.5). */
char *text_of_single_quoted(struct arena *a, const char *raw, size_t n);

/* The next "${" at or behind p, or NULL. */
const char *text_reference(const char *p);
/* The length of NAME in `${NAME}` when one starts at p, else 0. NAME is [A-Za-z0-9_-]+. */
size_t text_macro_at(const char *p);
/* Likewise for `${env.NAME}`, NAME being [A-Za-z_][A-Za-z0-9_]*. */
size_t text_env_at(const char *p);

#endif
