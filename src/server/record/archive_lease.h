/* archive_lease.h: what the archive keeps of a lease. */
#ifndef SERVER_ARCHIVE_LEASE_H
#define SERVER_ARCHIVE_LEASE_H

#include <stdint.h>

struct server;

struct archived_lease {
    const char *id, *name, *class, *how; /* how: why it ended, or was refused */
    uint32_t devices;                    /* where it was granted; a mask */
    uint32_t device_count;               /* that it asked for */
    uint64_t bytes;                      /* on each */
    uint64_t since_ns, granted_ns;       /* by uv_hrtime; granted_ns 0: it never was */
};

/* At its end, which is now. */
void archive_lease(struct server *s, const struct archived_lease *l);

#endif
