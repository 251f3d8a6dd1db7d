/* drm.h: AMD's and Intel's GPUs by what the kernel says of them in /sys. Opened and read as
 * gpu_drm (gpu.h). */
#ifndef GPU_DRM_H
#define GPU_DRM_H

#include <stdbool.h>

#include "gpu/gpu.h"

/* Of an AMD GPU; UINT64_MAX: not known. */
struct amd_memory {
    uint64_t vram_total_bytes, vram_used_bytes, gtt_total_bytes, gtt_used_bytes;
};

/* The memory of a GPU with memory of its own, or of one that shares the machine's: what it may have
 * of that is the carved-out part and the rest that the driver lends (GTT), but never more than the
 * kernel calls available. */
void drm_put_amd_memory(const struct amd_memory *m, bool shares, const char *root,
                        struct gpu_device *d);
/* Whether the GPU behind this render node is part of the processor; false where it does not say. */
bool drm_amd_is_integrated(const char *node);

#endif
