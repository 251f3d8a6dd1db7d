/* out_of_memory.h: whether what a model's server has printed says that it ran out of the memory of
 * a GPU. The memory of the host is another matter: more room on a GPU would not help. */
#ifndef BACKEND_OUT_OF_MEMORY_H
#define BACKEND_OUT_OF_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Of the end of what it has printed, so much is worth a look: behind the cause may come the traces
 * of several processes. */
#define OUT_OF_MEMORY_TAIL_BYTES (16 * 1024)

/* Any of the lines says so. */
bool out_of_memory_said(const char *text, size_t n);

#endif
