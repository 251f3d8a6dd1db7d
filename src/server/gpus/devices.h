/* devices.h: what the devices report, as samples for the core, and as readings for whoever asks.
 *
 * Simulated devices are files, read on the thread pool; the GPUs of the machine are read by a
 * process of its own (gpuprobe.h), all at once. Which those are is known only once it has answered:
 * then they become entries of the configuration in force (config/gpus.h), and devices of the core.
 */
#ifndef SERVER_DEVICES_H
#define SERVER_DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "base/pure/pool.h"

struct buf;
struct config;
struct config_ref;
struct devices;
struct gpu_device;
struct server;

/* Those of the configuration. */
struct devices *devices_new(struct server *s);
/* Creates the simulated devices' folders. */
int devices_open(struct devices *d, struct err *err) warn_unused;
/* Tells the core which simulated devices there are, and begins to sample them. */
void devices_start(struct devices *d);
/* Begins to read the machine's GPUs. Where bytes are to be planned, the boot is held (boot.h) until
 * they are known, or have not been for too long. */
void devices_find(struct devices *d);
/* A new configuration, before anybody else looks at it: the GPUs stay those that they were. */
void devices_adopt(struct devices *d, struct config *next, const struct config *old);
/* Takes over how often to sample; looks again where there was no GPU. */
void devices_reload(struct devices *d);
/* Reads a device as soon as possible; again, if a reading is under way already. */
void devices_sample_now(struct devices *d, uint32_t device);
/* What a model's server is told of the devices that it sits on, as "NAME=VALUE" texts with line
 * feeds between them where one has several lines; appended to env, which is NULL-terminated and has
 * room for DEVICES_ENV_MAX more. The caller frees them. */
#define DEVICES_ENV_MAX 4
void devices_put_env(const struct devices *d, uint32_t mask, char **env);
/* Likewise, for one that is to use no GPU at all. */
void devices_put_no_gpu(char **env);

/* The last reading of a device, or NULL: there is none, or it is too old to mean anything. Valid
 * until the loop goes on. */
const struct gpu_device *devices_reading(const struct devices *d, uint32_t device);
/* Whose process its use of that number is: a slot, CORE_SLOT_NONE for a stranger's. */
uint32_t devices_owner(const struct devices *d, uint32_t device, uint32_t use);
/* And which lease's, as the core calls it; none: no lease's. */
struct id devices_owner_lease(const struct devices *d, uint32_t device, uint32_t use);
/* Who it is, which outlives readings; NULL: not known yet. */
const struct gpu_device *devices_identity(const struct devices *d, uint32_t device);
/* The GPUs of the machine that were found, used or not; NULL behind the last. */
const struct gpu_device *devices_found(const struct devices *d, uint32_t i);
/* The most that was seen in use; 0: none yet. */
uint64_t devices_peak(const struct devices *d, uint32_t device);
/* When it was read (monotonic); 0: never. */
uint64_t devices_read_at(const struct devices *d, uint32_t device);
/* What is wrong with that device, or NULL. */
const char *devices_trouble(const struct devices *d, uint32_t device);
/* What is wrong with any of them, or with finding them, or NULL. */
const char *devices_problem(const struct devices *d);
/* What a model's processes use on all its devices, by the last readings; false: not known. */
bool devices_model_uses(const struct devices *d, uint32_t slot, uint64_t *ret_bytes);

/* The same by readings that were begun after since_ns, and the most that it uses on one device.
 * BLIND: nobody can tell; LATER: such readings have not come yet. */
enum devices_sight { DEVICES_BLIND, DEVICES_LATER, DEVICES_SEEN };
enum devices_sight devices_model_seen(const struct devices *d, uint32_t slot, uint64_t since_ns,
                                      uint64_t *ret_sum, uint64_t *ret_most);

/* Ends the probe: nothing is decided any more. */
void devices_stop(struct devices *d);
/* Stops the timers. */
void devices_close(struct devices *d);
/* After the loop has ended. */
void devices_free(struct devices *d);

#endif
