/* vram.h: this process's claim on the simulated GPU; the format is in gpu/sim.h. */
#ifndef DEMO_VRAM_H
#define DEMO_VRAM_H

#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"

/* Claims the bytes until the process ends, or fails with "out of memory". At most once a process.
 */
int vram_claim(const char *folder, uint64_t bytes, struct err *err) warn_unused;
/* Removes the claim's file, if there is one. Safe from any thread; the process must end next. */
void vram_release(void);

#endif
