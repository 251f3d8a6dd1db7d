#include "backend/worker.h"

static const struct worker_place nowhere = {WORKER_NOWHERE, 0};

void worker_init(struct worker_machine *w)
{
    *w = (struct worker_machine){.at = nowhere, .to = nowhere};
}

bool worker_same_place(struct worker_place a, struct worker_place b)
{
    return a.variant == b.variant && a.devices == b.devices;
}

static bool loaded(struct worker_place p)
{
    return p.variant != WORKER_NOWHERE;
}

static void act(struct worker_actions *out, enum worker_action action)
{
    must(out->count < WORKER_ACTIONS_MAX);
    out->items[out->count++] = action;
}

static void set_timer(struct worker_actions *out, uint64_t delay_ns)
{
    out->delay_ns = delay_ns;
    act(out, WORKER_DO_TIMER);
}

static void ask(struct worker_machine *w, enum worker_action what, struct worker_actions *out)
{
    w->asked = true;
    act(out, what);
}

static void end_op(struct worker_machine *w, enum worker_action how, struct worker_actions *out)
{
    w->op = WORKER_NO_OP;
    w->to = nowhere;
    w->undoing = w->hurried = w->watching = false;
    act(out, how);
}

static void leave(struct worker_machine *w)
{
    w->here = w->asked = w->resident = false;
    w->at = nowhere;
}

/* It does not keep to what it says, or does not answer: its connection goes, and what it holds with
 * it. What it uses all the same is seen as a stranger's. */
static void drop(struct worker_machine *w, struct worker_actions *out)
{
    bool loads = w->op == WORKER_LOADS;
    act(out, WORKER_DO_DROP);
    leave(w);
    end_op(w, loads ? WORKER_DO_FAILED : WORKER_DO_GONE, out);
}

static bool is_there(const struct worker_machine *w)
{
    return loaded(w->at) && (!loaded(w->to) || worker_same_place(w->at, w->to));
}

/* Ends come later, never from inside the order: those that need nobody's answer with the timer. */
static void begin_load(struct worker_machine *w, struct worker_actions *out)
{
    if (!w->here || is_there(w))
        set_timer(out, 0);
    else
        ask(w, loaded(w->at) ? WORKER_DO_ASK_MOVE : WORKER_DO_ASK_LOAD, out);
}

static void undo_load(struct worker_machine *w, struct worker_actions *out)
{
    w->undoing = w->hurried = true;
    ask(w, WORKER_DO_ASK_UNLOAD, out);
    set_timer(out, WORKER_UNDO_NS);
}

static void on_joined(struct worker_machine *w, struct worker_place at, struct worker_actions *out)
{
    must(!w->here && !w->resident);
    w->here = true;
    w->at = at;
    if (w->op == WORKER_LOADS) {
        begin_load(w, out);
    } else if (loaded(at)) {
        w->resident = true;
        act(out, WORKER_DO_ADOPT);
    }
}

static void on_left(struct worker_machine *w, struct worker_actions *out)
{
    bool was = w->resident;
    leave(w);
    if (w->op == WORKER_LOADS)
        end_op(w, WORKER_DO_FAILED, out);
    else if (was)
        end_op(w, WORKER_DO_GONE, out);
}

static void on_load_answered(struct worker_machine *w, bool ok, struct worker_actions *out)
{
    if (!loaded(w->at)) {
        end_op(w, WORKER_DO_FAILED, out);
    } else if (w->undoing) {
        drop(w, out);
    } else if (ok && is_there(w)) {
        w->resident = true;
        end_op(w, WORKER_DO_DONE, out);
    } else {
        undo_load(w, out);
    }
}

static void on_move_answered(struct worker_machine *w, struct worker_place from, bool ok,
                             struct worker_actions *out)
{
    if (!loaded(w->at)) {
        w->resident = false;
        end_op(w, WORKER_DO_GONE, out);
    } else if (!is_there(w) && !worker_same_place(w->at, from)) {
        drop(w, out); /* to where nobody has told it to go */
    } else if (!is_there(w)) {
        end_op(w, WORKER_DO_AT_SOURCE, out);
    } else if (!ok) {
        end_op(w, WORKER_DO_AT_TARGET, out);
        act(out, WORKER_DO_BROKEN);
    } else if (from.devices & ~w->to.devices) {
        w->watching = true;
        w->hurried = false;
        w->at = from; /* until it is seen */
        act(out, WORKER_DO_WATCH);
        set_timer(out, WORKER_WATCH_NS);
    } else {
        end_op(w, WORKER_DO_DONE, out);
    }
}

static void on_unload_answered(struct worker_machine *w, struct worker_actions *out)
{
    if (!loaded(w->at)) {
        w->resident = false;
        end_op(w, WORKER_DO_DONE, out);
    } else if (w->hurried) {
        drop(w, out);
    } /* else it has the rest of its time to think better of it */
}

static void on_answered(struct worker_machine *w, const struct worker_input *in,
                        struct worker_actions *out)
{
    struct worker_place from = w->at;
    if (!w->asked)
        return;
    w->asked = false;
    w->at = in->at;
    if (w->op == WORKER_LOADS)
        on_load_answered(w, in->ok, out);
    else if (w->op == WORKER_MOVES)
        on_move_answered(w, from, in->ok, out);
    else if (w->op == WORKER_UNLOADS)
        on_unload_answered(w, out);
}

static void on_seen(struct worker_machine *w, bool gone, struct worker_actions *out)
{
    if (!w->watching)
        return;
    if (gone)
        w->at = w->to;
    end_op(w, gone ? WORKER_DO_DONE : WORKER_DO_AT_SOURCE, out);
}

static void on_timer(struct worker_machine *w, struct worker_actions *out)
{
    if (w->watching) {
        on_seen(w, true, out);
    } else if (w->op == WORKER_LOADS && !w->here) {
        end_op(w, WORKER_DO_ABSENT, out);
    } else if (w->op == WORKER_LOADS && !w->asked && is_there(w)) {
        w->resident = true;
        end_op(w, WORKER_DO_DONE, out);
    } else if (w->hurried && w->asked) {
        drop(w, out);
    }
}

static void on_kill(struct worker_machine *w, struct worker_actions *out)
{
    bool open = w->op == WORKER_MOVES || w->op == WORKER_UNLOADS;
    if (!open || w->hurried || w->watching)
        return;
    w->hurried = true;
    ask(w, WORKER_DO_ASK_WHERE, out);
    set_timer(out, WORKER_WHERE_NS);
}

static void begin_op(struct worker_machine *w, enum worker_op op, struct worker_place to)
{
    must(w->op == WORKER_NO_OP);
    w->op = op;
    w->to = to;
}

struct worker_actions worker_step(struct worker_machine *w, struct worker_input in)
{
    struct worker_actions out = {0};
    switch (in.type) {
    case WORKER_JOINED:
        on_joined(w, in.at, &out);
        break;
    case WORKER_LEFT:
        on_left(w, &out);
        break;
    case WORKER_LOAD:
        begin_op(w, WORKER_LOADS, in.at);
        begin_load(w, &out);
        break;
    case WORKER_MOVE:
        begin_op(w, WORKER_MOVES, in.at);
        ask(w, WORKER_DO_ASK_MOVE, &out);
        break;
    case WORKER_UNLOAD:
        begin_op(w, WORKER_UNLOADS, nowhere);
        ask(w, WORKER_DO_ASK_UNLOAD, &out);
        break;
    case WORKER_ABORT:
        if (w->op == WORKER_LOADS && w->here && !w->undoing)
            undo_load(w, &out);
        break;
    case WORKER_KILL:
        on_kill(w, &out);
        break;
    case WORKER_ANSWERED:
        on_answered(w, &in, &out);
        break;
    case WORKER_SEEN_GONE:
    case WORKER_SEEN_KEPT:
        on_seen(w, in.type == WORKER_SEEN_GONE, &out);
        break;
    case WORKER_TIMER:
        on_timer(w, &out);
        break;
    }
    return out;
}
