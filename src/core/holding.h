/* holding.h: what one model or lease has on the devices. ledger.c alone changes it. */
#ifndef CORE_HOLDING_H
#define CORE_HOLDING_H

#include "core/words.h"

struct holding {
    uint32_t devices;          /* where it is charged */
    uint32_t settling_devices; /* where bytes are settling */
    uint64_t charged[CORE_DEVICES_MAX];
    uint64_t settling[CORE_DEVICES_MAX]; /* given back, not yet seen to be free */
    uint64_t measured[CORE_DEVICES_MAX];
    uint64_t peak_bytes;    /* most measured on one device, since it was charged */
    uint32_t blind_samples; /* samples since then that did not say who uses what */
    uint32_t seen_devices;  /* where it has been measured since it came in */
    uint32_t stray_devices; /* where it was not put, but is seen: charged as measured there */
    uint8_t absent_samples[CORE_DEVICES_MAX]; /* in a row, that did not show it there */
    uint32_t
        unsized_devices; /* charged there without a known footprint: follows what is measured */
    bool restored;       /* charged on somebody's word, whatever room there was */
    bool lingers;        /* of an ended lease: stays until it is told that no process is left */
    struct mono gone_at; /* settling: samples taken later count */
};

#endif
