/* fake_gpus.h: GPUs of 12 GiB by a library that answers in NVML's place, as a test sets them. */
#ifndef TESTS_LIB_FAKE_GPUS_H
#define TESTS_LIB_FAKE_GPUS_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define FAKE_GPU_BYTES (12 * GIB)

static char fake_folder[] = "/tmp/wharf-lib-XXXXXX";
static char fake_file[64];

/* count GPUs with so much in use on each; hang: the function that never returns, or NULL. */
static inline void fake_gpus(unsigned count, uint64_t used_bytes, const char *hang)
{
    char text[4096], part[sizeof(fake_file) + 8];
    size_t n = (size_t)snprintf(text, sizeof(text), "count=%u\ndriver=580.95.05\n", count);
    for (unsigned i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "%u.uuid=GPU-%u0000000\n%u.name=Fake H%u\n%u.pci=00000000:0%u:00.0\n"
                              "%u.total=%" PRIu64 "\n%u.free=%" PRIu64 "\n%u.reserved=0\n"
                              "%u.util=37\n%u.mem_util=5\n",
                              i, i + 1, i, i, i, i + 1, i, FAKE_GPU_BYTES, i,
                              FAKE_GPU_BYTES - used_bytes, i, i, i);
    if (hang)
        (void)snprintf(text + n, sizeof(text) - n, "hang=%s\n", hang);
    (void)snprintf(part, sizeof(part), "%s.part", fake_file);
    FILE *f = fopen(part, "we");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0 || rename(part, fake_file) != 0)
        abort();
}

/* To be called before anything else. */
static inline void fake_gpus_init(void)
{
    if (!mkdtemp(fake_folder))
        abort();
    (void)snprintf(fake_file, sizeof(fake_file), "%s/nvml", fake_folder);
    setenv("WHARF_GPU_ROOT", fake_folder, 1); /* no GPUs of the machine's own */
    setenv("WHARF_NVML", getenv("WHARF_FAKE_LIB"), 1);
    setenv("WHARF_FAKE_NVML", fake_file, 1);
    unsetenv("CUDA_VISIBLE_DEVICES");
    fake_gpus(1, 0, NULL);
}

static inline void fake_gpus_fini(void)
{
    (void)unlink(fake_file);
    (void)rmdir(fake_folder);
}

#endif
