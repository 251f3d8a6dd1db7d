/* host.h: what the machine's processors, memory and network do, from what Linux shows below /proc.
 *
 * The parsers take the text of one file each (man proc_stat, proc_meminfo, proc_loadavg,
 * proc_pid_net) and leave what they do not find unknown: unknown never reads as 0. */
#ifndef GPU_HOST_H
#define GPU_HOST_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_CORES_MAX 1024
#define HOST_NETS_MAX 32
#define HOST_NET_NAME_MAX 16

struct host_core {
    uint64_t busy_ticks, total_ticks; /* since the machine began */
};

struct host_net {
    char name[HOST_NET_NAME_MAX];
    uint64_t received_bytes, sent_bytes;
};

struct host_reading {
    struct host_core cores[HOST_CORES_MAX];
    uint32_t core_count; /* 0: unknown; those that are on, in ascending order */
    struct host_net nets[HOST_NETS_MAX];
    uint32_t net_count; /* without the loopback */
    bool memory_known, load_known;
    uint64_t memory_total_bytes, memory_used_bytes, memory_free_bytes;
    uint64_t swap_total_bytes, swap_used_bytes;
    uint32_t load_hundredths[3]; /* means over 1, 5 and 15 minutes */
};

void host_parse_stat(const char *text, struct host_reading *r);
/* What could be had by dropping caches does not count as used. */
void host_parse_meminfo(const char *text, struct host_reading *r);
void host_parse_loadavg(const char *text, struct host_reading *r);
void host_parse_net_dev(const char *text, struct host_reading *r);

/* Reads all of it below root, "" but for tests; what cannot be read stays unknown. Blocking file
 * reads; call off the loop. */
void host_read(const char *root, struct host_reading *ret);
/* How busy core i was between two readings, in hundredths of a percent; since the machine began,
 * where the earlier one knows no such core. */
uint32_t host_core_busy(const struct host_reading *before, const struct host_reading *now,
                        uint32_t i);

#endif
