/* sim.h: the simulated GPU, read-only.
 *
 * A simulated device is a folder. Each engine that "allocates" on it keeps a file there, named by
 * its process id, holding the bytes it claims as decimal text, and holds a POSIX record lock
 * (fcntl F_SETLK, whole file) on it for as long as it lives: the kernel drops the lock when the
 * process dies, so a claim whose lock is gone (F_GETLK reports F_UNLCK) counts for nothing, and
 * F_GETLK names the holder, which cannot lie. Engines take the record lock on the file "lock" in
 * the same folder while they check the capacity (file "capacity", decimal bytes, written by wharf)
 * and write their claim. wharf only ever reads claims: they are an independent witness. */
#ifndef GPU_SIM_H
#define GPU_SIM_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "gpu/gpu.h"

#define SIM_CLAIMS_MAX 256

struct sim_claim {
    pid_t pid; /* the lock's holder, in this process's namespace */
    uint64_t bytes;
};

struct sim_reading {
    uint64_t used_bytes; /* sum over live claims, also those beyond SIM_CLAIMS_MAX */
    uint32_t claim_count;
    struct sim_claim claims[SIM_CLAIMS_MAX];
};

/* Creates the folder with its "lock" and "capacity" files; removes claims whose holder is gone. */
int sim_create(const char *folder, uint64_t capacity_bytes, struct err *err) warn_unused;
/* Blocking file reads; call off the loop. */
int sim_read(const char *folder, struct sim_reading *ret, struct err *err) warn_unused;
/* The same without the claim of that process. One that holds a claim must read no other way: to
 * close any descriptor of a file is to drop its locks. */
int sim_read_others(const char *folder, pid_t self, struct sim_reading *ret,
                    struct err *err) warn_unused;
/* The same as a reading of a device with that memory. */
int sim_read_device(const char *folder, uint64_t total_bytes, struct gpu_device *ret,
                    struct err *err) warn_unused;

#endif
