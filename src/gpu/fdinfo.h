/* fdinfo.h: what each process has on a device of the kernel's DRM, from /proc/PID/fdinfo.
 *
 * Format: Documentation/gpu/drm-usage-stats.rst of Linux. Every descriptor of a device tells the
 * same numbers for the same client, so that each client counts once. A process of somebody else
 * cannot be looked at without CAP_SYS_PTRACE, and is a stranger then. */
#ifndef GPU_FDINFO_H
#define GPU_FDINFO_H

#include <stdbool.h>
#include <stdint.h>

#include "gpu/gpu.h"

struct fdinfo {
    char pci[GPU_PCI_MAX]; /* "": it says none */
    uint64_t client;
    uint64_t device_bytes; /* in memory of the device */
    uint64_t system_bytes; /* in the machine's, for the device */
};

/* False when the text is not of a DRM device. */
bool fdinfo_parse(const char *text, struct fdinfo *ret);
/* Adds what all processes below root have on these devices to their uses. */
void fdinfo_read(const char *root, struct gpu_device *devices, uint32_t count);

#endif
