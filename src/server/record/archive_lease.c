#include "server/record/archive_lease.h"

#include "base/buf.h"
#include "server/server.h"

/* The time of day at which a monotonic clock showed that. */
static int64_t wall_of(uint64_t then_ns, int64_t now_ms)
{
    uint64_t now_ns = uv_hrtime();
    return now_ms - (int64_t)((now_ns > then_ns ? now_ns - then_ns : 0) / NS_PER_MS);
}

static uint32_t count_of(uint32_t mask)
{
    uint32_t n = 0;
    for (; mask; mask &= mask - 1)
        n++;
    return n;
}

void archive_lease(struct server *s, const struct archived_lease *l)
{
    struct archive_draft d;
    struct buf devices = {0};
    int64_t now_ms = archiving_now_ms();
    uint32_t count = l->devices ? count_of(l->devices) : l->device_count;
    if (!archiving_is_on(s))
        return;
    archiving_put_devices(s, l->devices, &devices);
    archive_draft_init(&d, ARCHIVE_LEASES);
    archive_set_number(&d, ARCHIVE_LEASES_asked, wall_of(l->since_ns, now_ms));
    if (l->granted_ns)
        archive_set_number(&d, ARCHIVE_LEASES_granted, wall_of(l->granted_ns, now_ms));
    archive_set_number(&d, ARCHIVE_LEASES_ended, now_ms);
    archive_set_text(&d, ARCHIVE_LEASES_lease, l->id);
    archive_set_text(&d, ARCHIVE_LEASES_name, l->name);
    archive_set_text(&d, ARCHIVE_LEASES_class, l->class);
    archive_set_number(&d, ARCHIVE_LEASES_bytes, (int64_t)(l->bytes * (count ? count : 1)));
    archive_set_text(&d, ARCHIVE_LEASES_devices, devices.data);
    archive_set_text(&d, ARCHIVE_LEASES_how, l->how);
    archiving_put(s, &d);
    buf_fini(&devices);
}
