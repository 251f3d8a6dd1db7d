/* sample.h: who uses what on a device. */
#ifndef CORE_SAMPLE_H
#define CORE_SAMPLE_H

#include "core/words.h"

/* It is there, and cannot be measured: taken to use what it is charged. */
#define SAMPLE_UNMEASURED UINT64_MAX

/* What one model or lease uses on a device, as far as it can be measured. */
struct sample_use {
    uint32_t model;  /* CORE_SLOT_NONE: a lease */
    struct id lease; /* only then */
    uint64_t bytes;  /* or SAMPLE_UNMEASURED */
};

#endif
