/* gpu.h: what is read of GPUs, whoever makes them, and the sources that read it.
 *
 * A reading says by its bits what it knows; a field whose bit is not set means nothing, and never
 * 0. Readings are plain data without pointers: they go from the probe process to the daemon as they
 * stand (wire.h). Sources may block for as long as a driver likes, so that only the probe calls
 * them (probe.h); the simulated device, which is files alone, is read by whoever wants (sim.h). */
#ifndef GPU_GPU_H
#define GPU_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPU_DEVICES_MAX 16
#define GPU_USES_MAX 256
#define GPU_TEXT_MAX 96
#define GPU_PCI_MAX 32
#define GPU_PROBLEM_MAX 160

enum gpu_source { GPU_NVIDIA, GPU_AMD, GPU_INTEL, GPU_SIMULATED, GPU_SOURCE__COUNT };

/* Bits of gpu_device.known. */
enum gpu_known {
    GPU_TOTAL = 1 << 0,
    GPU_USED = 1 << 1, /* and free */
    GPU_RESERVED = 1 << 2,
    GPU_UTILISATION = 1 << 3,
    GPU_MEMORY_UTILISATION = 1 << 4,
    GPU_TEMPERATURE = 1 << 5,
    GPU_MEMORY_TEMPERATURE = 1 << 6,
    GPU_POWER = 1 << 7,
    GPU_POWER_LIMIT = 1 << 8,
    GPU_FAN = 1 << 9,
    GPU_USES = 1 << 10, /* who uses how much; what is not listed uses none, or is a stranger */
    GPU_INDEX = 1 << 11,
};

/* What one process holds on a device. */
struct gpu_use {
    int32_t pid; /* as this process sees it */
    uint32_t unused;
    uint64_t bytes;
    uint64_t start_ticks; /* with the pid, names a process for good (proc(5)); 0: not known */
};

struct gpu_device {
    char uuid[GPU_TEXT_MAX]; /* "GPU-…"; "": none */
    char name[GPU_TEXT_MAX];
    char pci[GPU_PCI_MAX];    /* "0000:01:00.0", in lower case; "": none */
    char driver[GPU_PCI_MAX]; /* nvidia, amdgpu, i915, xe, sim */
    char driver_version[GPU_TEXT_MAX];
    char problem[GPU_PROBLEM_MAX];      /* why it is not wholly well; "": it is */
    char uses_problem[GPU_PROBLEM_MAX]; /* why GPU_USES is not known; "": it is, or nobody can */
    uint32_t source;                    /* enum gpu_source */
    uint32_t known;                     /* enum gpu_known */
    uint32_t index;                     /* the driver's own number for it */
    uint8_t unified;                    /* its memory is the machine's */
    uint8_t mig;                        /* split into instances, which wharf does not tell apart */
    uint8_t lost;                       /* it was there, and does not answer any more */
    uint8_t unused;
    uint64_t total_bytes, used_bytes, free_bytes;
    uint64_t reserved_bytes; /* by the driver; neither used nor free */
    uint32_t utilisation_percent, memory_utilisation_percent;
    int32_t temperature_c, memory_temperature_c;
    uint32_t power_mw, power_limit_mw, fan_percent;
    uint32_t error_count; /* of critical errors (NVIDIA's Xid) since the source was opened */
    uint64_t error_last;  /* the last one's number */
    uint32_t use_count;
    struct gpu_use uses[GPU_USES_MAX];
};

/* What a source is worth. */
enum gpu_state {
    GPU_NONE,    /* nothing that it could read, now or later */
    GPU_WAITING, /* not now: a driver that is not loaded, or does not answer as it should */
    GPU_READING,
};

/* Where the files of Linux are, and which library is NVIDIA's. */
struct gpu_place {
    const char *root;      /* before /proc and /sys; "" but for tests */
    const char *nvml_path; /* libnvidia-ml.so.1, or a path */
};

struct gpu_opened {
    void *self; /* owned by the source; NULL unless reading */
    enum gpu_state state;
    char text[GPU_PROBLEM_MAX]; /* what there is, or why not, as one clause */
};

/* A way to read GPUs. open says in ret what came of it; read appends up to room devices and returns
 * how many; false in ret_ok: it has to be opened anew. close frees it. All may block. */
struct gpu_reader {
    const char *name;
    void (*open)(const struct gpu_place *where, struct gpu_opened *ret);
    uint32_t (*read)(void *self, struct gpu_device *out, uint32_t room, bool *ret_ok);
    void (*close)(void *self);
};

extern const struct gpu_reader gpu_nvml, gpu_drm;

const char *gpu_source_text(enum gpu_source source);
/* Same device? By UUID, where both have one, else by PCI address. */
bool gpu_same(const struct gpu_device *a, const struct gpu_device *b);
/* Which GPUs are used where nobody says which: of one maker, since a model's server is built for
 * one; and none that is part of the processor where there is one that is not. All zero, or nvidia
 * set where only NVIDIA's will do; add every GPU, then ask. */
struct gpu_choice {
    bool nvidia, own; /* there is one of NVIDIA's; one of AMD's with memory of its own */
};
void gpu_choice_add(struct gpu_choice *c, const struct gpu_device *d);
bool gpu_choice_takes(const struct gpu_choice *c, const struct gpu_device *d);
/* Adds bytes to the entry of that process. False, and GPU_USES is taken back, when it is full. */
bool gpu_add_use(struct gpu_device *d, int32_t pid, uint64_t bytes);
/* A text of bounded length, with what is no printable ASCII replaced by '?'. */
void gpu_set_text(char *out, size_t size, const char *text);
/* "00000000:01:00.0" and "0000:01:00.0" become the latter; anything else is kept as it is. */
void gpu_set_pci(char out[GPU_PCI_MAX], const char *text);
/* Fills in the memory of a device that has none of its own: all that the machine has, of which what
 * the kernel calls available is free. */
void gpu_read_unified(const char *root, struct gpu_device *d);

#endif
