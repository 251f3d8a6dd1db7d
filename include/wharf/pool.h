/* wharf/pool.h: jobs of a program that share the memory of GPUs, or of the host: so many at once, and
 * no more bytes than a share of what there is.
 *
 * A job names the bytes that it will need, waits in order of class and arrival until they and a slot
 * are free, and gives both back at its end. It is a broker's leases (broker.h) with numbers of the
 * real devices: what other programs use there counts. Nothing is enforced: a job that takes more
 * than it said is seen as somebody else's use. */
#ifndef WHARF_POOL_H
#define WHARF_POOL_H

#include <wharf/api.h>

#ifdef __cplusplus
extern "C" {
#endif

struct wharf_pool;

/* What is in use on a device, by whomever. */
struct wharf_pool_reading {
    uint64_t used_bytes;
    int32_t utilisation_percent; /* -1: not known */
};

/* Copied, but for arg. All zero: the defaults. */
struct wharf_pool_options {
    /* NULL or "auto": every GPU, or the host's memory where there is none; "cuda": every GPU, NVIDIA's
     * or AMD's; "cuda:1": that one; "cpu": the host's memory. GPUs are counted as the driver does,
     * among those that CUDA_VISIBLE_DEVICES leaves. */
    const char *device;
    uint32_t limit_permille; /* of a device's memory; 0: 800 */
    uint32_t jobs_max;       /* at once; 0: 3 */
    uint64_t reserve_bytes;  /* never given out, on each device */
    int64_t read_ns_max;     /* longest wait for an answer of a driver; 0: 2 s */
    /* Not 0: a single device of that size that the program knows of itself, called device, or cuda:0,
     * of which no driver is asked. */
    uint64_t total_bytes;
    /* With total_bytes: asked before each decision; 0, or a negative errno. NULL: what jobs have
     * allocated is all there is. */
    int (*sample)(void *arg, struct wharf_pool_reading *ret);
    /* Called at the end of each job, before others may have its bytes: where a framework's cache is
     * emptied. On the thread that releases it. */
    void (*cleanup)(void *arg, const char *job, const char *device);
    void *arg; /* of both */
};

/* o may be NULL. NULL: errno is EINVAL, ENOMEM, EAGAIN (no thread), ENODEV (no such GPU) or ETIMEDOUT
 * (a driver that does not answer). */
WHARF_API struct wharf_pool *wharf_pool_new(const struct wharf_pool_options *o);
/* Jobs that have not been released are forgotten. A driver that hangs is not waited for. */
WHARF_API void wharf_pool_free(struct wharf_pool *p);
/* The one of the whole process: o is what the first call makes it with. Never freed. NULL as above;
 * the next call tries again. */
WHARF_API struct wharf_pool *wharf_pool_default(const struct wharf_pool_options *o);

struct wharf_job {
    const char *name; /* one of its own among the jobs of the pool; copied */
    uint64_t bytes;   /* 0: a slot alone */
    enum wharf_class wharf_class;
    const char *device; /* NULL: any of the pool's */
};

/* Whether it could be let in now: 0; -EAGAIN not now; -ENOSPC never; -ENOENT no such device;
 * -EINVAL. Nothing is promised: others may come before it. */
WHARF_API int wharf_pool_can_run(struct wharf_pool *p, const struct wharf_job *job);

/* Waits until it is let in. cancel and ret_device may be NULL; *ret_device, of the pool, is where its
 * bytes are, or "cpu". 0, or
 * -EEXIST     there is a job of that name
 * -EINVAL     it has no name, or an unknown class
 * -ENOENT     no such device
 * -ENOSPC     more than there can be
 * -ETIMEDOUT  timeout_ns is over; with 0: it would have to wait
 * -ECANCELED  cancel was set
 * -ENOMEM */
WHARF_API int wharf_pool_allocate(struct wharf_pool *p, const struct wharf_job *job,
                                  int64_t timeout_ns, struct wharf_cancel *cancel,
                                  const char **ret_device);
/* Its end; rc 0: it counts as processed, else as failed. 0, or -ENOENT: no such job is in. */
WHARF_API int wharf_pool_release(struct wharf_pool *p, const char *job, int rc);

/* Runs the function as that job: from allocate to release, also where it is left by a C++ exception
 * or by the thread's cancellation, which count as failed. Returns what the function does; where it was
 * not let in, as allocate does, and *ret_ran (may be NULL) is false. */
WHARF_API int wharf_pool_run(struct wharf_pool *p, const struct wharf_job *job, int64_t timeout_ns,
                             int (*run)(void *arg, const char *device), void *arg, bool *ret_ran);

/* One that does not block. 0: *ret_wait waits, and arg comes to the inbox when it has ended; else as
 * allocate. */
struct wharf_pool_wait;
WHARF_API int wharf_pool_begin(struct wharf_pool *p, const struct wharf_job *job,
                               int64_t timeout_ns, struct wharf_inbox *inbox, void *arg,
                               struct wharf_pool_wait **ret_wait);
/* After the inbox has told of it: as allocate returns. Frees the wait. */
WHARF_API int wharf_pool_finish(struct wharf_pool_wait *w, const char **ret_device);
/* Before that: it ends, and gives back what it has been given. */
WHARF_API void wharf_pool_cancel(struct wharf_pool_wait *w);

/* Of a device; texts are the pool's. */
struct wharf_pool_device {
    const char *name;    /* "cuda:0", "cpu" */
    const char *product; /* "NVIDIA H200"; "": not known */
    const char *uuid;    /* "GPU-…"; "": none */
    uint64_t total_bytes;
    uint64_t limit_bytes;     /* that jobs may have in all */
    uint64_t allocated_bytes; /* in use there, by whomever, by the last reading */
    uint64_t reserved_bytes;  /* of jobs that are in */
    uint64_t free_bytes;      /* that a job could be given now */
    uint64_t peak_bytes;      /* most that was reserved at once */
    int32_t utilisation_percent; /* -1: not known */
    bool stale;                  /* the last reading failed: the numbers are of the one before */
};
/* The i-th: 0, or -ENOENT. Asks for numbers first. */
WHARF_API int wharf_pool_device(struct wharf_pool *p, uint32_t i, struct wharf_pool_device *ret);

struct wharf_pool_stats {
    uint32_t devices, jobs_max, active, waiting;
    uint64_t processed, failed;
    uint64_t refused; /* not let in: no room, timeouts, cancels */
    uint64_t total_bytes, allocated_bytes, reserved_bytes, free_bytes; /* of all devices */
    uint64_t peak_bytes; /* most that was reserved at once, on all together */
};
WHARF_API void wharf_pool_stats(struct wharf_pool *p, struct wharf_pool_stats *ret);
/* Peaks are what is reserved now. */
WHARF_API void wharf_pool_reset_peak(struct wharf_pool *p);

#ifdef __cplusplus
}
#endif

#endif
