#include "backend/ollama.h"

/* Ollama looks at its GPUs as often after an unload. */
#define PERIOD_BUSY_NS (250 * NS_PER_MS)
#define PERIOD_HOLDS_NS (1 * NS_PER_S)
#define PERIOD_IDLE_NS (5 * NS_PER_S)

struct step {
    struct ollama_model *m;
    uint64_t at_ns;
    struct ollama_actions todo;
};

static void add(struct step *s, enum ollama_action a)
{
    must(s->todo.count < OLLAMA_ACTIONS_MAX);
    s->todo.items[s->todo.count++] = a;
}

static void go(struct step *s, enum ollama_phase phase)
{
    s->m->phase = phase;
    s->m->since_ns = s->at_ns;
    s->m->missing_ns = 0;
}

static void call(struct step *s, enum ollama_action a)
{
    s->m->calling = true;
    s->m->acted_ns = s->at_ns;
    add(s, a);
}

static void cancel(struct step *s)
{
    if (s->m->calling)
        add(s, OLLAMA_DO_CANCEL);
    s->m->calling = false;
}

static void end(struct step *s, enum ollama_action a)
{
    cancel(s);
    add(s, a);
    go(s, OLLAMA_OVER);
}

static void tell_to_go(struct step *s)
{
    cancel(s);
    s->m->told = true;
    call(s, OLLAMA_DO_UNLOAD);
}

/* It is there still: it may have been used meanwhile, or never heard of it. */
static void tell_again(struct step *s)
{
    if (!s->m->calling && (!s->m->told || s->at_ns - s->m->acted_ns >= OLLAMA_AGAIN_NS))
        tell_to_go(s);
}

/* ---- what happens in each phase ---- */

static void load(struct step *s)
{
    go(s, OLLAMA_LOADING);
    call(s, OLLAMA_DO_LOAD);
}

static void find(struct step *s)
{
    go(s, OLLAMA_HELD);
}

static void load_answered(struct step *s)
{
    s->m->calling = false;
    s->m->acted_ns = s->at_ns;
    go(s, OLLAMA_CHECKING);
}

/* Where it was, or half is, the next list knows. */
static void load_failed(struct step *s)
{
    s->m->calling = false;
    s->m->acted_ns = s->at_ns;
    go(s, OLLAMA_FAILING);
}

static void load_unfit(struct step *s)
{
    if (s->m->embeds) {
        load_failed(s);
        return;
    }
    s->m->embeds = true;
    call(s, OLLAMA_DO_EMBED);
}

static void give_up(struct step *s)
{
    tell_to_go(s);
    go(s, OLLAMA_FAILING);
}

static void loaded(struct step *s)
{
    go(s, OLLAMA_HELD);
    add(s, OLLAMA_DO_LOADED);
}

static void not_loaded_yet(struct step *s)
{
    if (s->at_ns - s->m->since_ns >= OLLAMA_CHECK_NS)
        end(s, OLLAMA_DO_LOAD_FAILED);
}

static void failed(struct step *s)
{
    end(s, OLLAMA_DO_LOAD_FAILED);
}

static void still_failing(struct step *s)
{
    if (s->at_ns - s->m->since_ns >= OLLAMA_FAILING_NS)
        end(s, OLLAMA_DO_LOAD_FAILED);
    else
        tell_again(s);
}

static void answered(struct step *s)
{
    s->m->calling = false;
}

static void here(struct step *s)
{
    s->m->missing_ns = 0;
}

static void here_briefly(struct step *s)
{
    here(s);
    if (s->m->calling || (s->m->told && s->at_ns - s->m->acted_ns < OLLAMA_AGAIN_NS))
        return;
    s->m->told = true;
    call(s, OLLAMA_DO_KEEP);
}

static void missing(struct step *s)
{
    if (!s->m->missing_ns)
        s->m->missing_ns = s->at_ns;
    else if (s->at_ns - s->m->missing_ns >= OLLAMA_MISSING_NS)
        end(s, OLLAMA_DO_EXITED);
}

static void unload(struct step *s)
{
    tell_to_go(s);
    go(s, OLLAMA_UNLOADING);
}

static void unloaded(struct step *s)
{
    end(s, OLLAMA_DO_UNLOADED);
}

/* No more than to look once more. */
static void reconcile(struct step *s)
{
    go(s, OLLAMA_KILLED);
    s->m->acted_ns = s->at_ns;
}

static void stuck(struct step *s)
{
    go(s, OLLAMA_STUCK);
    add(s, OLLAMA_DO_STUCK);
    tell_again(s);
}

static void gone(struct step *s)
{
    end(s, OLLAMA_DO_EXITED);
}

static void lost(struct step *s)
{
    end(s, OLLAMA_DO_UNKNOWN);
}

/* What it was, it may be still: nothing was asked of it. */
static void lost_idle(struct step *s)
{
    cancel(s);
    s->m->missing_ns = 0;
}

/* Whatever is not listed says nothing there, and comes too late. */
static void (*const table[OLLAMA_PHASE__COUNT][OLLAMA_EVENT__COUNT])(struct step *) = {
    [OLLAMA_BEGUN] = {[OLLAMA_LOAD] = load, [OLLAMA_FOUND] = find},
    [OLLAMA_LOADING] = {[OLLAMA_CALL_OK] = load_answered,
                        [OLLAMA_CALL_UNFIT] = load_unfit,
                        [OLLAMA_CALL_FAILED] = load_failed,
                        [OLLAMA_ABORT] = give_up,
                        [OLLAMA_LOST] = lost},
    [OLLAMA_CHECKING] = {[OLLAMA_SEEN] = loaded,
                         [OLLAMA_SEEN_BRIEF] = loaded,
                         [OLLAMA_UNSEEN] = not_loaded_yet,
                         [OLLAMA_ABORT] = give_up,
                         [OLLAMA_LOST] = lost},
    [OLLAMA_FAILING] = {[OLLAMA_CALL_OK] = answered,
                        [OLLAMA_CALL_UNFIT] = answered,
                        [OLLAMA_CALL_FAILED] = answered,
                        [OLLAMA_SEEN] = still_failing,
                        [OLLAMA_SEEN_BRIEF] = still_failing,
                        [OLLAMA_UNSEEN] = failed,
                        [OLLAMA_LOST] = lost},
    [OLLAMA_HELD] = {[OLLAMA_CALL_OK] = answered,
                     [OLLAMA_CALL_UNFIT] = answered,
                     [OLLAMA_CALL_FAILED] = answered,
                     [OLLAMA_SEEN] = here,
                     [OLLAMA_SEEN_BRIEF] = here_briefly,
                     [OLLAMA_UNSEEN] = missing,
                     [OLLAMA_UNLOAD] = unload,
                     [OLLAMA_LOST] = lost_idle},
    [OLLAMA_UNLOADING] = {[OLLAMA_CALL_OK] = answered,
                          [OLLAMA_CALL_UNFIT] = answered,
                          [OLLAMA_CALL_FAILED] = answered,
                          [OLLAMA_SEEN] = tell_again,
                          [OLLAMA_SEEN_BRIEF] = tell_again,
                          [OLLAMA_UNSEEN] = unloaded,
                          [OLLAMA_KILL] = reconcile,
                          [OLLAMA_LOST] = lost},
    [OLLAMA_KILLED] = {[OLLAMA_CALL_OK] = answered,
                       [OLLAMA_CALL_UNFIT] = answered,
                       [OLLAMA_CALL_FAILED] = answered,
                       [OLLAMA_SEEN] = stuck,
                       [OLLAMA_SEEN_BRIEF] = stuck,
                       [OLLAMA_UNSEEN] = unloaded,
                       [OLLAMA_LOST] = lost},
    [OLLAMA_STUCK] = {[OLLAMA_CALL_OK] = answered,
                      [OLLAMA_CALL_UNFIT] = answered,
                      [OLLAMA_CALL_FAILED] = answered,
                      [OLLAMA_SEEN] = tell_again,
                      [OLLAMA_SEEN_BRIEF] = tell_again,
                      [OLLAMA_UNSEEN] = gone,
                      [OLLAMA_LOST] = lost_idle},
};

/* A list that was asked for before the last call, or before its answer, says what was then. */
static bool is_old(const struct ollama_model *m, enum ollama_event ev, uint64_t at_ns)
{
    bool list = ev == OLLAMA_SEEN || ev == OLLAMA_SEEN_BRIEF || ev == OLLAMA_UNSEEN;
    return list && at_ns < m->acted_ns;
}

struct ollama_actions ollama_step(struct ollama_model *m, enum ollama_event ev, uint64_t at_ns)
{
    struct step s = {.m = m, .at_ns = at_ns};
    if (table[m->phase][ev] && !is_old(m, ev, at_ns))
        table[m->phase][ev](&s);
    return s.todo;
}

bool ollama_is_busy(const struct ollama_model *m)
{
    bool settled = m->phase == OLLAMA_HELD || m->phase == OLLAMA_OVER;
    return !settled || m->missing_ns != 0;
}

/* ---- the server ---- */

static const struct {
    enum ollama_state next;
    enum ollama_change change;
} answers[OLLAMA_STATE__COUNT][OLLAMA_ANSWER__COUNT] = {
    [OLLAMA_NEW] = {[OLLAMA_LISTED] = {OLLAMA_UP, OLLAMA_SAME},
                    [OLLAMA_REFUSED] = {OLLAMA_DOWN, OLLAMA_WENT_DOWN},
                    [OLLAMA_SLOW] = {OLLAMA_DOWN, OLLAMA_WENT_DOWN}},
    [OLLAMA_UP] = {[OLLAMA_LISTED] = {OLLAMA_UP, OLLAMA_SAME},
                   [OLLAMA_REFUSED] = {OLLAMA_DOWN, OLLAMA_WENT_DOWN},
                   [OLLAMA_SLOW] = {OLLAMA_LATE, OLLAMA_SAME}},
    [OLLAMA_LATE] = {[OLLAMA_LISTED] = {OLLAMA_UP, OLLAMA_SAME},
                     [OLLAMA_REFUSED] = {OLLAMA_DOWN, OLLAMA_WENT_DOWN},
                     [OLLAMA_SLOW] = {OLLAMA_DOWN, OLLAMA_WENT_DOWN}},
    [OLLAMA_DOWN] = {[OLLAMA_LISTED] = {OLLAMA_UP, OLLAMA_CAME_UP},
                     [OLLAMA_REFUSED] = {OLLAMA_DOWN, OLLAMA_SAME},
                     [OLLAMA_SLOW] = {OLLAMA_DOWN, OLLAMA_SAME}},
};

enum ollama_change ollama_answered(enum ollama_state *state, enum ollama_answer answer)
{
    enum ollama_change change = answers[*state][answer].change;
    *state = answers[*state][answer].next;
    return change;
}

uint64_t ollama_period_ns(enum ollama_state state, bool busy, bool holds)
{
    if (state == OLLAMA_DOWN)
        return 0;
    return busy || state != OLLAMA_UP ? PERIOD_BUSY_NS : holds ? PERIOD_HOLDS_NS : PERIOD_IDLE_NS;
}
