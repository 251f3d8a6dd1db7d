#include "gpu/drm.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "gpu/fdinfo.h"
#include "gpu/files.h"
#include "gpu/pids.h"

#define VENDOR_AMD 0x1002
#define VENDOR_INTEL 0x8086
#define PATH_BYTES 320

struct drm_gpu {
    struct gpu_device is; /* what does not change */
    char folder[128];     /* /sys/class/drm/cardN/device */
    uint64_t kfd_id;      /* of AMD's compute driver; 0: none */
};

struct drm {
    const char *root; /* outlives it */
    struct drm_gpu gpus[GPU_DEVICES_MAX];
    uint32_t count;
};

/* ---- small files ---- */

/* folder/name as a number, in any base; false when there is none. */
static bool read_number(const char *root, const char *folder, const char *name, uint64_t *ret)
{
    char path[PATH_BYTES], *end;
    struct buf text = {0};
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    bool there = files_read(root, path, &text);
    uint64_t n = there ? strtoull(text.data, &end, 0) : 0;
    there = there && end != text.data;
    buf_fini(&text);
    if (there)
        *ret = n;
    return there;
}

static bool read_line(const char *root, const char *folder, const char *name, char *out,
                      size_t size)
{
    char path[PATH_BYTES];
    struct buf text = {0};
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    bool there = files_read(root, path, &text);
    if (there) {
        text.data[strcspn(text.data, "\n")] = '\0';
        gpu_set_text(out, size, text.data);
    }
    buf_fini(&text);
    return there && out[0];
}

/* The last part of what a link points to. */
static void read_link_name(const char *root, const char *path, char *out, size_t size)
{
    char target[PATH_BYTES], *name = alloc_printf("%s%s", root, path);
    ssize_t n = readlink(name, target, sizeof(target) - 1);
    free(name);
    target[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(target, '/');
    gpu_set_text(out, size, slash ? slash + 1 : target);
}

/* The first entry of a folder that begins so; "" when there is none. */
static void find_entry(const char *root, const char *path, const char *begins, char *out,
                       size_t size)
{
    char *folder = alloc_printf("%s%s", root, path);
    DIR *dir = opendir(folder);
    free(folder);
    out[0] = '\0';
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strncmp(e->d_name, begins, strlen(begins)) == 0 &&
            (!out[0] || strcmp(e->d_name, out) < 0))
            gpu_set_text(out, size, e->d_name);
    if (dir)
        closedir(dir);
}

/* ---- is it part of the processor? ---- */

/* amdgpu_drm.h: struct drm_amdgpu_info, and of drm_amdgpu_info_device the beginning. */
struct amd_question {
    uint64_t answer;
    uint32_t answer_bytes, query;
    uint32_t more[4];
};

struct amd_device_info {
    uint32_t before[34];
    uint64_t flags;
};
_Static_assert(sizeof(struct amd_question) == 32 && offsetof(struct amd_device_info, flags) == 136,
               "as the kernel has them");

#define AMD_IOCTL_INFO _IOW('d', 0x45, struct amd_question)
#define AMD_QUERY_DEVICE 0x16
#define AMD_FLAG_FUSION 0x1

bool drm_amd_is_integrated(const char *node)
{
    struct amd_device_info info = {.flags = 0};
    struct amd_question q = {.answer = (uint64_t)(uintptr_t)&info,
                             .answer_bytes = sizeof(info),
                             .query = AMD_QUERY_DEVICE};
    auto_close int fd = open(node, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0 && ioctl(fd, AMD_IOCTL_INFO, &q) == 0 && (info.flags & AMD_FLAG_FUSION);
}

/* ---- finding ---- */

/* "name value" in a line of its own. */
static bool find_property(const char *text, const char *name, uint64_t *ret)
{
    size_t n = strlen(name);
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n');
        if (strncmp(line, name, n) == 0 && line[n] == ' ') {
            *ret = strtoull(line + n, NULL, 10);
            return true;
        }
        line = *end ? end + 1 : end;
    }
    return false;
}

/* location_id of AMD's compute driver is bus, device and function; domain is apart. */
static uint64_t find_kfd_id(const char *root, const char *pci)
{
    unsigned domain, bus, device, function;
    if (sscanf(pci, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4)
        return 0;
    uint64_t wanted = bus << 8 | device << 3 | function;
    for (unsigned node = 0; node < 2 * GPU_DEVICES_MAX; node++) {
        char folder[PATH_BYTES];
        struct buf text = {0};
        uint64_t id = 0, location = 0, of = domain;
        snprintf(folder, sizeof(folder), "/sys/class/kfd/kfd/topology/nodes/%u/properties", node);
        bool there = files_read(root, folder, &text);
        bool here =
            there && find_property(text.data, "location_id", &location) && location == wanted;
        if (here)
            (void)find_property(text.data, "domain", &of);
        here = here && of == domain;
        buf_fini(&text);
        snprintf(folder, sizeof(folder), "/sys/class/kfd/kfd/topology/nodes/%u", node);
        if (here && read_number(root, folder, "gpu_id", &id) && id)
            return id;
    }
    return 0;
}

static void name_by_place(struct gpu_device *d, const char *what)
{
    char name[GPU_TEXT_MAX];
    snprintf(name, sizeof(name), "%s at %s", what, d->pci);
    gpu_set_text(d->name, sizeof(d->name), name);
}

static void describe_amd(const struct drm *s, struct drm_gpu *gpu)
{
    char path[PATH_BYTES], node[64], id[32], *name;
    struct gpu_device *d = &gpu->is;
    if (!read_line(s->root, gpu->folder, "product_name", d->name, sizeof(d->name)))
        name_by_place(d, "AMD GPU");
    if (read_line(s->root, gpu->folder, "unique_id", id, sizeof(id)))
        snprintf(d->uuid, sizeof(d->uuid), "GPU-%s", id);
    /* It names processes by the host's numbers. */
    if (pids_are_the_hosts(s->root))
        gpu->kfd_id = find_kfd_id(s->root, d->pci);
    snprintf(path, sizeof(path), "%s/drm", gpu->folder);
    find_entry(s->root, path, "renderD", node, sizeof(node));
    name = alloc_printf("%s/dev/dri/%s", s->root, node);
    d->unified = node[0] && drm_amd_is_integrated(name);
    free(name);
}

/* Intel's integrated graphics stand at 00:02.0, on every machine. */
static void describe_intel(struct gpu_device *d)
{
    d->unified = strcmp(d->pci, "0000:00:02.0") == 0;
    name_by_place(d, d->unified ? "Intel graphics" : "Intel GPU");
}

static bool find_card(struct drm *s, const char *card)
{
    struct drm_gpu *gpu = &s->gpus[s->count];
    char path[PATH_BYTES], pci[PATH_BYTES];
    uint64_t vendor = 0;
    *gpu = (struct drm_gpu){.kfd_id = 0};
    snprintf(gpu->folder, sizeof(gpu->folder), "/sys/class/drm/%.40s/device", card);
    read_number(s->root, gpu->folder, "vendor", &vendor);
    if (vendor != VENDOR_AMD && vendor != VENDOR_INTEL)
        return false;
    gpu->is.source = vendor == VENDOR_AMD ? GPU_AMD : GPU_INTEL;
    read_link_name(s->root, gpu->folder, pci, sizeof(pci));
    gpu_set_pci(gpu->is.pci, pci);
    snprintf(path, sizeof(path), "%s/driver", gpu->folder);
    read_link_name(s->root, path, gpu->is.driver, sizeof(gpu->is.driver));
    if (vendor == VENDOR_AMD)
        describe_amd(s, gpu);
    else
        describe_intel(&gpu->is);
    return true;
}

/* cardN, not its outputs (card0-HDMI-A-1). */
static int is_card(const struct dirent *e)
{
    return strncmp(e->d_name, "card", 4) == 0 && e->d_name[4] &&
           e->d_name[4 + strspn(e->d_name + 4, "0123456789")] == '\0';
}

/* Numbers are by PCI address, apart for each maker: as AMD's runtime counts. */
static int by_pci(const void *a, const void *b)
{
    const struct drm_gpu *left = a, *right = b;
    return strcmp(left->is.pci, right->is.pci);
}

static void number_them(struct drm *s)
{
    uint32_t next[GPU_SOURCE__COUNT] = {0};
    qsort(s->gpus, s->count, sizeof(s->gpus[0]), by_pci);
    for (uint32_t i = 0; i < s->count; i++) {
        s->gpus[i].is.index = next[s->gpus[i].is.source]++;
        s->gpus[i].is.known |= GPU_INDEX;
    }
}

static void open_drm(const struct gpu_place *where, struct gpu_opened *ret)
{
    struct dirent **found = NULL;
    struct drm *s = alloc_zeroed(1, sizeof(*s));
    char *folder = alloc_printf("%s/sys/class/drm", where->root);
    int n = scandir(folder, &found, is_card, alphasort);
    free(folder);
    s->root = where->root;
    for (int i = 0; i < n; i++) {
        if (s->count < GPU_DEVICES_MAX && find_card(s, found[i]->d_name))
            s->count++;
        free(found[i]);
    }
    free(found);
    number_them(s);
    *ret = (struct gpu_opened){.state = s->count ? GPU_READING : GPU_NONE};
    if (s->count) {
        ret->self = s;
        return;
    }
    snprintf(ret->text, sizeof(ret->text), "no AMD or Intel GPU in /sys/class/drm");
    free(s);
}

/* ---- reading ---- */

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void drm_put_amd_memory(const struct amd_memory *m, bool shares, const char *root,
                        struct gpu_device *d)
{
    struct gpu_device machine = {.known = 0};
    if (m->vram_total_bytes == UINT64_MAX || m->vram_used_bytes == UINT64_MAX) {
        gpu_set_text(d->problem, sizeof(d->problem), "its driver does not say how full it is");
        return;
    }
    d->total_bytes = m->vram_total_bytes;
    d->free_bytes = less(m->vram_total_bytes, m->vram_used_bytes);
    if (shares && m->gtt_total_bytes != UINT64_MAX && m->gtt_used_bytes != UINT64_MAX) {
        uint64_t lent = less(m->gtt_total_bytes, m->gtt_used_bytes);
        gpu_read_unified(root, &machine);
        if ((machine.known & GPU_USED) && machine.free_bytes < lent)
            lent = machine.free_bytes;
        d->total_bytes += m->gtt_total_bytes;
        d->free_bytes += lent;
    }
    d->used_bytes = less(d->total_bytes, d->free_bytes);
    d->known |= GPU_TOTAL | GPU_USED;
}

static void read_amd_memory(const struct drm *s, const struct drm_gpu *gpu, struct gpu_device *d)
{
    struct amd_memory m = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    read_number(s->root, gpu->folder, "mem_info_vram_total", &m.vram_total_bytes);
    read_number(s->root, gpu->folder, "mem_info_vram_used", &m.vram_used_bytes);
    read_number(s->root, gpu->folder, "mem_info_gtt_total", &m.gtt_total_bytes);
    read_number(s->root, gpu->folder, "mem_info_gtt_used", &m.gtt_used_bytes);
    drm_put_amd_memory(&m, gpu->is.unified, s->root, d);
}

/* hwmon: temperatures in thousandths of a degree, power in millionths of a watt. */
static void read_hwmon(const struct drm *s, const struct drm_gpu *gpu, struct gpu_device *d)
{
    char path[PATH_BYTES], folder[PATH_BYTES + 64], name[48];
    uint64_t n, top;
    snprintf(path, sizeof(path), "%s/hwmon", gpu->folder);
    find_entry(s->root, path, "hwmon", name, sizeof(name));
    if (!name[0])
        return;
    snprintf(folder, sizeof(folder), "%.255s/%s", path, name);
    if (read_number(s->root, folder, "temp1_input", &n)) {
        d->temperature_c = (int32_t)(n / 1000);
        d->known |= GPU_TEMPERATURE;
    }
    if (read_number(s->root, folder, "temp3_input", &n)) {
        d->memory_temperature_c = (int32_t)(n / 1000);
        d->known |= GPU_MEMORY_TEMPERATURE;
    }
    if (read_number(s->root, folder, "power1_average", &n) ||
        read_number(s->root, folder, "power1_input", &n)) {
        d->power_mw = (uint32_t)(n / 1000);
        d->known |= GPU_POWER;
    }
    if (read_number(s->root, folder, "power1_cap", &n)) {
        d->power_limit_mw = (uint32_t)(n / 1000);
        d->known |= GPU_POWER_LIMIT;
    }
    if (read_number(s->root, folder, "pwm1", &n)) {
        if (!read_number(s->root, folder, "pwm1_max", &top) || !top)
            top = 255;
        d->fan_percent = (uint32_t)(n < top ? n * 100 / top : 100);
        d->known |= GPU_FAN;
    }
}

static void read_percent(const struct drm *s, const struct drm_gpu *gpu, const char *name,
                         uint32_t bit, uint32_t *out, struct gpu_device *d)
{
    uint64_t n;
    if (!read_number(s->root, gpu->folder, name, &n) || n > 100)
        return;
    *out = (uint32_t)n;
    d->known |= bit;
}

/* What AMD's compute driver counts for a process, where that is more than its descriptors say: not
 * all kernels show it there. */
static void add_kfd_uses(const struct drm *s, const struct drm_gpu *gpu, struct gpu_device *d)
{
    char *folder = alloc_printf("%s/sys/class/kfd/kfd/proc", s->root), file[32];
    DIR *dir = opendir(folder);
    free(folder);
    snprintf(file, sizeof(file), "vram_%" PRIu64, gpu->kfd_id);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[PATH_BYTES];
        uint64_t bytes = 0, counted = 0;
        int32_t pid = (int32_t)strtol(e->d_name, NULL, 10);
        snprintf(path, sizeof(path), "/sys/class/kfd/kfd/proc/%.20s", e->d_name);
        if (pid <= 0 || !read_number(s->root, path, file, &bytes))
            continue;
        for (uint32_t i = 0; i < d->use_count; i++)
            counted += d->uses[i].pid == pid ? d->uses[i].bytes : 0;
        if (bytes > counted)
            (void)gpu_add_use(d, pid, bytes - counted);
    }
    if (dir)
        closedir(dir);
}

/* Intel's drivers give the size of a GPU's own memory by ioctl alone, which is not asked yet. */
static void read_intel_memory(const struct drm *s, const struct drm_gpu *gpu, struct gpu_device *d)
{
    if (gpu->is.unified)
        gpu_read_unified(s->root, d);
    else
        gpu_set_text(d->problem, sizeof(d->problem), "the size of its memory is not read yet");
}

static uint32_t read_drm(void *self, struct gpu_device *out, uint32_t room, bool *ret_ok)
{
    struct drm *s = self;
    uint32_t count = s->count < room ? s->count : room;
    *ret_ok = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct drm_gpu *gpu = &s->gpus[i];
        struct gpu_device *d = &out[i];
        uint64_t vendor;
        *d = gpu->is;
        /* Taken out, or unbound from its driver. */
        if (!read_number(s->root, gpu->folder, "vendor", &vendor)) {
            d->lost = 1;
            gpu_set_text(d->problem, sizeof(d->problem), "the GPU is lost: /sys has it no more");
            continue;
        }
        if (d->source == GPU_AMD)
            read_amd_memory(s, gpu, d);
        else
            read_intel_memory(s, gpu, d);
        read_percent(s, gpu, "gpu_busy_percent", GPU_UTILISATION, &d->utilisation_percent, d);
        read_percent(s, gpu, "mem_busy_percent", GPU_MEMORY_UTILISATION,
                     &d->memory_utilisation_percent, d);
        read_hwmon(s, gpu, d);
        d->known |= GPU_USES;
    }
    fdinfo_read(s->root, out, count);
    for (uint32_t i = 0; i < count; i++)
        if (s->gpus[i].kfd_id && (out[i].known & GPU_USES))
            add_kfd_uses(s, &s->gpus[i], &out[i]);
    return count;
}

static void close_drm(void *self)
{
    free(self);
}

const struct gpu_reader gpu_drm = {
    .name = "drm", .open = open_drm, .read = read_drm, .close = close_drm};
