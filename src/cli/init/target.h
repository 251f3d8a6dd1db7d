/* target.h: the file that is written: whole or not at all. */
#ifndef CLI_INIT_TARGET_H
#define CLI_INIT_TARGET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/pure/check.h"

/* Whether it can be written, as far as that can be told beforehand; -1 with e set: it is there and
 * force is not given, it is no regular file, or its folder is not there or may not be written. */
int target_check(const char *path, bool force, struct err *e) warn_unused;
/* Writes a new file beside it and gives that its name. One that is replaced keeps its mode, and a
 * link to it stays one; a new file is its owner's alone, since keys get written into it. Signals
 * wait meanwhile, so that nothing else is left behind. */
int target_write(const char *path, bool force, const struct buf *text, struct err *e) warn_unused;

#endif
