#include "config/gpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/pure/units.h"
#include "config/arena.h"
#include "config/config.h"

/* What the core keeps books on: CORE_DEVICES_MAX. */
#define GPUS_MAX 8
/* Shorter beginnings of a UUID are no name: "GPU-" and four digits. */
#define UUID_BYTES_MIN 8
#define SAMPLE_NS_DEFAULT NS_PER_S
#define CHANGED_BYTES_DEFAULT (100 * MIB)

bool config_wants_gpus(const struct config *c)
{
    bool wanted = !c->gpus_listed && c->gpu_choice != CONFIG_GPUS_CPU;
    for (uint32_t i = 0; c->gpus_listed && i < c->gpu_count; i++)
        wanted |= !c->gpus[i].sim;
    return wanted;
}

bool config_wants_cuda(const struct config *c)
{
    return !c->gpus_listed && c->gpu_choice == CONFIG_GPUS_CUDA;
}

static bool is_number(const char *text)
{
    return *text && strlen(text) < 5 && text[strspn(text, "0123456789")] == '\0';
}

static bool is_meant(const char *text, const struct config_gpu_found *f)
{
    size_t n = strlen(text);
    if (is_number(text))
        return strtoul(text, NULL, 10) == f->number;
    if (n >= UUID_BYTES_MIN && strncasecmp(text, f->uuid, n) == 0)
        return true;
    /* Tools write domains of eight digits, of four, and none. */
    size_t pci = strlen(f->pci);
    if (pci && n >= pci && strspn(text, "0") >= n - pci && strcasecmp(text + n - pci, f->pci) == 0)
        return true;
    if (pci > 5 && strcasecmp(text, f->pci + 5) == 0)
        return true;
    return strcmp(text, f->name) == 0;
}

static bool is_taken(const struct config *c, uint32_t place)
{
    for (uint32_t i = 0; i < c->gpu_count; i++)
        if (!c->gpus[i].sim && c->gpus[i].place == place)
            return true;
    return false;
}

/* Two of one kind are told apart by a number behind the name. */
static char *unique_name(struct config *c, const struct config_gpu *gpu, const char *name)
{
    char *text = arena_text(c->memory, name);
    for (uint32_t n = 2, i = 0; i < c->gpu_count; i++) {
        if (&c->gpus[i] == gpu || strcmp(c->gpus[i].name, text) != 0)
            continue;
        text = arena_printf(c->memory, "%s #%u", name, n++);
        i = UINT32_MAX; /* from the beginning */
    }
    return text;
}

static void place(struct config *c, struct config_gpu *gpu, const struct config_gpu_found *f,
                  uint32_t index)
{
    gpu->place = index;
    gpu->name = unique_name(c, gpu, *f->name ? f->name : *f->pci ? f->pci : "GPU");
    gpu->uuid = arena_text(c->memory, f->uuid);
    gpu->pci = arena_text(c->memory, f->pci);
}

static void refresh(struct config_gpu *gpu, const struct config_gpu_found *found, uint32_t count)
{
    if (gpu->sim || gpu->place >= count)
        return;
    gpu->memory_bytes = found[gpu->place].memory_bytes;
    gpu->found = gpu->memory_bytes > 0;
}

static void place_listed(struct config *c, const struct config_gpu_found *found, uint32_t count)
{
    /* Those that say which they are come first. */
    for (int named = 1; named >= 0; named--) {
        for (uint32_t i = 0; i < c->gpu_count; i++) {
            struct config_gpu *gpu = &c->gpus[i];
            if (gpu->sim || gpu->place != UINT32_MAX || (*gpu->device != '\0') != named)
                continue;
            for (uint32_t f = 0; f < count && gpu->place == UINT32_MAX; f++)
                if (!is_taken(c, f) && (named ? is_meant(gpu->device, &found[f]) : found[f].usable))
                    place(c, gpu, &found[f], f);
        }
    }
}

static void append(struct config *c, const struct config_gpu_found *found, uint32_t count)
{
    for (uint32_t f = 0; f < count && c->gpu_count < GPUS_MAX; f++) {
        if (!found[f].usable || is_taken(c, f))
            continue;
        if (!c->gpu_count)
            c->gpus = arena_alloc(c->memory, GPUS_MAX, sizeof(*c->gpus));
        struct config_gpu *gpu = &c->gpus[c->gpu_count];
        *gpu = (struct config_gpu){.name = arena_text(c->memory, ""),
                                   .device = arena_text(c->memory, ""),
                                   .folder = arena_text(c->memory, ""),
                                   .limit_permille = 1000,
                                   .sample_ns = SAMPLE_NS_DEFAULT,
                                   .changed_bytes = CHANGED_BYTES_DEFAULT};
        place(c, gpu, &found[f], f);
        c->gpu_count++;
    }
}

void config_place_gpus(struct config *c, const struct config_gpu_found *found, uint32_t count)
{
    if (!config_wants_gpus(c))
        return;
    if (c->gpus_listed)
        place_listed(c, found, count);
    else
        append(c, found, count);
    for (uint32_t i = 0; i < c->gpu_count; i++)
        refresh(&c->gpus[i], found, count);
}

/* As they stand in the file. */
static bool listed_alike(const struct config *a, const struct config *b)
{
    if (a->gpus_listed != b->gpus_listed || a->gpu_choice != b->gpu_choice)
        return false;
    if (a->gpus_listed && a->gpu_count != b->gpu_count)
        return false;
    for (uint32_t i = 0; a->gpus_listed && i < a->gpu_count; i++) {
        const struct config_gpu *x = &a->gpus[i], *y = &b->gpus[i];
        if (x->sim != y->sim || strcmp(x->device, y->device) != 0 ||
            strcmp(x->folder, y->folder) != 0 ||
            (x->sim && (strcmp(x->name, y->name) != 0 || x->memory_bytes != y->memory_bytes)))
            return false;
    }
    return true;
}

bool config_keep_gpus(struct config *c, const struct config *old)
{
    bool alike = listed_alike(c, old);
    struct config_gpu *gpus = arena_alloc(c->memory, GPUS_MAX, sizeof(*gpus));
    for (uint32_t i = 0; i < old->gpu_count; i++) {
        gpus[i] = old->gpus[i];
        gpus[i].name = arena_text(c->memory, old->gpus[i].name);
        gpus[i].device = arena_text(c->memory, old->gpus[i].device);
        gpus[i].folder = arena_text(c->memory, old->gpus[i].folder);
        gpus[i].uuid = arena_text(c->memory, old->gpus[i].uuid ? old->gpus[i].uuid : "");
        gpus[i].pci = arena_text(c->memory, old->gpus[i].pci ? old->gpus[i].pci : "");
        if (!alike || !c->gpus_listed)
            continue;
        gpus[i].reserve_bytes = c->gpus[i].reserve_bytes;
        gpus[i].limit_permille = c->gpus[i].limit_permille;
        gpus[i].sample_ns = c->gpus[i].sample_ns;
        gpus[i].changed_bytes = c->gpus[i].changed_bytes;
    }
    c->gpus = gpus;
    c->gpu_count = old->gpu_count;
    c->gpus_listed = old->gpus_listed;
    c->gpu_choice = old->gpu_choice;
    return alike;
}
