/* worker.h: the pretended engine as a worker: it registers with wharf, does what it is told, and
 * registers again when the connection ends. */
#ifndef DEMO_WORKER_H
#define DEMO_WORKER_H

#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "engine.h"

/* Looks at the flags, and takes its first place: loads there, and claims memory. */
int worker_init(const struct flags *f, struct err *err) warn_unused;
/* Serves orders for good. To be called on a thread of its own. */
_Noreturn void worker_run(struct engine *e, int listen_fd);

#endif
