/* gpus.h: which GPUs there are, asked of the process by which the daemon asks, too (gpu/probe.h): a
 * driver that hangs holds nobody up. */
#ifndef CLI_INIT_GPUS_H
#define CLI_INIT_GPUS_H

#include "cli/init/found.h"

/* Fills in the GPUs, or why none is known. Takes as long as a driver needs to wake up, 30 s at
 * most. */
void gpus_look(struct found *f);

#endif
