/* gpus.h: the GPUs of a configuration and those that the machine turns out to have. */
#ifndef CONFIG_GPUS_H
#define CONFIG_GPUS_H

#include <stdbool.h>
#include <stdint.h>

struct config;

struct config_gpu {
    bool sim;       /* a simulated device; others are found on the machine */
    bool found;     /* its memory is known: it is simulated, or was found */
    char *name;     /* "" until it was found */
    char *device;   /* which one it is to be: number, UUID or its beginning, PCI address, name; "":
                       any */
    uint32_t place; /* in the list of those that were found; UINT32_MAX: none of them */
    char *uuid, *pci;      /* of the one that was found; "" */
    uint64_t memory_bytes; /* once it was found */
    char *folder;          /* sim: where engines write their claims; "" = STATE/sim/INDEX */
    uint64_t reserve_bytes;
    uint32_t limit_permille; /* share of the memory that wharf may hand out; 1000 = all */
    uint64_t sample_ns;
    uint64_t changed_bytes; /* a change of its use by this much is told */
};

/* One that the machine has; texts are copied, and "" where there is none. */
struct config_gpu_found {
    const char *name, *uuid, *pci;
    uint64_t memory_bytes;
    uint32_t number; /* among those of its maker, by PCI address */
    bool usable;     /* taken where no list says which: `gpus` is a word, or not given */
};

/* Whether GPUs of the machine are wanted at all. */
bool config_wants_gpus(const struct config *c);
/* Whether only NVIDIA's are. */
bool config_wants_cuda(const struct config *c);
/* Fills in the entries that stand for GPUs of the machine; without a list, makes an entry of each
 * usable one. `found` only ever grows at its end, so that each entry keeps its place. */
void config_place_gpus(struct config *c, const struct config_gpu_found *found, uint32_t count);
/* A new configuration takes over the GPUs of the old one, which cannot change while models sit on
 * them, with its own reserve, limit, sample and changed where both list them alike. False when they
 * differ. */
bool config_keep_gpus(struct config *c, const struct config *old);

#endif
