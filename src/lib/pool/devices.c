#include "lib/pool/devices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_NS_MAX_DEFAULT UINT64_C(2000000000)
#define CUDA "cuda"
#define CPU "cpu"

/* The number of the GPU that a word of the list names; count: none. */
static uint32_t named(const char *word, size_t n, const struct gpu_device *gpus, uint32_t count)
{
    char *end;
    if (n == 0)
        return count;
    unsigned long number = strtoul(word, &end, 10);
    if (end == word + n && word[0] >= '0' && word[0] <= '9')
        return number < count ? (uint32_t)number : count;
    for (uint32_t i = 0; i < count; i++)
        if (strncmp(gpus[i].uuid, word, n) == 0) /* the beginning of one will do */
            return i;
    return count;
}

bool pool_gpu_is_visible(const char *list, const struct gpu_device *gpus, uint32_t count,
                         uint32_t at)
{
    if (!list)
        return true;
    for (;;) {
        size_t n = strcspn(list, ",");
        uint32_t i = named(list, n, gpus, count);
        if (i == count || i == at)
            return i == at && i != count;
        if (!list[n])
            return false;
        list += n + 1;
    }
}

static bool is_usable(const struct gpu_device *gpu)
{
    return (gpu->source == GPU_NVIDIA || gpu->source == GPU_AMD) && (gpu->known & GPU_TOTAL) &&
           gpu->total_bytes && !gpu->lost;
}

/* only: the number of one of them; UINT32_MAX: all. */
static void take_gpus(struct pool_devices *d, const struct gpu_device *gpus, uint32_t count,
                      uint32_t only)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    uint32_t number = 0;
    for (uint32_t i = 0; i < count && d->count < WHARF_DEVICES_MAX; i++) {
        if (!is_usable(&gpus[i]) || !pool_gpu_is_visible(visible, gpus, count, i))
            continue;
        if (only == UINT32_MAX || only == number) {
            struct pool_device *to = &d->items[d->count++];
            to->gpu = gpus[i];
            to->total_bytes = gpus[i].total_bytes;
            snprintf(to->name, sizeof(to->name), CUDA ":%u", number);
        }
        number++;
    }
}

/* 0, -ENODEV, or why they could not be read. */
static int find_gpus(struct pool_devices *d, uint32_t only)
{
    uint32_t count = 0;
    struct gpu_device *gpus = calloc(GPU_DEVICES_MAX, sizeof(*gpus));
    int rc = gpus ? reader_new(&d->reader) : -ENOMEM;
    if (rc == 0)
        rc = reader_read(d->reader, d->wait_ns_max, gpus, GPU_DEVICES_MAX, &count);
    if (rc == 0)
        take_gpus(d, gpus, count, only);
    free(gpus);
    return rc < 0 ? rc : d->count ? 0 : -ENODEV;
}

static int take_host(struct pool_devices *d)
{
    struct pool_device *to = &d->items[0];
    gpu_read_unified("", &to->gpu);
    if (!(to->gpu.known & GPU_TOTAL))
        return -ENODEV;
    d->source = SOURCE_HOST;
    d->count = 1;
    to->total_bytes = to->gpu.total_bytes;
    snprintf(to->name, sizeof(to->name), CPU);
    return 0;
}

static int take_program(struct pool_devices *d, const struct wharf_pool_options *o)
{
    struct pool_device *to = &d->items[0];
    bool named_so = o->device && strcmp(o->device, "auto") != 0 && strcmp(o->device, CUDA) != 0;
    d->source = SOURCE_PROGRAM;
    d->count = 1;
    to->total_bytes = o->total_bytes;
    snprintf(to->name, sizeof(to->name), "%s", named_so ? o->device : CUDA ":0");
    return named_so && strlen(o->device) >= sizeof(to->name) ? -EINVAL : 0;
}

static int find(struct pool_devices *d, const struct wharf_pool_options *o)
{
    unsigned number;
    char more;
    if (o->total_bytes)
        return take_program(d, o);
    if (o->sample)
        return -EINVAL;
    if (o->device && strcmp(o->device, CPU) == 0)
        return take_host(d);
    if (o->device && strcmp(o->device, CUDA) == 0)
        return find_gpus(d, UINT32_MAX);
    if (o->device && sscanf(o->device, CUDA ":%u%c", &number, &more) == 1)
        return find_gpus(d, number);
    if (o->device && strcmp(o->device, "auto") != 0)
        return -EINVAL;
    int rc = find_gpus(d, UINT32_MAX);
    return rc == -ENODEV ? take_host(d) : rc;
}

int pool_devices_init(struct pool_devices *d, const struct wharf_pool_options *o)
{
    *d = (struct pool_devices){.sample = o->sample, .arg = o->arg};
    d->wait_ns_max = o->read_ns_max > 0 ? (uint64_t)o->read_ns_max : READ_NS_MAX_DEFAULT;
    int rc = find(d, o);
    if (d->source != SOURCE_GPUS) {
        reader_free(d->reader);
        d->reader = NULL;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        d->items[i].utilisation_percent = -1;
        snprintf(d->items[i].slot, sizeof(d->items[i].slot), "%u", i);
    }
    return rc;
}

void pool_devices_fini(struct pool_devices *d)
{
    reader_free(d->reader);
}

uint32_t pool_devices_find(const struct pool_devices *d, const char *name)
{
    uint32_t i = 0;
    while (i < d->count && strcmp(d->items[i].name, name) != 0)
        i++;
    return i;
}

static int take_reading(const struct gpu_device *from, struct wharf_pool_reading *ret)
{
    if (!(from->known & GPU_USED) || from->lost)
        return -EIO;
    ret->used_bytes = from->used_bytes;
    ret->utilisation_percent =
        from->known & GPU_UTILISATION ? (int32_t)from->utilisation_percent : -1;
    return 0;
}

static int read_gpu(const struct pool_devices *d, const struct gpu_device *which,
                    struct wharf_pool_reading *ret)
{
    struct gpu_device *gpus = calloc(GPU_DEVICES_MAX, sizeof(*gpus));
    uint32_t count = 0;
    int rc = gpus ? reader_read(d->reader, d->wait_ns_max, gpus, GPU_DEVICES_MAX, &count) : -ENOMEM;
    if (rc == 0) {
        rc = -EIO;
        for (uint32_t i = 0; i < count; i++)
            if (gpu_same(&gpus[i], which))
                rc = take_reading(&gpus[i], ret);
    }
    free(gpus);
    return rc;
}

int pool_devices_read(const struct pool_devices *d, uint32_t i, struct wharf_pool_reading *ret)
{
    *ret = (struct wharf_pool_reading){.utilisation_percent = -1};
    if (d->source == SOURCE_PROGRAM)
        return d->sample(d->arg, ret);
    if (d->source == SOURCE_GPUS)
        return read_gpu(d, &d->items[i].gpu, ret);
    struct gpu_device host = {.known = 0};
    gpu_read_unified("", &host);
    return take_reading(&host, ret);
}
