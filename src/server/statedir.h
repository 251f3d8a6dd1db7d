/* statedir.h: the state directory, as one daemon's own. */
#ifndef SERVER_STATEDIR_H
#define SERVER_STATEDIR_H

#include "base/err.h"
#include "base/pure/check.h"

#define STATEDIR_MARK_BYTES 33 /* 32 hexadecimal digits and a NUL */

/* Makes the folders in it, and takes it for this process until that ends. -1 when another daemon
 * has it. */
int statedir_open(const char *state, struct err *err) warn_unused;
/* This installation's name for its processes: made once, kept there. */
int statedir_mark(const char *state, char mark[STATEDIR_MARK_BYTES], struct err *err) warn_unused;

#endif
