/* abort.h: the end of a daemon that lacks what it cannot go on without: memory, descriptors or
 * threads.
 *
 * It is no crash: the daemon says in one line what is missing, leaves nothing of its own behind but
 * its models, and the next one takes these over (residents/process_kept.c). Libraries that cannot
 * go on abort without a word, libuv among them. */
#ifndef SERVER_ABORT_H
#define SERVER_ABORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/pure/check.h"

/* From here on abort() ends the process with status 1 and a line, where something was missing. A
 * broken invariant stays what it is. */
void abort_watch(void);
/* Whether there is memory to read a JSON text of so many bytes, and to write it again. To be asked
 * where a client decides how many: Jansson has what it wants, or the process ends. */
bool abort_json_fits(size_t bytes);
/* Whether libuv can have what it takes for granted. -1 and *err: it cannot. */
int abort_foresee(struct err *err) warn_unused;

#endif
