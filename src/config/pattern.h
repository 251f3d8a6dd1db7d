/* pattern.h: regular expressions on paths. Private to config/; the only file with <pcre2.h>.
 *
 * llama-swap's are RE2: `$` is the end of the text only, and nothing can take long. PCRE2 reads
 * that syntax and more; its match and depth limits stand for the latter. */
#ifndef CONFIG_PATTERN_H
#define CONFIG_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "config/arena.h"

/* The compiled pattern, in the arena; or NULL, and in *ret_problem what is wrong and in *ret_at
 * behind how many bytes. */
void *pattern_compile(struct arena *a, const char *text, const char **ret_problem, size_t *ret_at);
/* Whether it is found somewhere in the text. */
bool pattern_found(const void *pattern, const char *text, size_t n);

#endif
