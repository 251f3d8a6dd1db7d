#include "gpu/machine.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "gpu/files.h"
#include "gpu/host.h"

void machine_parse_os_release(const char *text, struct machine *m)
{
    if (!files_field(text, "NAME", '=', m->os_name, sizeof(m->os_name)))
        snprintf(m->os_name, sizeof(m->os_name), "Linux");
    files_field(text, "VERSION_ID", '=', m->os_version, sizeof(m->os_version));
}

static uint32_t number_of(const char *line)
{
    const char *colon = strchr(line, ':');
    return colon ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0;
}

/* A core is known by its socket and its number there; where neither is told, as on ARM, each
 * thread counts as a core. Sockets are numbered, but not always without gaps. */
void machine_parse_cpuinfo(const char *text, struct machine *m)
{
    uint32_t socket = 0, sockets[64], cores_in_socket = 0;
    m->sockets = m->threads = m->cores = 0;
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n');
        bool known = false;
        m->threads += strncmp(line, "processor\t", 10) == 0;
        if (strncmp(line, "cpu cores", 9) == 0)
            cores_in_socket = number_of(line);
        if (strncmp(line, "physical id", 11) == 0) {
            socket = number_of(line);
            for (uint32_t i = 0; i < m->sockets; i++)
                known |= sockets[i] == socket;
            if (!known && m->sockets < 64)
                sockets[m->sockets++] = socket;
        }
        line = *end ? end + 1 : end;
    }
    m->cores = m->sockets && cores_in_socket ? m->sockets * cores_in_socket : m->threads;
    files_field(text, "vendor_id", ':', m->cpu_vendor, sizeof(m->cpu_vendor));
    files_field(text, "model name", ':', m->cpu_model, sizeof(m->cpu_model));
}

void machine_parse_nvidia(const char *text, struct machine_accelerator *ret)
{
    *ret = (struct machine_accelerator){.vendor = "NVIDIA", .driver = "nvidia"};
    files_field(text, "Model", ':', ret->model, sizeof(ret->model));
}

static bool exists(const char *root, const char *path)
{
    char *name = alloc_printf("%s%s", root, path);
    bool there = access(name, F_OK) == 0;
    free(name);
    return there;
}

static void read_environment(const char *root, const char *cpuinfo, struct machine *m)
{
    char flags[4096];
    struct buf text = {0};
    m->environment = "native";
    files_read(root, "/proc/sys/kernel/osrelease", &text);
    if (strcasestr(text.data, "microsoft")) {
        m->environment = "wsl";
    } else if (exists(root, "/.dockerenv") || exists(root, "/run/.containerenv") ||
               files_read(root, "/run/systemd/container", &text)) {
        m->environment = "container";
        snprintf(m->environment_name, sizeof(m->environment_name), "%s",
                 exists(root, "/.dockerenv")          ? "docker"
                 : exists(root, "/run/.containerenv") ? "podman"
                                                      : text.data);
        m->environment_name[strcspn(m->environment_name, "\n")] = '\0';
    } else if (files_field(cpuinfo, "flags", ':', flags, sizeof(flags)) &&
               strstr(flags, " hypervisor")) {
        m->environment = "virtual_machine";
    }
    buf_fini(&text);
}

static void read_memory(const char *root, struct machine *m)
{
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                         "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    struct host_reading *r = alloc_zeroed(1, sizeof(*r));
    struct buf text = {0};
    uint64_t limit;
    files_read(root, "/proc/meminfo", &text);
    host_parse_meminfo(text.data, r);
    m->memory_bytes = r->memory_known ? r->memory_total_bytes : 0;
    for (size_t i = 0; i < countof(limits); i++)
        if (files_read(root, limits[i], &text) && sscanf(text.data, "%" SCNu64, &limit) == 1 &&
            limit < m->memory_bytes)
            m->memory_bytes = limit;
    free(r);
    buf_fini(&text);
}

/* "0x10de\n" */
static uint32_t read_hex(const char *root, const char *folder, const char *name)
{
    char path[512];
    struct buf text = {0};
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    uint32_t value = files_read(root, path, &text) ? (uint32_t)strtoul(text.data, NULL, 16) : 0;
    buf_fini(&text);
    return value;
}

/* One that shows itself in /sys/class/drm; NVIDIA's driver tells more elsewhere. */
static bool read_card(const char *root, const char *card, struct machine_accelerator *ret)
{
    char folder[400], path[512];
    struct buf text = {0};
    snprintf(folder, sizeof(folder), "/sys/class/drm/%.200s/device", card);
    uint32_t vendor = read_hex(root, folder, "vendor"), device = read_hex(root, folder, "device");
    if (vendor != 0x1002 && vendor != 0x8086)
        return false;
    *ret = (struct machine_accelerator){0};
    snprintf(ret->vendor, sizeof(ret->vendor), "%s", vendor == 0x1002 ? "AMD" : "Intel");
    snprintf(ret->model, sizeof(ret->model), "PCI %04x:%04x", vendor, device);
    snprintf(path, sizeof(path), "%s/mem_info_vram_total", folder);
    if (files_read(root, path, &text))
        ret->memory_bytes = strtoull(text.data, NULL, 10);
    buf_fini(&text);
    return true;
}

static bool read_nvidia(const char *root, const char *address, struct machine_accelerator *ret)
{
    char path[512];
    struct buf text = {0};
    snprintf(path, sizeof(path), "/proc/driver/nvidia/gpus/%.200s/information", address);
    bool there = files_read(root, path, &text);
    if (there)
        machine_parse_nvidia(text.data, ret);
    files_read(root, "/sys/module/nvidia/version", &text);
    snprintf(ret->driver_version, sizeof(ret->driver_version), "%.*s",
             (int)strcspn(text.data, "\n"), text.data);
    buf_fini(&text);
    return there;
}

/* cardN, not its outputs (card0-HDMI-A-1). */
static int is_card(const struct dirent *e)
{
    return strncmp(e->d_name, "card", 4) == 0 && e->d_name[4] &&
           e->d_name[4 + strspn(e->d_name + 4, "0123456789")] == '\0';
}

static int is_address(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void read_folder(const char *root, const char *path, int (*pick)(const struct dirent *),
                        bool (*read_one)(const char *, const char *, struct machine_accelerator *),
                        struct machine *m)
{
    struct dirent **found = NULL;
    char *folder = alloc_printf("%s%s", root, path);
    int n = scandir(folder, &found, pick, alphasort);
    free(folder);
    for (int i = 0; i < n; i++) {
        if (m->accelerator_count < MACHINE_ACCELERATORS_MAX &&
            read_one(root, found[i]->d_name, &m->accelerators[m->accelerator_count]))
            m->accelerator_count++;
        free(found[i]);
    }
    free(found);
}

void machine_read(const char *root, struct machine *ret)
{
    struct utsname name;
    struct buf text = {0};
    *ret = (struct machine){0};
    if (uname(&name) == 0) {
        snprintf(ret->architecture, sizeof(ret->architecture), "%.31s", name.machine);
        snprintf(ret->kernel, sizeof(ret->kernel), "%.127s", name.release);
    }
    if (!files_read(root, "/etc/os-release", &text))
        files_read(root, "/usr/lib/os-release", &text);
    machine_parse_os_release(text.data, ret);
    files_read(root, "/proc/cpuinfo", &text);
    machine_parse_cpuinfo(text.data, ret);
    read_environment(root, text.data, ret);
    read_memory(root, ret);
    read_folder(root, "/proc/driver/nvidia/gpus", is_address, read_nvidia, ret);
    read_folder(root, "/sys/class/drm", is_card, read_card, ret);
    buf_fini(&text);
}
