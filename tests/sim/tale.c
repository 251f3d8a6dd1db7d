#include "tale.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TAGS_MAX 127

struct tale {
    const struct tape *tape;
    FILE *out;
    const struct core_config *config; /* the one that holds */
    uint64_t tags[TAGS_MAX + 1], commands[TAGS_MAX + 1];
    uint64_t total[CORE_DEVICES_MAX];
    bool later; /* something happens before the start is over */
    bool booted;
};

/* Words */

static void put_ns(const struct tale *t, const char *before, uint64_t ns)
{
    if (ns % NS_PER_S == 0)
        fprintf(t->out, "%s%" PRIu64 "s", before, ns / NS_PER_S);
    else if (ns % NS_PER_MS == 0)
        fprintf(t->out, "%s%" PRIu64 "ms", before, ns / NS_PER_MS);
    else
        fprintf(t->out, "%s%" PRIu64 "ns", before, ns);
}

static void put_bytes(const struct tale *t, const char *before, uint64_t bytes)
{
    if (bytes && bytes % GIB == 0)
        fprintf(t->out, "%s%" PRIu64 "GiB", before, bytes / GIB);
    else
        fprintf(t->out, "%s%" PRIu64, before, bytes);
}

static void put_mask(const struct tale *t, uint32_t mask)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (mask >> d & 1)
            fprintf(t->out, " device=d%u", d);
}

static unsigned number_of(uint64_t *tags, uint64_t tag)
{
    for (unsigned i = 1; i <= TAGS_MAX; i++) {
        if (tags[i] == 0)
            tags[i] = tag;
        if (tags[i] == tag)
            return i;
    }
    return TAGS_MAX; /* more than the language knows; the list is too long to be kept anyway */
}

static unsigned tag_number(struct tale *t, uint64_t tag)
{
    return number_of(t->tags, tag);
}

static const char *class_word(enum class c)
{
    static const char *const words[CLASS__COUNT] = {"fg", "normal", "bg"};
    return words[c];
}

/* Settings */

static void put_flag(const struct tale *t, bool on, const char *word)
{
    if (on)
        fprintf(t->out, " %s", word);
}

static void put_placements(const struct tale *t, const struct core_model_policy *m)
{
    for (uint32_t k = 0; k < m->placement_count; k++) {
        const struct core_placement *p = &m->placements[k];
        fputs(" or", t->out);
        put_mask(t, p->device_mask);
        if (p->device_count > 1)
            fprintf(t->out, " devices=%u", p->device_count);
        if (p->bytes)
            put_bytes(t, " bytes=", p->bytes);
        if (p->free_bytes_min)
            put_bytes(t, " free=", p->free_bytes_min);
    }
}

static void put_model(const struct tale *t, uint32_t i, const struct core_model_policy *m)
{
    fprintf(t->out, "model m%u slots=%u queue=%u process=%" PRIu64 " group=G%u", i, m->slots_max,
            m->queue_max, m->hash_process, m->group);
    if (m->priority)
        fprintf(t->out, " priority=%d", m->priority);
    if (m->ttl_ns)
        put_ns(t, " ttl=", m->ttl_ns);
    put_ns(t, " load=", m->load_ns_max);
    put_ns(t, " unload=", m->unload_ns_max);
    if (m->load_retries_max)
        fprintf(t->out, " retries=%u", m->load_retries_max);
    if (m->evict_cost)
        fprintf(t->out, " cost=%u", m->evict_cost);
    if (m->backend)
        fprintf(t->out, " backend=%u", m->backend);
    put_flag(t, m->pinned, "pinned");
    put_flag(t, m->movable, "movable");
    put_flag(t, m->yields, "yields");
    put_flag(t, m->suspends, "suspends");
    if (m->suspended_bytes)
        put_bytes(t, " residue=", m->suspended_bytes);
    put_placements(t, m);
    fputc('\n', t->out);
}

static void put_models(const struct tale *t, const struct core_config *c)
{
    const struct core_config *o = t->config;
    for (uint32_t i = 0; i < c->model_count || (o && i < o->model_count); i++) {
        const struct core_model_policy *m = i < c->model_count ? &c->models[i] : NULL;
        const struct core_model_policy *old = o && i < o->model_count ? &o->models[i] : NULL;
        bool is = m && m->present, was = old && old->present;
        if (is && was && memcmp(m, old, sizeof(*m)) == 0)
            continue;
        if (was)
            fprintf(t->out, "model m%u removed\n", i);
        if (is)
            put_model(t, i, m);
    }
}

static void put_groups(const struct tale *t, const struct core_config *c)
{
    for (uint32_t g = 0; g < c->group_count; g++) {
        bool used = false;
        for (uint32_t i = 0; i < c->model_count; i++)
            used |= c->models[i].present && c->models[i].group == g;
        if (!used)
            continue;
        fprintf(t->out, "group G%u", g);
        put_flag(t, c->groups[g].swap, "swap");
        put_flag(t, c->groups[g].exclusive, "exclusive");
        put_flag(t, c->groups[g].persistent, "persistent");
        fputc('\n', t->out);
    }
}

static void put_sets(const struct tale *t, const struct core_config *c)
{
    if (t->config && t->config->matrix.set_count)
        fputs("set none\n", t->out);
    for (uint32_t s = 0, at = 0; s < c->matrix.set_count; at = c->matrix.ends[s++]) {
        fputs("set", t->out);
        for (uint32_t i = at; i < c->matrix.ends[s]; i++)
            if (c->models[c->matrix.members[i]].present)
                fprintf(t->out, " m%u", c->matrix.members[i]);
        fputc('\n', t->out);
    }
}

static void put_machine(const struct tale *t, const struct core_config *c)
{
    for (uint32_t d = 0; d < c->device_count; d++) {
        const struct core_device_policy *p = &c->devices[d];
        fprintf(t->out, "device d%u", d);
        put_bytes(t, " ", t->total[d]);
        if (p->reserve_bytes)
            put_bytes(t, " reserve=", p->reserve_bytes);
        if (p->limit_permille != 1000)
            fprintf(t->out, " limit=%u", p->limit_permille);
        if (p->stale_ns)
            put_ns(t, " stale=", p->stale_ns);
        fputc('\n', t->out);
    }
    for (uint32_t g = 0; g < c->gate_count; g++) {
        const struct core_gate_policy *p = &c->gates[g];
        fprintf(t->out, "gate g%u limit=%u", g, p->limit);
        for (int class = 0; class < CLASS__COUNT; class ++)
            if (p->wait_ns_max[class]) {
                fprintf(t->out, " %s=", class_word((enum class) class));
                put_ns(t, "", p->wait_ns_max[class]);
            }
        fputc('\n', t->out);
    }
}

static void put_config(struct tale *t, const struct core_config *c)
{
    static const char *const scheds[] = {
        [SCHEDULER_FIFO] = "fifo", [SCHEDULER_SERIAL] = "serial", [SCHEDULER_FAIR] = "fair"};
    static const char *const plans[] = {
        [PLAN_GROUP] = "group", [PLAN_FIT] = "fit", [PLAN_MATRIX] = "matrix"};
    fprintf(t->out, "scheduler %s\nplanner %s%s\n", scheds[c->sched], plans[c->plan],
            c->victims == VICTIMS_LRU ? " lru" : "");
    if (c->sched == SCHEDULER_FAIR) {
        fputs("fair", t->out);
        for (int class = 0; class < CLASS__COUNT; class ++) {
            fprintf(t->out, " %s=", class_word((enum class) class));
            put_ns(t, "", c->fair.wait_ns_max[class]);
        }
        put_ns(t, " resident=", c->fair.min_resident_ns);
        put_ns(t, " serve=", c->fair.serve_ns_max);
        fputc('\n', t->out);
    }
    if (c->suspend_bytes_max) {
        put_bytes(t, "suspended ", c->suspend_bytes_max);
        fputc('\n', t->out);
    }
    put_machine(t, c);
    put_groups(t, c);
    put_models(t, c);
    if (c->plan == PLAN_MATRIX)
        put_sets(t, c);
    t->config = c;
}

/* Events */

static void put_request(struct tale *t, const struct note *n)
{
    const struct event *ev = &n->ev;
    fprintf(t->out, "request m%u #%u %s", ev->request.model, tag_number(t, ev->request.tag),
            class_word(ev->request.class));
    if (ev->request.wait_ns_max != UINT64_MAX)
        put_ns(t, " wait=", ev->request.wait_ns_max);
    if (ev->request.key)
        fprintf(t->out, " key=%u", ev->request.key);
    if (n->lease_tag)
        fprintf(t->out, " lease=#%u", tag_number(t, n->lease_tag));
    if (ev->request.since.ns)
        put_ns(t, " since=", ev->request.since.ns);
    put_flag(t, ev->request.running, "running");
}

static void put_lease(struct tale *t, const struct note *n)
{
    const struct core_lease_ask *a = &n->ask;
    bool restored = n->ev.type == EVENT_LEASE_RESTORED;
    fprintf(t->out, "%s %s", restored ? "restore" : "lease", class_word(a->class));
    for (uint32_t k = 0; k < a->gate_count; k++)
        fprintf(t->out, " g%u", a->gates[k]);
    fprintf(t->out, " #%u", tag_number(t, n->ev.lease.tag));
    if (a->bytes) {
        put_bytes(t, " bytes=", a->bytes);
        put_mask(t, restored ? n->ev.lease.devices : a->device_mask);
        if (a->device_count > 1)
            fprintf(t->out, " devices=%u", a->device_count);
    }
    if (a->wait_ns_max != UINT64_MAX)
        put_ns(t, " wait=", a->wait_ns_max);
    if (a->ttl_ns)
        put_ns(t, " ttl=", a->ttl_ns);
    if (a->run_ns_max)
        put_ns(t, " run=", a->run_ns_max);
    put_flag(t, a->revocable, "revocable");
    put_ns(t, " grace=", restored ? n->ev.lease.grace_ns : a->grace_ns);
}

static const char *outcome_word(enum outcome o)
{
    static const char *const words[] = {[OUTCOME_DONE] = "done",
                                        [OUTCOME_AT_SOURCE] = "at-source",
                                        [OUTCOME_AT_TARGET] = "at-target",
                                        [OUTCOME_GONE] = "gone"};
    return words[o];
}

static const char *failure_word(enum reason r)
{
    return r == REASON_OUT_OF_MEMORY ? "oom"
           : r == REASON_EXITED      ? "exited"
           : r == REASON_ABORTED     ? "aborted"
                                     : "error";
}

static void put_model_event(const struct tale *t, const struct note *n)
{
    static const char *const words[EVENT__COUNT] = {
        [EVENT_MODEL_ADOPTED] = "adopted",    [EVENT_MODEL_LOADED] = "loaded",
        [EVENT_MODEL_LOAD_FAILED] = "failed", [EVENT_MODEL_UNLOADED] = "unloaded",
        [EVENT_MODEL_MOVED] = "moved",        [EVENT_MODEL_SUSPENDED] = "suspended",
        [EVENT_MODEL_RESUMED] = "resumed",    [EVENT_MODEL_EXITED] = "exited",
        [EVENT_UPSTREAM_BROKEN] = "broken",
    };
    const struct event *ev = &n->ev;
    fprintf(t->out, "%s m%u", words[ev->type], ev->model.model);
    if (n->wrong_op)
        fputs(" op=99999", t->out);
    if (ev->type == EVENT_MODEL_LOAD_FAILED)
        fprintf(t->out, " %s", failure_word(ev->model.why));
    put_flag(t, ev->type == EVENT_MODEL_UNLOADED && ev->model.stuck, "stuck");
    if (ev->type >= EVENT_MODEL_MOVED && ev->type <= EVENT_MODEL_RESUMED)
        fprintf(t->out, " %s", outcome_word(ev->model.outcome));
    if (ev->type == EVENT_MODEL_SUSPENDED && ev->model.residue_bytes)
        put_bytes(t, " residue=", ev->model.residue_bytes);
    if (ev->type == EVENT_MODEL_ADOPTED) {
        put_flag(t, ev->model.adopted == ADOPTED_LOADING, "loading");
        put_flag(t, ev->model.adopted == ADOPTED_SUSPENDED, "asleep");
        put_mask(t, ev->model.devices);
        fprintf(t->out, " as=%u", ev->model.placement);
    }
}

static void put_sample(struct tale *t, const struct tape_item *item)
{
    const struct event *ev = &item->note.ev;
    fprintf(t->out, "sample d%u", ev->sample.device);
    put_bytes(t, " used=", ev->sample.used_bytes);
    if (ev->sample.taken.ns != ev->now.ns)
        put_ns(t, " taken=", ev->sample.taken.ns);
    for (uint32_t i = 0; i < ev->sample.use_count; i++) {
        const struct sample_use *u = &ev->sample.uses[i];
        if (item->use_tags[i])
            fprintf(t->out, " #%u=%" PRIu64, tag_number(t, item->use_tags[i]), u->bytes);
        else if (u->model >= t->config->model_count || !t->config->models[u->model].present)
            continue;
        else if (u->bytes == SAMPLE_UNMEASURED)
            fprintf(t->out, " m%u=?", u->model);
        else
            fprintf(t->out, " m%u=%" PRIu64, u->model, u->bytes);
    }
    put_flag(t, ev->sample.uses_unknown, "blind");
    put_flag(t, ev->sample.used_unknown, "unknown");
}

static void put_command(struct tale *t, const struct event *ev)
{
    static const char *const words[] = {
        [COMMAND_LOAD] = "load",
        [COMMAND_UNLOAD] = "unload",
        [COMMAND_UNLOAD_NOW] = "unload-now",
        [COMMAND_MOVE] = "move",
        [COMMAND_SUSPEND] = "suspend",
        [COMMAND_PIN] = "pin",
        [COMMAND_UNPIN] = "unpin",
        [COMMAND_KEEP] = "keep",
    };
    if (ev->type == EVENT_COMMAND_CANCELLED) {
        fprintf(t->out, "cancel !%u", number_of(t->commands, ev->command.tag));
        return;
    }
    fprintf(t->out, "command %s m%u !%u", words[ev->command.what], ev->command.model,
            number_of(t->commands, ev->command.tag));
    if (ev->command.what == COMMAND_MOVE)
        fprintf(t->out, " to=%u", ev->command.placement);
    if (ev->command.what == COMMAND_KEEP && ev->command.ttl_ns == UINT64_MAX)
        fputs(" ttl=never", t->out);
    else if (ev->command.what == COMMAND_KEEP)
        put_ns(t, " ttl=", ev->command.ttl_ns);
}

static void put_mode(const struct tale *t, const struct event *ev)
{
    fputs("mode", t->out);
    for (uint32_t i = 0; i < ev->mode.count; i++) {
        const struct core_wish *w = &ev->mode.wishes[i];
        bool there = w->model < t->config->model_count && t->config->models[w->model].present;
        if (w->what == WISH_NONE || !there)
            continue;
        if (w->what == WISH_LOADED && w->placement != CORE_SLOT_NONE)
            fprintf(t->out, " m%u=%u", w->model, w->placement);
        else
            fprintf(t->out, " m%u=%s", w->model, w->what == WISH_LOADED ? "loaded" : "unloaded");
    }
}

static void put_learned(const struct tale *t, const struct event *ev)
{
    fprintf(t->out, "%s m%u %u", ev->type == EVENT_LEARNED ? "learned" : "footprint",
            ev->learned.model, ev->learned.placement);
    put_bytes(t, " bytes=", ev->learned.bytes);
    if (ev->type == EVENT_LEARNED)
        put_ns(t, " load=", ev->learned.load_ns);
}

static void put_party(struct tale *t, const struct note *n)
{
    const struct event *ev = &n->ev;
    const char *word = "end";
    if (ev->type == EVENT_LEASE_RENEWED)
        word = "renew";
    else if (ev->type == EVENT_REQUEST_BOUNCED)
        word = "bounce";
    else if (ev->type == EVENT_REQUEST_QUIET)
        word = ev->quiet.quiet ? "quiet" : "loud";
    else if (ev->type == EVENT_REQUEST_ENDED && ev->ended.how != ENDED_DONE)
        word = ev->ended.how == ENDED_GONE ? "gone" : "cut";
    fprintf(t->out, "%s #%u", word, tag_number(t, n->tag));
}

static void put_other(struct tale *t, const struct event *ev)
{
    if (ev->type == EVENT_CONFIG) {
        fputs("reload", t->out);
    } else if (ev->type == EVENT_BOOT_DONE) {
        fputs("boot", t->out);
    } else if (ev->type == EVENT_TICK) {
        fputs("tick", t->out);
        if (ev->tick.gap_ns)
            put_ns(t, " gap=", ev->tick.gap_ns);
    } else if (ev->type == EVENT_DEVICE_FOUND) {
        fprintf(t->out, "found d%u", ev->found.device);
        put_bytes(t, " ", ev->found.total_bytes);
    } else if (ev->type == EVENT_DEVICE_LOST) {
        fprintf(t->out, "lost d%u", ev->found.device);
    } else if (ev->type == EVENT_DRAIN) {
        put_ns(t, "drain ", ev->drain.grace_ns);
        put_flag(t, ev->drain.keep, "keep");
    } else {
        fprintf(t->out, "backend %s %u", ev->type == EVENT_BACKEND_UP ? "up" : "down",
                ev->backend.backend);
    }
}

static void put_event(struct tale *t, const struct tape_item *item)
{
    const struct event *ev = &item->note.ev;
    if (ev->type == EVENT_CONFIG)
        put_config(t, ev->config);
    put_ns(t, "", ev->now.ns - (ev->type == EVENT_TICK ? ev->tick.gap_ns : 0));
    fputc(' ', t->out);
    if (ev->type == EVENT_REQUEST_ARRIVED)
        put_request(t, &item->note);
    else if (ev->type == EVENT_LEASE_ASKED || ev->type == EVENT_LEASE_RESTORED)
        put_lease(t, &item->note);
    else if (note_about_model(ev->type))
        put_model_event(t, &item->note);
    else if (ev->type == EVENT_DEVICE_SAMPLE)
        put_sample(t, item);
    else if (ev->type == EVENT_COMMAND || ev->type == EVENT_COMMAND_CANCELLED)
        put_command(t, ev);
    else if (ev->type == EVENT_MODE)
        put_mode(t, ev);
    else if (ev->type == EVENT_LEARNED || ev->type == EVENT_FOOTPRINT)
        put_learned(t, ev);
    else if (item->note.tag)
        put_party(t, &item->note);
    else
        put_other(t, ev);
    fputc('\n', t->out);
}

/* What the language does by itself at the beginning: the first settings, the devices, the start. */
static bool is_start(const struct tale *t, size_t i)
{
    enum event_type type = t->tape->items[i].note.ev.type;
    if (i == 0)
        return true;
    if (type == EVENT_BOOT_DONE)
        return !t->later;
    return type == EVENT_DEVICE_FOUND && !t->booted;
}

void tale_print(const struct tape *tape, FILE *out)
{
    struct tale t = {.tape = tape, .out = out};
    bool booted = false;
    for (size_t i = 0; i < tape->count; i++) {
        const struct event *ev = &tape->items[i].note.ev;
        if (ev->type == EVENT_DEVICE_FOUND && !t.total[ev->found.device])
            t.total[ev->found.device] = ev->found.total_bytes;
        t.later |= !booted && i && ev->type != EVENT_DEVICE_FOUND && ev->type != EVENT_BOOT_DONE;
        booted |= ev->type == EVENT_BOOT_DONE;
    }
    t.later |= !booted;
    if (tape->limits.waiters_max != 64)
        fprintf(out, "waiters %u\n", tape->limits.waiters_max);
    if (t.later)
        fputs("boot later\n", out);
    if (tape->count)
        put_config(&t, tape->items[0].note.ev.config);
    for (size_t i = 0; i < tape->count; i++) {
        if (!is_start(&t, i))
            put_event(&t, &tape->items[i]);
        t.booted |= tape->items[i].note.ev.type == EVENT_BOOT_DONE;
    }
}
