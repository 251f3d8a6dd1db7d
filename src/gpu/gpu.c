#include "gpu/gpu.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "gpu/files.h"
#include "gpu/host.h"

const char *gpu_source_text(enum gpu_source source)
{
    static const char *const texts[] = {[GPU_NVIDIA] = "NVIDIA",
                                        [GPU_AMD] = "AMD",
                                        [GPU_INTEL] = "Intel",
                                        [GPU_SIMULATED] = "simulated"};
    _Static_assert(countof(texts) == GPU_SOURCE__COUNT, "a text for each");
    return texts[source];
}

bool gpu_same(const struct gpu_device *a, const struct gpu_device *b)
{
    if (a->uuid[0] && b->uuid[0])
        return strcmp(a->uuid, b->uuid) == 0;
    return a->pci[0] && strcmp(a->pci, b->pci) == 0;
}

void gpu_choice_add(struct gpu_choice *c, const struct gpu_device *d)
{
    c->nvidia |= d->source == GPU_NVIDIA;
    c->own |= d->source == GPU_AMD && !d->unified;
}

bool gpu_choice_takes(const struct gpu_choice *c, const struct gpu_device *d)
{
    if (c->nvidia)
        return d->source == GPU_NVIDIA;
    return d->source == GPU_AMD && !(c->own && d->unified);
}

bool gpu_add_use(struct gpu_device *d, int32_t pid, uint64_t bytes)
{
    for (uint32_t i = 0; i < d->use_count; i++) {
        if (d->uses[i].pid != pid)
            continue;
        d->uses[i].bytes += bytes;
        return true;
    }
    if (d->use_count == GPU_USES_MAX) {
        d->known &= ~(uint32_t)GPU_USES;
        gpu_set_text(d->uses_problem, sizeof(d->uses_problem),
                     "more processes use it than can be told apart");
        return false;
    }
    d->uses[d->use_count++] = (struct gpu_use){.pid = pid, .bytes = bytes};
    return true;
}

void gpu_set_text(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; text[n] && n + 1 < size; n++)
        out[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
    out[n] = '\0';
}

void gpu_set_pci(char out[GPU_PCI_MAX], const char *text)
{
    uint32_t domain, bus, device, function;
    if (sscanf(text, "%" SCNx32 ":%" SCNx32 ":%" SCNx32 ".%" SCNx32, &domain, &bus, &device,
               &function) == 4 &&
        domain <= 0xffff && bus <= 0xff && device <= 0x1f && function <= 7)
        snprintf(out, GPU_PCI_MAX, "%04" PRIx32 ":%02" PRIx32 ":%02" PRIx32 ".%" PRIx32, domain,
                 bus, device, function);
    else
        gpu_set_text(out, GPU_PCI_MAX, text);
}

void gpu_read_unified(const char *root, struct gpu_device *d)
{
    struct host_reading *host = alloc_zeroed(1, sizeof(*host));
    struct buf text = {0};
    files_read(root, "/proc/meminfo", &text);
    host_parse_meminfo(text.data, host);
    d->unified = 1;
    if (host->memory_known) {
        d->known |= GPU_TOTAL | GPU_USED;
        d->total_bytes = host->memory_total_bytes;
        d->used_bytes = host->memory_used_bytes;
        d->free_bytes = d->total_bytes - d->used_bytes;
    }
    buf_fini(&text);
    free(host);
}
