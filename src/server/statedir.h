/* statedir.h: the state directory, as one daemon's own. */
#ifndef SERVER_STATEDIR_H
#define SERVER_STATEDIR_H

#include "base/err.h"
#include "base/pure/check.h"

#define STATEDIR_MARK_BYTES 33 /* 32 hexadecimal digits and a NUL */

/* Makes the folders in it, and takes it for this process until that ends, or its descriptor
 * *lock_fd is closed; -1 there: it has not been taken before an exec. What others may write or read
 * there is mended, and told. -1 when another daemon has it, or another user has a hand in it. */
int statedir_open(const char *state, int *lock_fd, struct err *err) warn_unused;
/* Tells whether other users may read or change a file of wharf's that is outside of it, where they
 * may be meant to. */
void statedir_look_at(const char *path);
/* This installation's name for its processes: made once, kept there. */
int statedir_mark(const char *state, char mark[STATEDIR_MARK_BYTES], struct err *err) warn_unused;

#endif
