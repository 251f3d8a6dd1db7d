/* pids.h: whether process ids that a driver names are those that are seen here.
 *
 * NVIDIA's driver knows no pid namespaces: it gives the host's numbers, wherever it is asked. */
#ifndef GPU_PIDS_H
#define GPU_PIDS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether this process is in the machine's first pid namespace, or in one that looks like it. */
bool pids_are_the_hosts(const char *root);
/* Whether there is such a process. */
bool pids_has(const char *root, int32_t pid);

/* When it began, in ticks since the machine did; 0: not known. */
uint64_t pids_start_ticks(const char *root, int32_t pid);

#endif
