/* Whose memory it is: an Ollama server starts a process for each model, and does not say which.
 * They are told apart by when they appear, and by size. Where they cannot be seen (another user's,
 * in a container), what Ollama reckons is taken, as far as the device says that somebody uses as
 * much. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "gpu/gpu.h"
#include "server/gpus/devices.h"
#include "server/net/origin.h"
#include "server/process/listening.h"
#include "server/process/proctree.h"
#include "server/residents/ollama.h"
#include "server/server.h"

/* A server that could not be found is looked for again after this. */
#define SEARCH_AGAIN_NS (60 * NS_PER_S)

/* A device that is slow is not waited for longer. */
#define MEASURE_NS_MAX (2 * NS_PER_S)

struct ollama_scan {
    uv_work_t work;
    struct ollama_endpoint *endpoint; /* NULL: nobody waits for it */
    struct sockaddr_storage addrs[ORIGIN_ADDRS_MAX];
    uint32_t addr_count;
    pid_t root; /* as known, then as found */
    bool search;
    struct proc_list found;
};

/* ---- looking, on another thread ---- */

static bool lives(const struct proc_list *l, pid_t pid)
{
    bool there = false;
    for (size_t i = 0; i < l->count; i++)
        there |= l->items[i].pid == pid;
    return there;
}

static void scan(uv_work_t *work)
{
    struct ollama_scan *sc = container_of(work, struct ollama_scan, work);
    bool complete = sc->root && proctree_below(sc->root, &sc->found);
    if (complete && lives(&sc->found, sc->root))
        return;
    sc->root = 0;
    for (uint32_t i = 0; sc->search && i < sc->addr_count && !sc->root; i++)
        if (listening_is_here(&sc->addrs[i]))
            sc->root = listening_process(&sc->addrs[i]);
    sc->found.count = 0;
    if (sc->root && !proctree_below(sc->root, &sc->found))
        sc->found.count = 0;
}

static struct ollama_process *find(struct ollama_tree *t, pid_t pid, uint64_t start_ticks)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (t->items[i].pid == pid && (!start_ticks || t->items[i].start_ticks == start_ticks))
            return &t->items[i];
    return NULL;
}

static void take(struct ollama_tree *t, const struct ollama_scan *sc)
{
    struct ollama_tree was = *t;
    t->count = 0;
    for (size_t i = 0; i < sc->found.count && t->count < OLLAMA_PROCESSES_MAX; i++) {
        const struct proc *p = &sc->found.items[i];
        const struct ollama_process *old = find(&was, p->pid, p->start_ticks);
        t->items[t->count++] =
            old ? *old : (struct ollama_process){.pid = p->pid, .start_ticks = p->start_ticks};
    }
    if (sc->search)
        t->searched_ns = uv_hrtime();
    if (t->root != sc->root && sc->root)
        log_debug(NULL, "an ollama server is process %d", (int)sc->root);
    t->root = sc->root;
}

static void on_scanned(uv_work_t *work, int status)
{
    struct ollama_scan *sc = container_of(work, struct ollama_scan, work);
    struct ollama_endpoint *e = sc->endpoint;
    if (e) {
        e->tree.scan = NULL;
        if (status == 0)
            take(&e->tree, sc);
    }
    proc_list_fini(&sc->found);
    free(sc);
    if (e)
        ollama_endpoint_take(e);
}

void ollama_tree_scan(struct ollama_endpoint *e)
{
    struct ollama_tree *t = &e->tree;
    struct ollama_scan *sc = alloc_zeroed(1, sizeof(*sc));
    const struct origin *o = e->origin;
    bool tried = t->searched_ns && uv_hrtime() - t->searched_ns < SEARCH_AGAIN_NS;
    sc->endpoint = e;
    sc->root = t->root;
    sc->search = t->root || !tried || e->state != OLLAMA_UP;
    sc->addr_count = o->addr_count;
    memcpy(sc->addrs, o->addrs, sizeof(sc->addrs));
    t->wanted = false;
    t->scan = sc;
    int rc = uv_queue_work(e->server->loop, &sc->work, scan, on_scanned);
    must(rc == 0);
}

void ollama_tree_close(struct ollama_endpoint *e)
{
    if (e->tree.scan)
        e->tree.scan->endpoint = NULL;
    e->tree = (struct ollama_tree){.count = 0};
}

void ollama_tree_leave(struct ollama_endpoint *e, uint32_t slot)
{
    for (uint32_t i = 0; i < e->tree.count; i++)
        if (e->tree.items[i].owner == PROCESS_HELD && e->tree.items[i].slot == slot)
            e->tree.items[i].owner = PROCESS_SPENT;
}

/* ---- whose a process is ---- */

static uint32_t count_strange(const struct ollama_tree *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->count; i++)
        count += t->items[i].owner == PROCESS_STRANGE;
    return count;
}

static bool has_process(const struct ollama_tree *t, uint32_t slot)
{
    bool has = false;
    for (uint32_t i = 0; i < t->count; i++)
        has |= t->items[i].owner == PROCESS_HELD && t->items[i].slot == slot;
    return has;
}

/* What the model is thought to take on a GPU: by the list, else by the plan; 0: unknown. */
static uint64_t size_of(const struct ollama_resident *o)
{
    return o->vram_bytes ? o->vram_bytes : o->resident.order.bytes;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Of those models that have no process yet, the one whose size comes next to it. */
static void assign(struct ollama_endpoint *e, struct ollama_process *p, uint64_t bytes)
{
    uint64_t best = UINT64_MAX;
    for (uint32_t i = 0; i < e->server->roster.count; i++) {
        const struct ollama_resident *o = ollama_resident_at(e, i);
        if (!o || has_process(&e->tree, i))
            continue;
        uint64_t d = size_of(o) ? distance(size_of(o), bytes) : UINT64_MAX - 1;
        if (d >= best)
            continue;
        best = d;
        p->owner = PROCESS_HELD;
        p->slot = i;
    }
    for (uint32_t i = 0; i < e->listed.count && count_strange(&e->tree) < e->stranger_count; i++)
        if (e->strange[i] && distance(e->listed.items[i].vram_bytes, bytes) < best)
            p->owner = PROCESS_STRANGE;
}

/* A process that the server has just started is not in its tree yet. */
static void mark(struct ollama_endpoint *e, struct resident_claim *claims, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct resident_claim *c = &claims[i];
        struct ollama_process *p = find(&e->tree, c->pid, 0);
        if (c->slot != CORE_SLOT_NONE)
            continue;
        bool fresh = !c->known && e->tree.root && !p;
        if (fresh && !e->tree.wanted) {
            e->tree.wanted = true;
            ollama_endpoint_ask(e);
        }
        if (p && p->owner == PROCESS_FREE)
            assign(e, p, c->bytes);
        if (p && p->owner == PROCESS_HELD)
            c->slot = p->slot;
    }
}

/* What is nobody's, less what is taken to be that of models before it. */
static uint64_t left_for(const struct ollama_resident *o, uint32_t device,
                         const struct resident_claim *claims, uint32_t count)
{
    const struct server *s = o->resident.server;
    uint64_t free = 0, taken = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct ollama_process *p = find(&o->endpoint->tree, claims[i].pid, 0);
        bool strange = p && (p->owner == PROCESS_STRANGE || p->owner == PROCESS_SPENT);
        free += claims[i].slot == CORE_SLOT_NONE && !strange ? claims[i].bytes : 0;
    }
    for (uint32_t i = 0; i < o->resident.slot; i++) {
        const struct resident *r = resident_at(s, i);
        if (!r || r->ops != &resident_ollama || !(r->devices >> device & 1))
            continue;
        const struct ollama_resident *before =
            container_of(r, const struct ollama_resident, resident);
        taken += has_process(&before->endpoint->tree, i) ? 0 : before->vram_bytes;
    }
    return free > taken ? free - taken : 0;
}

bool ollama_uses(struct resident *r, uint32_t device, struct resident_claim *claims, uint32_t count,
                 uint64_t *ret_bytes)
{
    struct ollama_resident *o = container_of(r, struct ollama_resident, resident);
    mark(o->endpoint, claims, count);
    if (resident_claimed(r, claims, count, ret_bytes))
        return true;
    if (has_process(&o->endpoint->tree, r->slot) || o->model.phase == OLLAMA_LOADING ||
        !o->vram_bytes || !(r->devices >> device & 1))
        return false;
    uint64_t left = left_for(o, device, claims, count);
    uint64_t share = o->vram_bytes / (uint32_t)__builtin_popcount(r->devices);
    *ret_bytes = share < left ? share : left;
    return true;
}

bool ollama_is_measured(struct ollama_resident *o)
{
    struct devices *all = o->resident.server->devices;
    uint64_t now = uv_hrtime();
    bool measured = true;
    if (!o->known_ns)
        o->known_ns = now;
    if (now - o->known_ns > MEASURE_NS_MAX)
        return true;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        bool on = o->resident.devices >> d & 1 && devices_reading(all, d);
        if (!on || devices_read_at(all, d) > o->known_ns)
            continue;
        measured = false;
        devices_sample_now(all, d);
    }
    return measured;
}

uint32_t ollama_seen_on(const struct ollama_endpoint *e, uint32_t allowed)
{
    uint32_t seen = 0;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        const struct gpu_device *now =
            allowed >> d & 1 ? devices_reading(e->server->devices, d) : NULL;
        for (uint32_t i = 0; now && i < now->use_count; i++)
            for (uint32_t k = 0; k < e->tree.count; k++)
                if (e->tree.items[k].pid == now->uses[i].pid &&
                    e->tree.items[k].owner == PROCESS_FREE)
                    seen |= 1U << d;
    }
    return seen;
}
