#include "backend/process.h"

#define PROBE_NS_MIN (2 * NS_PER_MS)
#define PROBE_NS_MAX (250 * NS_PER_MS)
/* Readiness is noticed at most 1/64 of the load time late. */
#define PROBE_SHARE 64

void process_init(struct process *p, bool probes)
{
    *p = (struct process){.phase = PROCESS_STARTING, .probes = probes};
}

void process_adopt(struct process *p, bool probes, enum process_phase phase)
{
    must(phase == PROCESS_STARTING || phase == PROCESS_READY || phase == PROCESS_ASLEEP);
    process_init(p, probes);
    p->phase = phase;
}

uint64_t process_probe_interval_ns(uint64_t elapsed_ns)
{
    uint64_t ns = elapsed_ns / PROBE_SHARE;
    return ns < PROBE_NS_MIN ? PROBE_NS_MIN : ns > PROBE_NS_MAX ? PROBE_NS_MAX : ns;
}

static void act(struct process_actions *out, enum process_action action)
{
    must(out->count < PROCESS_ACTIONS_MAX);
    out->items[out->count++] = action;
}

static void set_timer(struct process_actions *out, uint64_t delay_ns)
{
    out->delay_ns = delay_ns;
    act(out, PROCESS_DO_TIMER);
}

static void become_ready(struct process *p, struct process_actions *out)
{
    p->phase = PROCESS_READY;
    p->loading = false;
    act(out, PROCESS_DO_LOADED);
}

static void kill_tree(struct process *p, struct process_actions *out)
{
    p->phase = PROCESS_KILLED;
    act(out, PROCESS_DO_KILL);
    set_timer(out, PROCESS_KILL_GRACE_NS);
}

static void on_spawned(struct process *p, struct process_actions *out, uint64_t now_ns)
{
    p->started_ns = now_ns;
    if (p->phase == PROCESS_STARTING && !p->probes)
        become_ready(p, out);
    else if (p->phase == PROCESS_STARTING)
        set_timer(out, PROBE_NS_MIN);
}

static void on_unload(struct process *p, struct process_actions *out)
{
    p->unloading = true;
    if (p->phase != PROCESS_READY && p->phase != PROCESS_ASLEEP)
        return; /* already on its way out */
    p->phase = PROCESS_STOPPING;
    if (!p->exited)
        act(out, PROCESS_DO_TERM);
}

static void on_timer(struct process *p, struct process_actions *out)
{
    if (p->phase == PROCESS_STARTING && p->loading) {
        act(out, PROCESS_DO_PROBE);
    } else if (p->phase == PROCESS_KILLED && p->loading) {
        p->phase = PROCESS_LOST;
        p->loading = false;
        p->disowned = true;
        act(out, PROCESS_DO_LOAD_FAILED);
    } else if (p->phase == PROCESS_KILLED && p->unloading) {
        p->phase = PROCESS_LOST;
        p->unloading = false;
        act(out, PROCESS_DO_STUCK);
    } else if (p->phase == PROCESS_KILLED) {
        p->phase = PROCESS_LOST;
        p->disowned = true;
        act(out, PROCESS_DO_EXITED);
    }
}

static void on_exited(struct process *p, struct process_actions *out)
{
    p->exited = true;
    if (p->phase == PROCESS_READY)
        act(out, PROCESS_DO_BROKEN);
}

static void on_gone(struct process *p, struct process_actions *out)
{
    p->phase = PROCESS_OVER;
    if (p->loading)
        act(out, PROCESS_DO_LOAD_FAILED);
    else if (p->unloading)
        act(out, PROCESS_DO_UNLOADED);
    else if (!p->disowned)
        act(out, PROCESS_DO_EXITED);
    p->loading = p->unloading = false;
}

struct process_actions process_step(struct process *p, enum process_event ev, uint64_t now_ns)
{
    struct process_actions out = {0};
    switch (ev) {
    case PROCESS_LOAD:
        p->loading = true;
        act(&out, PROCESS_DO_SPAWN);
        break;
    case PROCESS_TAKE_OVER:
        p->loading = true;
        if (!p->exited)
            on_spawned(p, &out, now_ns);
        break;
    case PROCESS_ABORT:
    case PROCESS_KILL:
        if (p->phase < PROCESS_KILLED)
            kill_tree(p, &out);
        break;
    case PROCESS_UNLOAD:
        on_unload(p, &out);
        break;
    case PROCESS_SLEEP:
        if (p->phase == PROCESS_READY && !p->exited)
            p->phase = PROCESS_ASLEEP;
        break;
    case PROCESS_WAKE:
        if (p->phase == PROCESS_ASLEEP && !p->exited)
            p->phase = PROCESS_READY;
        break;
    case PROCESS_SPAWNED:
        on_spawned(p, &out, now_ns);
        break;
    case PROCESS_SPAWN_FAILED:
        break;
    case PROCESS_PROBE_OK:
        if (p->phase == PROCESS_STARTING && !p->exited)
            become_ready(p, &out);
        break;
    case PROCESS_PROBE_FAILED:
        if (p->phase == PROCESS_STARTING && !p->exited)
            set_timer(&out, process_probe_interval_ns(now_ns - p->started_ns));
        break;
    case PROCESS_TIMER:
        on_timer(p, &out);
        break;
    case PROCESS_EXITED:
        on_exited(p, &out);
        break;
    case PROCESS_GONE:
        on_gone(p, &out);
        break;
    }
    return out;
}
