/* devices.h: what the devices report, as samples for the core. For now the simulated ones; readings
 * run on the thread pool, at most one a device at a time. */
#ifndef SERVER_DEVICES_H
#define SERVER_DEVICES_H

#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"

struct devices;
struct server;

/* Those of the configuration. */
struct devices *devices_new(struct server *s);
/* Creates the simulated devices' folders. */
int devices_open(struct devices *d, struct err *err) warn_unused;
/* Tells the core which devices there are, and begins to sample. */
void devices_start(struct devices *d);
/* Reads a device as soon as possible; again, if a reading is under way already. */
void devices_sample_now(struct devices *d, uint32_t device);
/* The folders of the simulated ones of these devices, for their engines' environment, with line
 * feeds between them; NULL for none. The caller frees it. */
char *devices_sim_folders(const struct devices *d, uint32_t mask);
/* What is wrong with a device that cannot be read, or NULL. */
const char *devices_problem(const struct devices *d);
/* Stops the timers. */
void devices_close(struct devices *d);
/* After the loop has ended. */
void devices_free(struct devices *d);

#endif
