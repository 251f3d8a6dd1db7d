/* devices.h: which devices a pool is about, and what is read of them. */
#ifndef LIB_POOL_DEVICES_H
#define LIB_POOL_DEVICES_H

#include "lib/pool/reader.h"
#include "wharf/broker_setup.h"
#include "wharf/pool.h"

enum pool_source { SOURCE_GPUS, SOURCE_HOST, SOURCE_PROGRAM };

struct pool_device {
    char name[GPU_TEXT_MAX]; /* as the program calls it */
    char slot[12];           /* as the broker does */
    struct gpu_device gpu;   /* the identity of it; of SOURCE_GPUS */
    uint64_t total_bytes, used_bytes;
    int32_t utilisation_percent;
    bool stale;
    uint64_t reserved_bytes, peak_bytes;
};

struct pool_devices {
    enum pool_source source;
    struct reader *reader; /* SOURCE_GPUS: its own */
    uint64_t wait_ns_max;
    int (*sample)(void *arg, struct wharf_pool_reading *ret);
    void *arg;
    struct pool_device items[WHARF_DEVICES_MAX];
    uint32_t count;
};

/* 0, or as wharf_pool_new says; to be ended in any case. */
int pool_devices_init(struct pool_devices *d, const struct wharf_pool_options *o) warn_unused;
void pool_devices_fini(struct pool_devices *d);
/* The place of that name; count: there is none. */
uint32_t pool_devices_find(const struct pool_devices *d, const char *name);
/* What is in use there. May be called by several threads at once. 0, or a negative errno. */
int pool_devices_read(const struct pool_devices *d, uint32_t i,
                      struct wharf_pool_reading *ret) warn_unused;

/* Whether CUDA_VISIBLE_DEVICES leaves this one; at is its number among all. Of a list of numbers
 * and UUIDs, as CUDA reads it: what stands behind the first that names none counts for nothing. */
bool pool_gpu_is_visible(const char *list, const struct gpu_device *gpus, uint32_t count,
                         uint32_t at);

#endif
