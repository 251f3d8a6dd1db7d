/* reader.h: readings of GPUs for a program that must not hang with a driver: a thread of its own
 * asks the drivers, and is left behind where they never answer.
 *
 * The daemon has a process for that (gpu/probe.h). A library cannot start processes behind its
 * program's back, and a program that uses a GPU has its driver inside anyway. */
#ifndef LIB_POOL_READER_H
#define LIB_POOL_READER_H

#include "base/pure/check.h"
#include "gpu/gpu.h"

struct reader;

/* 0, -ENOMEM or -EAGAIN. */
int reader_new(struct reader **ret) warn_unused;
/* Waits a second at most for a driver; a thread that is in one then ends when it comes back, if
 * ever. */
void reader_free(struct reader *r);
/* What a reading says that begins after the call: up to room devices, and *ret_count. 0, or
 * -ETIMEDOUT after wait_ns_max. */
int reader_read(struct reader *r, uint64_t wait_ns_max, struct gpu_device *out, uint32_t room,
                uint32_t *ret_count) warn_unused;

#endif
