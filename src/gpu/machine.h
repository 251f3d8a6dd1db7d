/* machine.h: what the machine is: system, processors, memory and accelerators, as the files of
 * Linux say it, without a vendor's library. Texts are "" and numbers 0 where nothing is known. */
#ifndef GPU_MACHINE_H
#define GPU_MACHINE_H

#include <stdint.h>

#define MACHINE_TEXT_MAX 128
#define MACHINE_ACCELERATORS_MAX 32

struct machine_accelerator {
    char vendor[32], model[MACHINE_TEXT_MAX], driver[32], driver_version[64];
    uint64_t memory_bytes; /* of its own */
};

struct machine {
    char architecture[32]; /* as the kernel calls it */
    char os_name[MACHINE_TEXT_MAX], os_version[64], kernel[MACHINE_TEXT_MAX];
    const char *environment; /* static: native, container, virtual_machine or wsl */
    char environment_name[64];
    char cpu_vendor[64], cpu_model[MACHINE_TEXT_MAX];
    uint32_t sockets, cores, threads;
    uint64_t memory_bytes; /* what the machine has, or what the daemon's cgroup may use of it */
    struct machine_accelerator accelerators[MACHINE_ACCELERATORS_MAX];
    uint32_t accelerator_count;
};

void machine_parse_os_release(const char *text, struct machine *m);
void machine_parse_cpuinfo(const char *text, struct machine *m);
/* /proc/driver/nvidia/gpus/ADDRESS/information */
void machine_parse_nvidia(const char *text, struct machine_accelerator *ret);

/* Reads all of it below root, "" but for tests; the kernel's name comes from the system itself.
 * Blocking file reads; call off the loop. */
void machine_read(const char *root, struct machine *ret);

#endif
