#include "gpu/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/pure/check.h"
#include "gpu/files.h"

#define KIB 1024

static const char *next_line(const char *line)
{
    const char *end = strchrnul(line, '\n');
    return *end ? end + 1 : end;
}

/* user nice system idle iowait irq softirq steal; the guests' are in the first two already. */
static bool parse_core(const char *line, struct host_core *ret)
{
    uint64_t t[8] = {0}, total = 0;
    int n = sscanf(line,
                   "cpu%*u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                   " %" SCNu64 " %" SCNu64,
                   &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]);
    /* The first line, "cpu ", sums up all. */
    if (n < 4 || line[3] == ' ')
        return false;
    for (int i = 0; i < 8; i++)
        total += t[i];
    *ret = (struct host_core){.busy_ticks = total - t[3] - t[4], .total_ticks = total};
    return true;
}

void host_parse_stat(const char *text, struct host_reading *r)
{
    r->core_count = 0;
    for (const char *line = text; *line && r->core_count < HOST_CORES_MAX; line = next_line(line))
        if (parse_core(line, &r->cores[r->core_count]))
            r->core_count++;
}

static bool find_kib(const char *text, const char *name, uint64_t *ret_bytes)
{
    char value[32];
    uint64_t kib;
    if (!files_field(text, name, ':', value, sizeof(value)) ||
        sscanf(value, "%" SCNu64 " kB", &kib) != 1)
        return false;
    *ret_bytes = kib * KIB;
    return true;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void host_parse_meminfo(const char *text, struct host_reading *r)
{
    uint64_t available, swap_free = 0;
    r->memory_known = find_kib(text, "MemTotal", &r->memory_total_bytes) &&
                      find_kib(text, "MemFree", &r->memory_free_bytes);
    if (!r->memory_known)
        return;
    if (!find_kib(text, "MemAvailable", &available))
        available = r->memory_free_bytes;
    r->memory_used_bytes = less(r->memory_total_bytes, available);
    r->swap_total_bytes = 0;
    if (find_kib(text, "SwapTotal", &r->swap_total_bytes))
        find_kib(text, "SwapFree", &swap_free);
    r->swap_used_bytes = less(r->swap_total_bytes, swap_free);
}

void host_parse_loadavg(const char *text, struct host_reading *r)
{
    uint32_t whole[3], part[3];
    r->load_known =
        sscanf(text, "%" SCNu32 ".%2" SCNu32 " %" SCNu32 ".%2" SCNu32 " %" SCNu32 ".%2" SCNu32,
               &whole[0], &part[0], &whole[1], &part[1], &whole[2], &part[2]) == 6;
    for (int i = 0; r->load_known && i < 3; i++)
        r->load_hundredths[i] = whole[i] * 100 + part[i];
}

/* Two lines of headings, then "name: received-bytes packets … (8 numbers) sent-bytes …". */
void host_parse_net_dev(const char *text, struct host_reading *r)
{
    r->net_count = 0;
    for (const char *line = text; *line && r->net_count < HOST_NETS_MAX; line = next_line(line)) {
        struct host_net *net = &r->nets[r->net_count];
        if (sscanf(line, " %15[^:| ]: %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, net->name,
                   &net->received_bytes, &net->sent_bytes) == 3 &&
            strcmp(net->name, "lo") != 0)
            r->net_count++;
    }
}

void host_read(const char *root, struct host_reading *ret)
{
    static const struct {
        const char *path;
        void (*parse)(const char *text, struct host_reading *r);
    } files[] = {{"/proc/stat", host_parse_stat},
                 {"/proc/meminfo", host_parse_meminfo},
                 {"/proc/loadavg", host_parse_loadavg},
                 {"/proc/net/dev", host_parse_net_dev}};
    struct buf text = {0};
    for (size_t i = 0; i < countof(files); i++) {
        files_read(root, files[i].path, &text);
        files[i].parse(text.data, ret);
    }
    buf_fini(&text);
}

uint32_t host_core_busy(const struct host_reading *before, const struct host_reading *now,
                        uint32_t i)
{
    struct host_core a = {0}, b = now->cores[i];
    if (before->core_count == now->core_count)
        a = before->cores[i];
    uint64_t busy = less(b.busy_ticks, a.busy_ticks), total = less(b.total_ticks, a.total_ticks);
    if (total == 0 || busy >= total)
        return total ? 10000 : 0;
    return (uint32_t)(busy * 10000 / total);
}
