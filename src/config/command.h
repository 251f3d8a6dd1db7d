/* command.h: cmd and cmdStop → arguments.
 *
 * A POSIX-like split without a shell: blanks (space, tab, newline) part the arguments; '...' is
 * literal; in "..." a backslash escapes $ ` " \ and the newline; elsewhere it escapes any
 * character. No variables, globs, pipes or redirections. Lines that start with # are comments, and
 * a backslash at a line's end joins it with the next one. */
#ifndef CONFIG_COMMAND_H
#define CONFIG_COMMAND_H

#include "base/buf.h"
#include "base/pure/check.h"
#include "config/arena.h"
#include "config/config.h"

/* Drops the comment lines and joins continued ones. */
void command_strip_comments(const char *text, struct buf *out);
/* Splits text without comments. NULL, or what is wrong with it: no argument at all. *ret_open: a
 * quote is never closed; it ends with the text then. */
const char *config_split_command(struct arena *a, const char *text, struct config_strings *ret_argv,
                                 bool *ret_open) warn_unused;

#endif
