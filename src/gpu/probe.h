/* probe.h: the process that makes all calls into drivers, so that one that hangs stops nobody else.
 *
 * The daemon starts its own program as `wharf gpu-probe` with one end of a socket pair as its
 * stdin, asks (wire.h), and gets a report for each question. The process keeps nothing else open,
 * ends when the daemon's end closes, and is killed with the daemon, wherever it is. */
#ifndef GPU_PROBE_H
#define GPU_PROBE_H

#include "gpu/gpu.h"
#include "gpu/wire.h"

#define PROBE_COMMAND "gpu-probe"

/* What the environment says, for tests: WHARF_GPU_ROOT, WHARF_NVML. */
struct gpu_place probe_place(void);

struct probe;
/* Opens every source. */
struct probe *probe_new(const struct gpu_place *where);
/* Fills in all but magic, version and number; what was lost or waits is opened anew with the next
 * probe. */
void probe_read(struct probe *p, struct gpu_report *ret);
void probe_free(struct probe *p);

/* Answers the questions that come on fd until it closes. Returns the exit status. */
int probe_serve(int fd, const struct gpu_place *where);
/* All that the process does; stdin is the socket. */
int probe_main(void);

#endif
