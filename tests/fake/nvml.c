/* A library that says it is NVIDIA's libnvidia-ml.so.1, for tests: what it answers stands in the
 * file that WHARF_FAKE_NVML names, which is read at each call, so that a test can change it at any
 * time. A line each:
 *
 *     count=2  driver=580.95.05  init=9            what nvmlInit_v2 returns; 0 unless given
 *     init_ms=300                                  how long it takes
 *     0.uuid=GPU-…  0.name=…  0.pci=00000000:01:00.0
 *     0.total=  0.free=  0.reserved=               bytes
 *     0.util=  0.mem_util=  0.temp=  0.power=  0.limit=  0.fan=  0.mig=  0.xids=  0.xid=
 *     0.compute=PID:BYTES PID:BYTES  0.graphics=…  a '-' for BYTES: not available
 *     0.lost=1                                     everything of it answers GPU_IS_LOST
 *     nvmlDeviceGetTemperature=3                   what that call returns, of all devices
 *     hang=nvmlDeviceGetMemoryInfo_v2              that call never returns
 *     odd_v3=1                                     the process list of early 535 drivers
 *
 * Each question for memory adds a line, the milliseconds since the machine began, to the file that
 * WHARF_FAKE_NVML_LOG names.
 *
 * What is not given is not supported. Built a second time with FAKE_OLD, it lacks what old drivers
 * lack. Written from the layouts of nvml_api.h, and apart from it, so that both must be right. */
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOT_SUPPORTED 3
#define INVALID_ARGUMENT 2
#define INSUFFICIENT_SIZE 7
#define TIMEOUT 10
#define LOST 15
#define VERSION_MISMATCH 25

struct gpu {
    int index;
    unsigned xids_told;
};

static struct gpu gpus[] = {{0, 0}, {1, 0}, {2, 0},  {3, 0},  {4, 0},  {5, 0},  {6, 0},  {7, 0},
                            {8, 0}, {9, 0}, {10, 0}, {11, 0}, {12, 0}, {13, 0}, {14, 0}, {15, 0}};

/* ---- the file ---- */

/* The text behind name= ; false when there is no such line. */
static int find(const char *name, char *out, size_t size)
{
    const char *path = getenv("WHARF_FAKE_NVML");
    FILE *f = path ? fopen(path, "re") : NULL;
    char line[4096];
    int found = 0;
    size_t n = strlen(name);
    while (f && !found && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, name, n) == 0 && line[n] == '=';
        if (found)
            snprintf(out, size, "%s", line + n + 1);
    }
    if (f)
        fclose(f);
    return found;
}

static int find_of(const struct gpu *g, const char *name, char *out, size_t size)
{
    char key[64];
    snprintf(key, sizeof(key), "%d.%s", g->index, name);
    return find(key, out, size);
}

static int number_of(const struct gpu *g, const char *name, uint64_t *ret)
{
    char text[64];
    if (!find_of(g, name, text, sizeof(text)))
        return 0;
    *ret = strtoull(text, NULL, 0);
    return 1;
}

/* What every call does first: hangs, fails, or goes on with 0. */
static int enter(const char *function, const struct gpu *g)
{
    char text[128];
    uint64_t lost;
    if (find("hang", text, sizeof(text)) && strcmp(text, function) == 0)
        for (;;)
            pause();
    if (g && number_of(g, "lost", &lost) && lost)
        return LOST;
    return find(function, text, sizeof(text)) ? atoi(text) : 0;
}

#ifndef FAKE_OLD
static void note_reading(void)
{
    const char *path = getenv("WHARF_FAKE_NVML_LOG");
    FILE *f = path ? fopen(path, "ae") : NULL;
    struct timespec ts;
    if (!f)
        return;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    fprintf(f, "%lld\n", (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
    fclose(f);
}
#endif

#define ENTER(g)                                                                                   \
    do {                                                                                           \
        int entered = enter(__func__, g);                                                          \
        if (entered)                                                                               \
            return entered;                                                                        \
    } while (0)

static int put_number(const struct gpu *g, const char *name, unsigned *out)
{
    uint64_t n;
    if (!number_of(g, name, &n))
        return NOT_SUPPORTED;
    *out = (unsigned)n;
    return 0;
}

static int put_text(const struct gpu *g, const char *name, char *out, unsigned size)
{
    char text[256];
    if (g ? !find_of(g, name, text, sizeof(text)) : !find(name, text, sizeof(text)))
        return NOT_SUPPORTED;
    if (strlen(text) >= size)
        return INSUFFICIENT_SIZE;
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

/* ---- the library and its devices ---- */

int nvmlInit_v2(void);
int nvmlInit_v2(void)
{
    char text[16];
    ENTER(NULL);
    if (find("init_ms", text, sizeof(text)))
        poll(NULL, 0, atoi(text));
    return find("init", text, sizeof(text)) ? atoi(text) : 0;
}

int nvmlShutdown(void);
int nvmlShutdown(void)
{
    return 0;
}

int nvmlSystemGetDriverVersion(char *out, unsigned size);
int nvmlSystemGetDriverVersion(char *out, unsigned size)
{
    ENTER(NULL);
    return put_text(NULL, "driver", out, size);
}

int nvmlDeviceGetCount_v2(unsigned *out);
int nvmlDeviceGetCount_v2(unsigned *out)
{
    char text[16];
    ENTER(NULL);
    *out = find("count", text, sizeof(text)) ? (unsigned)atoi(text) : 0;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct gpu **out);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct gpu **out)
{
    if (index >= sizeof(gpus) / sizeof(gpus[0]))
        return INVALID_ARGUMENT;
    ENTER(&gpus[index]);
    *out = &gpus[index];
    return 0;
}

int nvmlDeviceGetUUID(struct gpu *g, char *out, unsigned size);
int nvmlDeviceGetUUID(struct gpu *g, char *out, unsigned size)
{
    ENTER(g);
    return put_text(g, "uuid", out, size);
}

int nvmlDeviceGetName(struct gpu *g, char *out, unsigned size);
int nvmlDeviceGetName(struct gpu *g, char *out, unsigned size)
{
    ENTER(g);
    return put_text(g, "name", out, size);
}

struct pci {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
};

int nvmlDeviceGetPciInfo_v3(struct gpu *g, struct pci *out);
int nvmlDeviceGetPciInfo_v3(struct gpu *g, struct pci *out)
{
    ENTER(g);
    memset(out, 0, sizeof(*out));
    return put_text(g, "pci", out->bus_id, sizeof(out->bus_id));
}

/* ---- memory ---- */

struct memory {
    uint64_t total, free, used;
};

/* Its `used` contains the driver's part. */
int nvmlDeviceGetMemoryInfo(struct gpu *g, struct memory *out);
int nvmlDeviceGetMemoryInfo(struct gpu *g, struct memory *out)
{
    ENTER(g);
    if (!number_of(g, "total", &out->total) || !number_of(g, "free", &out->free))
        return NOT_SUPPORTED;
    out->used = out->total - out->free;
    return 0;
}

#ifndef FAKE_OLD
struct memory_v2 {
    uint32_t version;
    uint64_t total, reserved, free, used;
};

int nvmlDeviceGetMemoryInfo_v2(struct gpu *g, struct memory_v2 *out);
int nvmlDeviceGetMemoryInfo_v2(struct gpu *g, struct memory_v2 *out)
{
    note_reading();
    ENTER(g);
    if (out->version != 0x02000028)
        return VERSION_MISMATCH;
    if (!number_of(g, "total", &out->total) || !number_of(g, "free", &out->free))
        return NOT_SUPPORTED;
    if (!number_of(g, "reserved", &out->reserved))
        out->reserved = 0;
    out->used = out->total - out->free - out->reserved;
    return 0;
}
#endif

/* ---- gauges ---- */

int nvmlDeviceGetUtilizationRates(struct gpu *g, unsigned out[2]);
int nvmlDeviceGetUtilizationRates(struct gpu *g, unsigned out[2])
{
    ENTER(g);
    out[1] = 0;
    (void)put_number(g, "mem_util", &out[1]);
    return put_number(g, "util", &out[0]);
}

int nvmlDeviceGetTemperature(struct gpu *g, unsigned sensor, unsigned *out);
int nvmlDeviceGetTemperature(struct gpu *g, unsigned sensor, unsigned *out)
{
    ENTER(g);
    return sensor ? INVALID_ARGUMENT : put_number(g, "temp", out);
}

#define GAUGE(function, name)                                                                      \
    int function(struct gpu *g, unsigned *out);                                                    \
    int function(struct gpu *g, unsigned *out)                                                     \
    {                                                                                              \
        ENTER(g);                                                                                  \
        return put_number(g, name, out);                                                           \
    }
GAUGE(nvmlDeviceGetPowerUsage, "power")
GAUGE(nvmlDeviceGetEnforcedPowerLimit, "limit")
GAUGE(nvmlDeviceGetFanSpeed, "fan")

int nvmlDeviceGetMigMode(struct gpu *g, unsigned *current, unsigned *pending);
int nvmlDeviceGetMigMode(struct gpu *g, unsigned *current, unsigned *pending)
{
    ENTER(g);
    *pending = 0;
    return put_number(g, "mig", current);
}

/* ---- processes ---- */

struct process {
    unsigned pid;
    uint64_t bytes;
    unsigned gi, ci;
};

struct odd_process {
    unsigned pid;
    uint64_t bytes;
    unsigned gi, ci;
    uint64_t protected_bytes;
};

static int list(const struct gpu *g, const char *name, unsigned *count, void *out, size_t step)
{
    char text[4096], *rest = NULL;
    unsigned room = *count, n = 0;
    if (!find_of(g, name, text, sizeof(text)))
        text[0] = '\0';
    for (char *p = strtok_r(text, " ", &rest); p; p = strtok_r(NULL, " ", &rest), n++) {
        char *colon = strchr(p, ':');
        struct odd_process one = {.pid = (unsigned)atoi(p)};
        one.bytes = colon && colon[1] != '-' ? strtoull(colon + 1, NULL, 0) : UINT64_MAX;
        /* An odd list is longer than the caller's memory, as it was with those drivers. */
        if (n < room && (n + 1) * step <= room * sizeof(struct process))
            memcpy((char *)out + n * step, &one, step);
    }
    *count = n;
    return n > room ? INSUFFICIENT_SIZE : 0;
}

#define LIST(function, name, newest)                                                               \
    int function(struct gpu *g, unsigned *count, void *out);                                       \
    int function(struct gpu *g, unsigned *count, void *out)                                        \
    {                                                                                              \
        char text[8];                                                                              \
        ENTER(g);                                                                                  \
        int odd = newest && find("odd_v3", text, sizeof(text));                                    \
        return list(g, name, count, out,                                                           \
                    odd ? sizeof(struct odd_process) : sizeof(struct process));                    \
    }
LIST(nvmlDeviceGetComputeRunningProcesses_v2, "compute", 0)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics", 0)
#ifndef FAKE_OLD
LIST(nvmlDeviceGetComputeRunningProcesses_v3, "compute", 1)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics", 1)
#endif

/* ---- events: as many as xids says, since the library was opened ---- */

struct event {
    struct gpu *device;
    uint64_t type, data;
    unsigned gi, ci;
};

int nvmlEventSetCreate(void **out);
int nvmlEventSetCreate(void **out)
{
    ENTER(NULL);
    *out = gpus;
    return 0;
}

int nvmlEventSetFree(void *set);
int nvmlEventSetFree(void *set)
{
    return set == gpus ? 0 : INVALID_ARGUMENT;
}

int nvmlDeviceGetSupportedEventTypes(struct gpu *g, unsigned long long *out);
int nvmlDeviceGetSupportedEventTypes(struct gpu *g, unsigned long long *out)
{
    uint64_t n = 0;
    ENTER(g);
    (void)number_of(g, "xids", &n);
    *out = 0x1f;
    g->xids_told = (unsigned)n;
    return 0;
}

int nvmlDeviceRegisterEvents(struct gpu *g, unsigned long long mask, void *set);
int nvmlDeviceRegisterEvents(struct gpu *g, unsigned long long mask, void *set)
{
    ENTER(g);
    return set == gpus && mask == 8 ? 0 : INVALID_ARGUMENT;
}

int nvmlEventSetWait_v2(void *set, struct event *out, unsigned ms);
int nvmlEventSetWait_v2(void *set, struct event *out, unsigned ms)
{
    (void)set;
    ENTER(NULL);
    for (size_t i = 0; ms == 0 && i < sizeof(gpus) / sizeof(gpus[0]); i++) {
        uint64_t n = 0, xid = 0;
        if (!number_of(&gpus[i], "xids", &n) || n <= gpus[i].xids_told)
            continue;
        gpus[i].xids_told++;
        (void)number_of(&gpus[i], "xid", &xid);
        *out = (struct event){.device = &gpus[i], .type = 8, .data = xid};
        return 0;
    }
    return TIMEOUT;
}
