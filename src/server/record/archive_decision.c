#include "server/record/archive_decision.h"

#include <string.h>

#include "base/buf.h"
#include "server/server.h"

static void set_names(struct archive_draft *row, const struct decision *d)
{
    bool blocked = strcmp(d->type, notice_text(NOTICE_BLOCKED)) == 0;
    archive_set_text(row, ARCHIVE_DECISIONS_type, d->type);
    archive_set_text(row, ARCHIVE_DECISIONS_model, d->model);
    archive_set_text(row, ARCHIVE_DECISIONS_lease, d->lease);
    archive_set_text(row, ARCHIVE_DECISIONS_lease_name, d->lease_name);
    archive_set_text(row, blocked ? ARCHIVE_DECISIONS_by_model : ARCHIVE_DECISIONS_for_model,
                     d->other);
    archive_set_text(row, ARCHIVE_DECISIONS_reason, reason_text(d->reason));
    archive_set_text(row, ARCHIVE_DECISIONS_detail, d->detail);
    archive_set_text(row, ARCHIVE_DECISIONS_candidates, d->candidates);
}

static void set_number(struct archive_draft *row, enum archive_column_id column, uint64_t number)
{
    if (number)
        archive_set_number(row, column, (int64_t)number);
}

void archive_decision(struct server *s)
{
    struct decisions *all = &s->decisions;
    struct decision *d = all->next ? &all->items[(all->next - 1) % DECISIONS_MAX] : NULL;
    struct archive_draft row;
    struct buf devices = {0};
    if (!d || d->archived == d->count || !archiving_is_on(s))
        return;
    archiving_put_devices(s, d->devices, &devices);
    archive_draft_init(&row, ARCHIVE_DECISIONS);
    archive_set_number(&row, ARCHIVE_DECISIONS_at, d->at_ms);
    set_names(&row, d);
    archive_set_text(&row, ARCHIVE_DECISIONS_devices, devices.data);
    set_number(&row, ARCHIVE_DECISIONS_bytes, d->bytes);
    set_number(&row, ARCHIVE_DECISIONS_last_used_s, d->idle_ns / NS_PER_MS);
    set_number(&row, ARCHIVE_DECISIONS_estimate_s, d->estimate_s);
    set_number(&row, ARCHIVE_DECISIONS_count, d->count - d->archived);
    archiving_put(s, &row);
    d->archived = d->count;
    buf_fini(&devices);
}
