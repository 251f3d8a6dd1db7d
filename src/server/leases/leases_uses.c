/* Whose memory is a lease's: that of processes which carry its mark, and of those that its holder
 * has started; and whether any such process is left once it has ended. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/leases/leases_priv.h"
#include "server/residents/resident.h"
#include "server/server.h"

#define MARK "WHARF_LEASE"
#define ANCESTORS_MAX 32
/* Two looks in a row that find nobody: a process may fork while /proc is read. */
#define SCANS_EMPTY 2
#define SCAN_MS_MIN 10
#define SCAN_MS_MAX 1000

/* ---- on devices ---- */

static bool has_bytes(const struct lease *l)
{
    return l->ask.bytes && !id_none(l->core) &&
           (l->phase == PHASE_GRANTED || l->phase == PHASE_REMAINS);
}

static struct lease *find_by_mark(struct server *s, pid_t pid)
{
    char mark[LEASE_ID_MAX + LEASE_TOKEN_MAX + 1];
    if (!proctree_variable(pid, MARK, mark, sizeof(mark)))
        return NULL;
    size_t id = strcspn(mark, ":");
    struct link *n;
    list_each(n, &s->leases.all) {
        struct lease *l = list_entry(n, struct lease, link);
        if (has_bytes(l) && mark[id] && strlen(l->id) == id && memcmp(l->id, mark, id) == 0 &&
            leases_opens(l, mark + id + 1, strlen(mark + id + 1)))
            return l;
    }
    return NULL;
}

static struct lease *find_by_holder(struct server *s, pid_t pid)
{
    struct proc line[ANCESTORS_MAX];
    uint32_t count = proctree_ancestors(pid, line, ANCESTORS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct link *n;
        list_each(n, &s->leases.all) {
            struct lease *l = list_entry(n, struct lease, link);
            if (has_bytes(l) && l->phase == PHASE_GRANTED && l->process.pid == line[i].pid &&
                l->process.start_ticks == line[i].start_ticks)
                return l;
        }
    }
    return NULL;
}

uint32_t leases_uses(struct server *s, struct resident_claim *claims, uint32_t claim_count,
                     struct sample_use *ret, uint32_t ret_max)
{
    uint32_t count = 0;
    bool any = false;
    struct link *n;
    list_each(n, &s->leases.all)
        any |= has_bytes(list_entry(n, struct lease, link));
    for (uint32_t i = 0; any && i < claim_count; i++) {
        if (claims[i].known || claims[i].slot != CORE_SLOT_NONE)
            continue;
        struct lease *l = find_by_mark(s, claims[i].pid);
        l = l ? l : find_by_holder(s, claims[i].pid);
        if (l)
            claims[i].lease = l->core;
    }
    list_each(n, &s->leases.all) {
        const struct lease *l = list_entry(n, struct lease, link);
        struct sample_use use = {.model = CORE_SLOT_NONE, .lease = l->core};
        bool seen = false;
        for (uint32_t i = 0; i < claim_count && has_bytes(l); i++) {
            if (!id_equal(claims[i].lease, l->core))
                continue;
            seen = true;
            use.bytes += claims[i].bytes;
        }
        if (seen && count < ret_max)
            ret[count++] = use;
    }
    return count;
}

/* ---- whether any process of it is left ---- */

static void scan(uv_work_t *work)
{
    struct lease *l = container_of(work, struct lease, scan);
    char text[sizeof(MARK) + LEASE_ID_MAX + LEASE_TOKEN_MAX + 1];
    snprintf(text, sizeof(text), MARK "=%s:%s", l->id, l->token);
    const struct proc_mark mark = {.text = text};
    l->scan_whole = proctree_scan(&mark, &l->found);
}

static void on_scanned(uv_work_t *work, int status);

static void start_scan(struct lease *l)
{
    l->scanning = true;
    uv_queue_work(l->server->loop, &l->scan, scan, on_scanned);
}

static void on_timer(uv_timer_t *timer)
{
    start_scan(container_of(timer, struct lease, scan_timer));
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct lease *l = container_of(handle, struct lease, scan_timer);
    l->timer_open = false;
    lease_note(l);
    leases_turn(l->server);
}

void lease_unwatch(struct lease *l)
{
    if (l->timer_open && !uv_is_closing((uv_handle_t *)&l->scan_timer))
        uv_close((uv_handle_t *)&l->scan_timer, on_timer_closed);
}

/* What its processes had is free. The core hears of that before the lease is over: where an earlier
 * daemon has told of its end, it is known to be of no interest (leases_hide). */
static void end_remains(struct lease *l)
{
    struct server *s = l->server;
    log_debug_with(NULL, LOG_WITH(LOG_SAID("lease", l->id)),
                   "lease %s: none of its processes is left", l->id);
    lease_unwatch(l);
    runner_event(&s->runner,
                 (struct event){.type = EVENT_LEASE_ENDED, .lease_id = {.lease = l->core}});
    lease_over(l);
    leases_turn(s);
}

/* Nobody is left who could come back. */
static void end_awaited(struct lease *l)
{
    struct server *s = l->server;
    l->awaited = false;
    leases_end(l, "its processes have ended");
    leases_turn(s);
}

static bool is_watched(const struct lease *l)
{
    return l->phase == PHASE_REMAINS || (l->phase == PHASE_GRANTED && l->awaited);
}

/* Of an awaited lease; a process that lives on when its lease has ended has nothing of it, unless
 * it carries the mark. */
static bool holder_lives(const struct lease *l)
{
    struct proc_list now = {.items = NULL};
    bool lives =
        proc_list_add(&now, l->process.pid) && now.items[0].start_ticks == l->process.start_ticks;
    proc_list_fini(&now);
    return lives;
}

static void on_scanned(uv_work_t *work, int status)
{
    struct lease *l = container_of(work, struct lease, scan);
    (void)status;
    l->scanning = false;
    if (l->phase == PHASE_OVER) {
        lease_note(l);
        leases_turn(l->server);
        return;
    }
    if (uv_is_closing((uv_handle_t *)&l->scan_timer) || !is_watched(l))
        return;
    bool empty =
        l->scan_whole && l->found.count == 0 && (l->phase == PHASE_REMAINS || !holder_lives(l));
    l->scans_empty = empty ? l->scans_empty + 1 : 0;
    if (l->scans_empty >= SCANS_EMPTY) {
        if (l->phase == PHASE_REMAINS)
            end_remains(l);
        else
            end_awaited(l);
        return;
    }
    uint64_t ms = empty || !l->scan_ms ? SCAN_MS_MIN : l->scan_ms * 2;
    l->scan_ms = ms < SCAN_MS_MAX ? ms : SCAN_MS_MAX;
    uv_update_time(l->server->loop);
    uv_timer_start(&l->scan_timer, on_timer, l->scan_ms, 0);
}

static void watch(struct lease *l)
{
    if (!l->timer_open)
        uv_timer_init(l->server->loop, &l->scan_timer);
    uv_timer_stop(
        &l->scan_timer); /* that of an awaited one may run, and there is one scan at a time */
    l->timer_open = true;
    l->scans_empty = 0;
    l->scan_ms = 0;
    if (!l->scanning)
        start_scan(l);
}

void lease_watch_remains(struct lease *l)
{
    must(l->phase == PHASE_REMAINS);
    watch(l);
}

void lease_watch_awaited(struct lease *l)
{
    must(l->phase == PHASE_GRANTED && l->awaited && l->process.pid);
    watch(l);
}

void lease_came_back(struct lease *l)
{
    l->awaited = false;
    if (l->timer_open)
        uv_timer_stop(&l->scan_timer);
}
