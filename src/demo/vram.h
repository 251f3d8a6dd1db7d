/* vram.h: this process's claims on simulated GPUs; the format is in gpu/sim.h. */
#ifndef DEMO_VRAM_H
#define DEMO_VRAM_H

#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"

#define VRAM_DEVICES_MAX 8

/* Claims the bytes, in place of those claimed so far, until vram_drop or the process's end, or
 * fails with "out of memory", with what it had. One thread at a time. folders: one GPU, or several
 * with line feeds between them, each of which gives an equal share; the same each time, until
 * vram_drop. */
int vram_set(const char *folders, uint64_t bytes, struct err *err) warn_unused;
/* Gives the claim back; nothing where there is none. Not beside vram_set. */
void vram_drop(void);
/* Removes the claims' files, if there are any. Safe from any thread; the process must end next. */
void vram_release(void);

#endif
