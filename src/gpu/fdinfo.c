#include "gpu/fdinfo.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "gpu/files.h"

/* Clients of one process: a server has one or two a device. */
#define CLIENTS_MAX 64

/* What is said of one region of memory; the best of them counts. */
enum measure { MEASURE_RESIDENT, MEASURE_MEMORY, MEASURE_TOTAL, MEASURE__COUNT };

static const char *const measures[] = {[MEASURE_RESIDENT] = "drm-resident-",
                                       [MEASURE_MEMORY] = "drm-memory-",
                                       [MEASURE_TOTAL] = "drm-total-"};
_Static_assert(countof(measures) == MEASURE__COUNT, "a key for each");

/* "12", "12 KiB", "12 MiB"; old drivers write kB for KiB. */
static bool parse_amount(const char *text, uint64_t *ret_bytes)
{
    char unit[8] = "";
    uint64_t n, factor;
    if (sscanf(text, "%" SCNu64 " %7s", &n, unit) < 1)
        return false;
    if (unit[0] == '\0')
        factor = 1;
    else if (unit[0] == 'K' || unit[0] == 'k')
        factor = 1024;
    else if (unit[0] == 'M')
        factor = UINT64_C(1024) * 1024;
    else if (unit[0] == 'G')
        factor = UINT64_C(1024) * 1024 * 1024;
    else
        return false;
    if (n > UINT64_MAX / factor)
        return false;
    *ret_bytes = n * factor;
    return true;
}

/* vram (amdgpu, nouveau), vram0 (xe), local0 (i915). */
static bool is_device_memory(const char *region)
{
    return strncmp(region, "vram", 4) == 0 || strncmp(region, "local", 5) == 0;
}

/* gtt (amdgpu, xe), system0 (i915), memory (of the document). What is in "cpu" is nobody's here. */
static bool is_system_memory(const char *region)
{
    return strncmp(region, "gtt", 3) == 0 || strncmp(region, "system", 6) == 0 ||
           strncmp(region, "memory", 6) == 0;
}

struct sums {
    uint64_t device[MEASURE__COUNT], system[MEASURE__COUNT];
    bool has[MEASURE__COUNT];
};

static void parse_region(const char *key, const char *value, struct sums *s)
{
    for (size_t m = 0; m < countof(measures); m++) {
        uint64_t bytes;
        size_t n = strlen(measures[m]);
        if (strncmp(key, measures[m], n) != 0 || !parse_amount(value, &bytes))
            continue;
        if (is_device_memory(key + n))
            s->device[m] += bytes;
        else if (is_system_memory(key + n))
            s->system[m] += bytes;
        s->has[m] = true;
    }
}

bool fdinfo_parse(const char *text, struct fdinfo *ret)
{
    char driver[32], value[64], key[64];
    struct sums s = {.has = {false}};
    *ret = (struct fdinfo){.client = 0};
    if (!files_field(text, "drm-driver", ':', driver, sizeof(driver)))
        return false;
    if (files_field(text, "drm-pdev", ':', value, sizeof(value)))
        gpu_set_pci(ret->pci, value);
    if (files_field(text, "drm-client-id", ':', value, sizeof(value)))
        ret->client = strtoull(value, NULL, 10);
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n');
        if (sscanf(line, "%63[^: \n]: %63[^\n]", key, value) == 2)
            parse_region(key, value, &s);
        line = *end ? end + 1 : end;
    }
    for (size_t m = 0; m < MEASURE__COUNT; m++) {
        if (!s.has[m])
            continue;
        ret->device_bytes = s.device[m];
        ret->system_bytes = s.system[m];
        break;
    }
    return true;
}

/* ---- all processes ---- */

struct seen {
    uint32_t device;
    uint64_t client;
};

struct scan {
    const char *root;
    struct gpu_device *devices;
    uint32_t device_count;
    struct seen seen[CLIENTS_MAX]; /* of one process */
    uint32_t seen_count;
    struct buf text;
};

static bool seen_before(struct scan *s, uint32_t device, uint64_t client)
{
    for (uint32_t i = 0; i < s->seen_count; i++)
        if (s->seen[i].device == device && s->seen[i].client == client)
            return true;
    if (s->seen_count < CLIENTS_MAX)
        s->seen[s->seen_count++] = (struct seen){device, client};
    return false;
}

static void count_client(struct scan *s, int32_t pid, const struct fdinfo *info)
{
    for (uint32_t i = 0; i < s->device_count; i++) {
        struct gpu_device *d = &s->devices[i];
        if (!info->pci[0] || strcmp(d->pci, info->pci) != 0 || seen_before(s, i, info->client))
            continue;
        uint64_t bytes = info->device_bytes + (d->unified ? info->system_bytes : 0);
        if (bytes)
            (void)gpu_add_use(d, pid, bytes);
    }
}

static bool is_number(const char *text)
{
    return *text && text[strspn(text, "0123456789")] == '\0' && strlen(text) < 10;
}

/* Whether the descriptor is of a device of DRM, by what its link says: opening it would wake up a
 * GPU that sleeps. */
static bool is_drm(const char *root, const char *pid, const char *fd)
{
    char target[32], *name = alloc_printf("%s/proc/%s/fd/%s", root, pid, fd);
    ssize_t n = readlink(name, target, sizeof(target) - 1);
    free(name);
    target[n > 0 ? n : 0] = '\0';
    return strncmp(target, "/dev/dri/", 9) == 0;
}

static void scan_process(struct scan *s, const char *pid)
{
    char *folder = alloc_printf("%s/proc/%s/fd", s->root, pid), path[64];
    DIR *dir = opendir(folder);
    free(folder);
    s->seen_count = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct fdinfo info;
        if (!is_number(e->d_name) || !is_drm(s->root, pid, e->d_name))
            continue;
        snprintf(path, sizeof(path), "/proc/%.10s/fdinfo/%.10s", pid, e->d_name);
        if (files_read(s->root, path, &s->text) && fdinfo_parse(s->text.data, &info))
            count_client(s, (int32_t)strtol(pid, NULL, 10), &info);
    }
    if (dir)
        closedir(dir);
}

void fdinfo_read(const char *root, struct gpu_device *devices, uint32_t count)
{
    struct scan s = {.root = root, .devices = devices, .device_count = count};
    char *folder = alloc_printf("%s/proc", root);
    DIR *dir = opendir(folder);
    free(folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (is_number(e->d_name))
            scan_process(&s, e->d_name);
    if (dir)
        closedir(dir);
    buf_fini(&s.text);
}
