/* NVIDIA's GPUs, through libnvidia-ml.so.1, which is opened by name: where there is no driver there
 * is no such library, and that is no error.
 *
 * Symbols come and go between drivers, so that each is looked up by itself; what a device does not
 * support is unknown. `used` is what is neither free nor the driver's: the library's own `used`
 * contains the reserve in one version of the struct and not in the other. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "gpu/gpu.h"
#include "gpu/nvml_api.h"
#include "gpu/pids.h"

/* The library says how many processes there are; a few may come between the two calls. */
#define PROCESSES_MORE 16
#define PROCESSES_MAX 4096
/* Events taken in one reading; the rest comes with the next. */
#define EVENTS_MAX 64

struct nvml_gpu {
    nvml_device handle;
    struct gpu_device is; /* what does not change */
    uint32_t error_count;
    uint64_t error_last;
};

struct nvml {
    void *library;
    struct nvml_api api;
    const char *root; /* of /proc; outlives it */
    struct nvml_gpu gpus[GPU_DEVICES_MAX];
    uint32_t count;
    nvml_event_set events; /* NULL: none */
    bool pids_map;         /* the driver's process ids are those that are seen here */
    bool v3_is_odd;        /* its third version of the process list has another layout */
};

/* ---- opening ---- */

static void find_symbols(struct nvml *n)
{
#define FIND(member, symbol, parameters)                                                           \
    {                                                                                              \
        void *at = dlsym(n->library, symbol);                                                      \
        memcpy(&n->api.member, &at, sizeof(at));                                                   \
    }
    NVML_FUNCTIONS(FIND)
#undef FIND
}

static const char *why_not(int rc)
{
    switch (rc) {
    case NVML_DRIVER_NOT_LOADED:
        return "the driver is not loaded";
    case NVML_LIB_RM_VERSION_MISMATCH:
        return "the library is not of the driver that is loaded: the driver was changed, and waits "
               "for a restart of the machine";
    case NVML_NO_PERMISSION:
        return "it may not be used by this user";
    case NVML_LIBRARY_NOT_FOUND:
        return "a library that it needs is missing";
    default:
        return NULL;
    }
}

static void say_failed(struct gpu_opened *ret, const char *call, int rc)
{
    const char *why = why_not(rc);
    ret->state = GPU_WAITING;
    if (why)
        snprintf(ret->text, sizeof(ret->text), "NVML: %s", why);
    else
        snprintf(ret->text, sizeof(ret->text), "NVML: %s fails with %d", call, rc);
}

/* Boards whose GPU has no memory of its own: asked for it, the driver says NOT_SUPPORTED or 0. */
static bool shares_memory(const char *name)
{
    static const char *const parts[] = {"GB10", "Orin", "Thor", "Xavier", "Tegra", "Jetson"};
    for (size_t i = 0; i < countof(parts); i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

static void describe(struct nvml *n, struct nvml_gpu *gpu, uint32_t index)
{
    const struct nvml_api *a = &n->api;
    struct gpu_device *d = &gpu->is;
    char text[NVML_TEXT_BYTES];
    struct nvml_pci pci = {.bus_id = ""};
    *d = (struct gpu_device){.source = GPU_NVIDIA, .known = GPU_INDEX, .index = index};
    gpu_set_text(d->driver, sizeof(d->driver), "nvidia");
    if (a->uuid && a->uuid(gpu->handle, text, sizeof(text)) == NVML_SUCCESS)
        gpu_set_text(d->uuid, sizeof(d->uuid), text);
    if (a->name && a->name(gpu->handle, text, sizeof(text)) == NVML_SUCCESS)
        gpu_set_text(d->name, sizeof(d->name), text);
    if (a->pci && a->pci(gpu->handle, &pci) == NVML_SUCCESS) {
        pci.bus_id[sizeof(pci.bus_id) - 1] = '\0';
        gpu_set_pci(d->pci, pci.bus_id);
    }
    if (a->driver_version && a->driver_version(text, sizeof(text)) == NVML_SUCCESS)
        gpu_set_text(d->driver_version, sizeof(d->driver_version), text);
}

/* Critical errors are told from here on only; where they cannot be had nothing else is lacking. */
static void watch_errors(struct nvml *n)
{
    const struct nvml_api *a = &n->api;
    if (!a->event_set_create || !a->register_events || !a->supported_events || !a->event_wait ||
        a->event_set_create(&n->events) != NVML_SUCCESS) {
        n->events = NULL;
        return;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        unsigned long long can = 0;
        if (a->supported_events(n->gpus[i].handle, &can) == NVML_SUCCESS &&
            (can & NVML_EVENT_XID_CRITICAL))
            (void)a->register_events(n->gpus[i].handle, NVML_EVENT_XID_CRITICAL, n->events);
    }
}

/* A device that fails here is left out, and told to be lost where it was known before. */
static bool list_gpus(struct nvml *n, struct gpu_opened *ret)
{
    unsigned count = 0;
    int rc = n->api.count(&count);
    if (rc != NVML_SUCCESS) {
        say_failed(ret, "nvmlDeviceGetCount_v2", rc);
        return false;
    }
    for (unsigned i = 0; i < count && n->count < GPU_DEVICES_MAX; i++) {
        struct nvml_gpu *gpu = &n->gpus[n->count];
        rc = n->api.by_index(i, &gpu->handle);
        if (rc != NVML_SUCCESS)
            snprintf(ret->text, sizeof(ret->text), "NVML: device %u fails with %d", i, rc);
        else
            describe(n, &n->gpus[n->count++], i);
    }
    ret->state = n->count || count ? GPU_READING : GPU_NONE;
    if (!count)
        snprintf(ret->text, sizeof(ret->text), "NVML: the driver has no GPU");
    return n->count > 0;
}

static void close_nvml(void *self)
{
    struct nvml *n = self;
    if (n->events && n->api.event_set_free)
        (void)n->api.event_set_free(n->events);
    if (n->api.shutdown)
        (void)n->api.shutdown();
    dlclose(n->library);
    free(n);
}

static void open_nvml(const struct gpu_place *where, struct gpu_opened *ret)
{
    *ret = (struct gpu_opened){.state = GPU_NONE};
    void *library = dlopen(where->nvml_path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(ret->text, sizeof(ret->text), "no NVIDIA driver (%.60s)", where->nvml_path);
        return;
    }
    struct nvml *n = alloc_zeroed(1, sizeof(*n));
    n->library = library;
    n->root = where->root;
    n->pids_map = pids_are_the_hosts(where->root);
    find_symbols(n);
    int rc = NVML_FUNCTION_NOT_FOUND;
    if (n->api.init && n->api.count && n->api.by_index)
        rc = n->api.init();
    if (rc != NVML_SUCCESS) {
        say_failed(ret, "nvmlInit_v2", rc);
        n->api.shutdown = NULL;
        close_nvml(n);
        return;
    }
    if (!list_gpus(n, ret)) {
        if (ret->state == GPU_READING)
            ret->state = GPU_WAITING;
        close_nvml(n);
        return;
    }
    watch_errors(n);
    ret->self = n;
}

/* ---- one device ---- */

/* Whether the call said something; a device that is gone is marked. */
static bool got(struct gpu_device *d, int rc)
{
    if (rc == NVML_GPU_IS_LOST || rc == NVML_GPU_NOT_FOUND)
        d->lost = 1;
    if (rc == NVML_RESET_REQUIRED)
        gpu_set_text(d->problem, sizeof(d->problem), "the GPU has to be reset");
    return rc == NVML_SUCCESS;
}

static void put_memory(struct gpu_device *d, uint64_t total, uint64_t free, uint64_t reserved)
{
    d->known |= GPU_TOTAL | GPU_USED;
    d->total_bytes = total;
    d->free_bytes = free < total ? free : total;
    d->reserved_bytes = reserved < total - d->free_bytes ? reserved : total - d->free_bytes;
    d->used_bytes = total - d->free_bytes - d->reserved_bytes;
}

static void read_memory(const struct nvml *n, nvml_device handle, struct gpu_device *d)
{
    struct nvml_memory_v2 v2 = {.version = NVML_MEMORY_V2_VERSION};
    struct nvml_memory v1 = {0};
    int rc = n->api.memory_v2 ? n->api.memory_v2(handle, &v2) : NVML_FUNCTION_NOT_FOUND;
    if (got(d, rc) && v2.total) {
        put_memory(d, v2.total, v2.free, v2.reserved);
        d->known |= GPU_RESERVED;
        return;
    }
    if (!d->lost && rc != NVML_SUCCESS && n->api.memory) {
        rc = n->api.memory(handle, &v1);
        if (got(d, rc) && v1.total) {
            put_memory(d, v1.total, v1.free, 0);
            return;
        }
    }
    if (d->lost)
        return;
    bool unsupported = rc == NVML_NOT_SUPPORTED || rc == NVML_SUCCESS;
    if (unsupported && shares_memory(d->name))
        gpu_read_unified(n->root, d);
    else
        snprintf(d->problem, sizeof(d->problem), "its memory cannot be read (NVML says %d)", rc);
}

typedef int (*gauge_call)(nvml_device, unsigned *);

static void read_gauge(gauge_call call, nvml_device handle, uint32_t bit, uint32_t *out,
                       struct gpu_device *d)
{
    unsigned value = 0;
    if (!call || d->lost || !got(d, call(handle, &value)))
        return;
    *out = value;
    d->known |= bit;
}

static void read_gauges(const struct nvml *n, nvml_device handle, struct gpu_device *d)
{
    const struct nvml_api *a = &n->api;
    struct nvml_utilisation busy;
    unsigned value = 0, pending = 0;
    if (a->utilisation && got(d, a->utilisation(handle, &busy))) {
        d->utilisation_percent = busy.gpu;
        d->memory_utilisation_percent = busy.memory;
        d->known |= GPU_UTILISATION | GPU_MEMORY_UTILISATION;
    }
    if (a->temperature && !d->lost &&
        got(d, a->temperature(handle, NVML_TEMPERATURE_GPU, &value))) {
        d->temperature_c = (int32_t)value;
        d->known |= GPU_TEMPERATURE;
    }
    read_gauge(a->power, handle, GPU_POWER, &d->power_mw, d);
    read_gauge(a->power_limit, handle, GPU_POWER_LIMIT, &d->power_limit_mw, d);
    read_gauge(a->fan, handle, GPU_FAN, &d->fan_percent, d);
    if (a->mig_mode && !d->lost && got(d, a->mig_mode(handle, &value, &pending)))
        d->mig = value != 0;
}

/* ---- who uses it ---- */

typedef int (*list_call)(nvml_device, unsigned *, struct nvml_process *);

/* The caller frees *ret. */
static int list_processes(list_call call, nvml_device handle, struct nvml_process **ret,
                          unsigned *ret_count)
{
    unsigned room = PROCESSES_MORE;
    *ret = NULL;
    for (;;) {
        unsigned count = room;
        *ret = alloc_grow(*ret, room, sizeof(**ret));
        memset(*ret, 0, room * sizeof(**ret));
        int rc = call(handle, &count, *ret);
        if (rc != NVML_INSUFFICIENT_SIZE || room == PROCESSES_MAX) {
            *ret_count = rc == NVML_SUCCESS && count <= room ? count : 0;
            return rc;
        }
        room = count + PROCESSES_MORE < PROCESSES_MAX ? count + PROCESSES_MORE : PROCESSES_MAX;
    }
}

static bool all_exist(const char *root, const struct nvml_process *p, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!pids_has(root, (int32_t)p[i].pid))
            return false;
    return true;
}

/* Early drivers of the 535 series had a third version with one member more, which makes nonsense of
 * all entries but the first: then there are processes that do not exist, and the second version
 * knows better. */
static int list_with(struct nvml *n, nvml_device handle, const list_call calls[2],
                     struct nvml_process **ret, unsigned *ret_count)
{
    list_call v3 = calls[0], v2 = calls[1];
    if (!v3 || (v2 && n->v3_is_odd))
        return list_processes(v2, handle, ret, ret_count);
    int rc = list_processes(v3, handle, ret, ret_count);
    if (!v2 || rc != NVML_SUCCESS || !n->pids_map || all_exist(n->root, *ret, *ret_count))
        return rc;
    struct nvml_process *other;
    unsigned count;
    if (list_processes(v2, handle, &other, &count) == NVML_SUCCESS &&
        all_exist(n->root, other, count)) {
        /* One that has just ended looks the same, and then both lists are of one length. */
        n->v3_is_odd =
            count == *ret_count && count > 1 && other[count - 1].pid != (*ret)[count - 1].pid;
        free(*ret);
        *ret = other;
        *ret_count = count;
        return rc;
    }
    free(other);
    return rc;
}

/* A process with both contexts is in both lists, each time with all that it has. */
static void add_once(struct gpu_device *d, const struct nvml_process *p)
{
    for (uint32_t i = 0; i < d->use_count; i++) {
        if (d->uses[i].pid != (int32_t)p->pid)
            continue;
        if (p->used_bytes > d->uses[i].bytes)
            d->uses[i].bytes = p->used_bytes;
        return;
    }
    (void)gpu_add_use(d, (int32_t)p->pid, p->used_bytes);
}

static void cannot_tell(struct gpu_device *d, const char *why)
{
    d->known &= ~(uint32_t)GPU_USES;
    d->use_count = 0;
    gpu_set_text(d->uses_problem, sizeof(d->uses_problem), why);
}

static void read_uses(struct nvml *n, nvml_device handle, struct gpu_device *d)
{
    const list_call calls[2][2] = {{n->api.compute_v3, n->api.compute_v2},
                                   {n->api.graphics_v3, n->api.graphics_v2}};
    if (!n->pids_map) {
        cannot_tell(d, "the driver names processes by the host's numbers, which mean nothing in "
                       "this container (run it with the host's pid namespace)");
        return;
    }
    if (d->mig) {
        cannot_tell(d, "the GPU is split by MIG");
        return;
    }
    d->known |= GPU_USES;
    for (size_t kind = 0; kind < countof(calls) && (d->known & GPU_USES); kind++) {
        struct nvml_process *list = NULL;
        unsigned count = 0;
        int rc = NVML_FUNCTION_NOT_FOUND;
        if (calls[kind][0] || calls[kind][1])
            rc = list_with(n, handle, calls[kind], &list, &count);
        /* What has no display lists no graphics. */
        if (!got(d, rc) && kind == 0)
            cannot_tell(d, "the driver does not list processes");
        for (unsigned i = 0; i < count && (d->known & GPU_USES); i++) {
            if (list[i].used_bytes == NVML_VALUE_NOT_AVAILABLE)
                cannot_tell(d, "the driver does not say how much a process uses");
            else
                add_once(d, &list[i]);
        }
        free(list);
    }
}

/* ---- all ---- */

static void take_events(struct nvml *n)
{
    struct nvml_event e;
    for (unsigned k = 0; n->events && k < EVENTS_MAX; k++) {
        if (n->api.event_wait(n->events, &e, 0) != NVML_SUCCESS)
            return;
        for (uint32_t i = 0; i < n->count; i++) {
            if (n->gpus[i].handle != e.device || e.type != NVML_EVENT_XID_CRITICAL)
                continue;
            n->gpus[i].error_count++;
            n->gpus[i].error_last = e.data;
        }
    }
}

static void read_gpu(struct nvml *n, struct nvml_gpu *gpu, struct gpu_device *d)
{
    *d = gpu->is;
    read_memory(n, gpu->handle, d);
    if (!d->lost)
        read_gauges(n, gpu->handle, d);
    if (!d->lost)
        read_uses(n, gpu->handle, d);
    if (d->lost) {
        /* What was read before it went says nothing. */
        *d = gpu->is;
        d->lost = 1;
        gpu_set_text(d->problem, sizeof(d->problem),
                     "the GPU is lost: it does not answer its driver");
    }
    d->error_count = gpu->error_count;
    d->error_last = gpu->error_last;
}

static uint32_t read_nvml(void *self, struct gpu_device *out, uint32_t room, bool *ret_ok)
{
    struct nvml *n = self;
    uint32_t count = n->count < room ? n->count : room;
    take_events(n);
    *ret_ok = true;
    for (uint32_t i = 0; i < count; i++)
        read_gpu(n, &n->gpus[i], &out[i]);
    return count;
}

const struct gpu_reader gpu_nvml = {
    .name = "nvml", .open = open_nvml, .read = read_nvml, .close = close_nvml};
