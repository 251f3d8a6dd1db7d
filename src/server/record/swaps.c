#include "server/record/swaps.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "server/server.h"

/* A model's last beginning: its end is what is kept. */
struct swap {
    enum reason reason;
    char *for_model; /* owned; for whom it leaves; NULL: nobody, or a lease */
    char for_lease[LEASE_ID_MAX];
    struct buf evicted; /* JSON texts with commas between them: who left for it */
};

struct swaps {
    struct swap models[ROSTER_MODELS_MAX]; /* by slot */
};

static const char load[] = "load", unload[] = "unload", move[] = "move", suspend[] = "suspend",
                  resume[] = "resume";

void swaps_init(struct server *s)
{
    s->archiving.swaps = alloc_zeroed(1, sizeof(*s->archiving.swaps));
}

static void forget(struct swap *w)
{
    free(w->for_model);
    buf_fini(&w->evicted);
    *w = (struct swap){.reason = REASON_NONE};
}

void swaps_fini(struct server *s)
{
    for (size_t i = 0; i < ROSTER_MODELS_MAX; i++)
        forget(&s->archiving.swaps->models[i]);
    free(s->archiving.swaps);
}

/* ---- what comes before an end ---- */

void swaps_decided(struct server *s, const struct effect *e)
{
    struct swap *w = &s->archiving.swaps->models[e->model];
    const struct lease *l = id_none(e->waiter) ? NULL : leases_by_core(s, e->waiter);
    free(w->for_model);
    w->for_model = NULL;
    w->for_lease[0] = '\0';
    if (l)
        memcpy(w->for_lease, leases_id(l), strlen(leases_id(l)) + 1);
    if (e->other == CORE_SLOT_NONE)
        return;
    struct buf *out = &s->archiving.swaps->models[e->other].evicted;
    w->for_model = alloc_text(roster_id(&s->roster, e->other));
    buf_text(out, out->len ? "," : "");
    buf_json_text(out, roster_id(&s->roster, e->model));
}

/* ---- an end ---- */

static uint32_t count_of(uint32_t mask)
{
    uint32_t n = 0;
    for (; mask; mask &= mask - 1)
        n++;
    return n;
}

static void put(struct server *s, const struct effect *e, const char *kind, bool ok)
{
    struct swap *w = &s->archiving.swaps->models[e->model];
    const struct notice_memory *told = &s->roster.entries[e->model].told;
    struct archive_draft d;
    struct buf devices = {0}, evicted = {0};
    bool comes = kind == load || kind == move || kind == resume;
    uint32_t mask = e->devices ? e->devices : told->devices;
    uint64_t bytes = comes && e->bytes ? e->bytes : told->bytes;
    enum reason reason = e->reason == REASON_NONE ? w->reason : e->reason;
    archiving_put_devices(s, mask, &devices);
    archive_draft_init(&d, ARCHIVE_SWAPS);
    archive_set_number(&d, ARCHIVE_SWAPS_at,
                       archiving_now_ms() - (int64_t)(e->duration_ns / NS_PER_MS));
    archive_set_text(&d, ARCHIVE_SWAPS_kind, kind);
    archive_set_text(&d, ARCHIVE_SWAPS_model, roster_id(&s->roster, e->model));
    archive_set_text(&d, ARCHIVE_SWAPS_devices, devices.data);
    archive_set_number(&d, ARCHIVE_SWAPS_seconds, (int64_t)(e->duration_ns / NS_PER_MS));
    if (bytes && mask)
        archive_set_number(&d, ARCHIVE_SWAPS_bytes, (int64_t)(bytes * count_of(mask)));
    archive_set_text(&d, ARCHIVE_SWAPS_reason, reason_text(reason));
    if (kind == load && w->evicted.len) {
        buf_printf(&evicted, "[%s]", w->evicted.data);
        archive_set_text(&d, ARCHIVE_SWAPS_evicted, evicted.data);
    }
    if (!comes) {
        archive_set_text(&d, ARCHIVE_SWAPS_for_model, w->for_model);
        archive_set_text(&d, ARCHIVE_SWAPS_for_lease, w->for_lease);
    }
    archive_set_number(&d, ARCHIVE_SWAPS_ok, ok);
    archiving_put(s, &d);
    buf_fini(&devices);
    buf_fini(&evicted);
    forget(w);
}

/* What each notice is the end of; NULL: of nothing that is kept. */
static const char *const ends[NOTICE__COUNT] = {
    [NOTICE_MODEL_LOADED] = load,   [NOTICE_LOAD_FAILED] = load,  [NOTICE_MODEL_UNLOADED] = unload,
    [NOTICE_DEVICE_CHANGED] = move, [NOTICE_SUSPENDED] = suspend, [NOTICE_RESUMED] = resume};

static const char *failed_op(const struct server *s, uint32_t slot)
{
    switch ((int)s->roster.entries[slot].told.op) {
    case NOTICE_MOVING:
        return move;
    case NOTICE_SUSPENDING:
        return suspend;
    default:
        return resume;
    }
}

void swaps_note(struct server *s, const struct effect *e)
{
    if (e->model == CORE_SLOT_NONE)
        return;
    switch ((int)e->notice) {
    case NOTICE_MODEL_LOADING:
    case NOTICE_MODEL_UNLOADING:
    case NOTICE_MOVING:
    case NOTICE_SUSPENDING:
    case NOTICE_RESUMING:
        s->archiving.swaps->models[e->model].reason = e->reason;
        break;
    case NOTICE_OP_FAILED:
        put(s, e, failed_op(s, e->model), false);
        break;
    default:
        if (ends[e->notice])
            put(s, e, ends[e->notice], e->notice != NOTICE_LOAD_FAILED);
    }
}
