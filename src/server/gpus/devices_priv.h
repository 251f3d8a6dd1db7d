/* devices_priv.h: the devices' state, for the files that share it: devices.c (what the core is
 * told), devices_found.c (which GPUs there are, and reading them), devices_env.c. */
#ifndef SERVER_DEVICES_PRIV_H
#define SERVER_DEVICES_PRIV_H

#include <uv.h>

#include "core/core.h"
#include "gpu/gpu.h"
#include "server/gpus/devices.h"
#include "server/gpus/gpuprobe.h"

/* Whose a process is. It is looked up when it is first seen: looking into one that hangs in its
 * driver may itself hang. */
struct device_owner {
    int32_t pid;
    uint32_t slot,
        age;         /* slot: CORE_SLOT_NONE for a stranger; age: readings since it was looked up */
    struct id lease; /* of a slot that is CORE_SLOT_NONE: the core's lease; none: a stranger's */
    uint64_t start_ticks;
    const struct resident *resident; /* the slot's model's then; compared, never followed */
};

/* By its index in the core and in the configuration. */
struct device {
    struct devices *devices;
    uint32_t index;
    /* Simulated ones alone. */
    char *folder; /* owned; NULL: not a simulated device */
    uint64_t total_bytes, sample_ns;
    uv_timer_t timer;
    uv_work_t work;
    bool busy, again, failed;
    struct gpu_device next; /* the reading under way */
    struct err err;
    /* All. */
    struct gpu_device now; /* the last reading */
    bool read;             /* now says something */
    uint64_t asked_ns; /* when the reading under way began: it proves only what was over before */
    uint64_t taken_ns; /* when that of now was asked for */
    uint64_t read_ns, peak_bytes;
    char trouble[GPU_PROBLEM_MAX];   /* "": none */
    char degraded[2 * GPU_TEXT_MAX]; /* the name by which it is told as degraded; "": it is not */
    bool told;                       /* the core has it */
    uint64_t told_bytes;
    bool use_told; /* whoever follows events knows of told_used_bytes */
    uint64_t told_used_bytes;
    struct sample_use uses[GPU_USES_MAX]; /* each model's and lease's own */
    uint32_t use_count;
    struct device_owner owners[GPU_USES_MAX]; /* of now.uses, or of the last that were known */
    uint32_t owner_count;
    bool uses_known;
};

/* A GPU of the machine, since it was found; at its place for good. */
struct found_gpu {
    struct gpu_device is; /* its last reading that was one */
    bool here, usable;
    uint32_t errors_told;
};

struct devices {
    struct server *server;
    struct device all[CORE_DEVICES_MAX];
    uint32_t count;         /* as many as the configuration in force has */
    struct gpuprobe *probe; /* NULL: no GPU of the machine is wanted */
    struct found_gpu found[GPU_DEVICES_MAX];
    uint32_t found_count;
    uv_timer_t timer; /* of the next question */
    bool answered, again, closed;
    uint64_t asked_ns, quick_until_ns, renew_ns;
    uint32_t unchanged;                /* readings in a row in which no number of bytes changed */
    char problem[2 * GPU_PROBLEM_MAX]; /* of all, such as: no GPU was found */
};

/* A reading that was asked for at asked_ns; NULL: it cannot be read now. The core is told. */
void device_take(struct device *v, const struct gpu_device *reading, uint64_t asked_ns);
/* It has been lost; says so once. */
void device_lose(struct device *v, const char *why);
/* Notes what is wrong with it, "" for nothing, and tells it as degraded (degraded.h). */
void device_set_trouble(struct device *v, const char *text);
/* The same of what is wrong with all. */
void devices_set_problem(struct devices *d, const char *text);
/* How a device is called. */
const char *device_name(const struct device *v);

/* devices_found.c */
void found_init(struct devices *d);
void found_place(struct devices *d, struct config *c);
void found_sample_now(struct devices *d);
/* For GPUs that were not there. */
void found_look_again(struct devices *d);
void found_close(struct devices *d);

#endif
