#include "backend/sleep.h"

/* Between two questions, and between two looks at its health. */
#define ASK_NS (100 * NS_PER_MS)
#define BUSY_NS (250 * NS_PER_MS)
/* Between two looks at its memory, where the next reading is not there yet. */
#define LOOK_NS (20 * NS_PER_MS)
/* Memory comes free some time after an engine says so; what has not by then stays. */
#define FREE_NS_MAX (5 * NS_PER_S)
/* What it had is worth that much of a wait, and no more. */
#define BEFORE_NS_MAX (1 * NS_PER_S)
/* An engine that answers when it is done has no more to come. */
#define PROMPT_NS_MAX (2 * NS_PER_S)
#define LOST_MAX 3
/* Two samples that differ by less are the same. */
#define STABLE_SHARE 64

void sleep_init(struct sleep *m, const struct sleep_plan *plan)
{
    *m = (struct sleep){.plan = *plan};
}

static struct sleep_action act(enum sleep_do what)
{
    return (struct sleep_action){.what = what};
}

static struct sleep_action wait(uint64_t ns)
{
    return (struct sleep_action){.what = SLEEP_DO_WAIT, .delay_ns = ns};
}

static struct sleep_action enter(struct sleep *m, enum sleep_phase phase, uint64_t now_ns)
{
    static const enum sleep_do does[] = {
        [SLEEP_PHASE_BEFORE] = SLEEP_DO_SAMPLE,  [SLEEP_PHASE_IDLE] = SLEEP_DO_ASK_IDLE,
        [SLEEP_PHASE_CALLS] = SLEEP_DO_CALL,     [SLEEP_PHASE_ASK] = SLEEP_DO_ASK,
        [SLEEP_PHASE_MEASURE] = SLEEP_DO_SAMPLE, [SLEEP_PHASE_HEALTH] = SLEEP_DO_HEALTH,
    };
    m->phase = phase;
    m->phase_ns = now_ns;
    m->lost = 0;
    return act(does[phase]);
}

static struct sleep_action refuse(struct sleep *m, enum sleep_trouble why)
{
    if (m->trouble == SLEEP_FINE)
        m->trouble = why;
    return act(SLEEP_DO_REFUSED);
}

static struct sleep_action give_up(struct sleep *m, enum sleep_trouble why)
{
    if (m->trouble == SLEEP_FINE)
        m->trouble = why;
    return act(SLEEP_DO_KILL);
}

/* So much of its time is for waiting; the rest is left for what follows. */
static bool patience_is_over(const struct sleep *m, uint64_t now_ns)
{
    return now_ns - m->began_ns >= m->plan.limit_ns / 4 * 3;
}

static struct sleep_action look_at_health(struct sleep *m, uint64_t now_ns)
{
    return m->plan.has_health ? enter(m, SLEEP_PHASE_HEALTH, now_ns) : act(SLEEP_DO_DONE);
}

/* All has been called, or one call did not succeed. */
static struct sleep_action find_out(struct sleep *m, uint64_t now_ns)
{
    if (m->plan.asks)
        return enter(m, SLEEP_PHASE_ASK, now_ns);
    if (m->harmless)
        return refuse(m, SLEEP_TROUBLE_REFUSED);
    if (!m->plan.wakes)
        return enter(m, SLEEP_PHASE_MEASURE, now_ns);
    return m->failed ? give_up(m, SLEEP_TROUBLE_REFUSED) : look_at_health(m, now_ns);
}

static struct sleep_action begin_calls(struct sleep *m, uint64_t now_ns)
{
    return m->plan.call_count ? enter(m, SLEEP_PHASE_CALLS, now_ns) : find_out(m, now_ns);
}

static struct sleep_action on_begin(struct sleep *m, uint64_t now_ns)
{
    m->began_ns = now_ns;
    return m->plan.wakes ? begin_calls(m, now_ns) : enter(m, SLEEP_PHASE_BEFORE, now_ns);
}

static struct sleep_action on_before(struct sleep *m, const struct sleep_event *ev, uint64_t now_ns)
{
    if (ev->measure == SLEEP_LATER && now_ns - m->began_ns < BEFORE_NS_MAX)
        return wait(LOOK_NS);
    m->before_bytes = ev->measure == SLEEP_SEEN ? ev->bytes : 0;
    return m->plan.asks_idle ? enter(m, SLEEP_PHASE_IDLE, now_ns) : begin_calls(m, now_ns);
}

static struct sleep_action on_call(struct sleep *m, const struct sleep_event *ev, uint64_t now_ns)
{
    if (ev->type == SLEEP_LOST) {
        m->failed = true;
        m->trouble = SLEEP_TROUBLE_CUT;
        return find_out(m, now_ns);
    }
    if (ev->status < 200 || ev->status > 299) {
        bool absent = ev->status == 404 || ev->status == 405 || ev->status == 501;
        m->failed = true;
        m->harmless = m->step == 0 && (absent || (ev->status >= 400 && ev->status < 500));
        m->status = ev->status;
        m->trouble = absent ? SLEEP_TROUBLE_ABSENT : SLEEP_TROUBLE_REFUSED;
        return find_out(m, now_ns);
    }
    if (++m->step < m->plan.call_count)
        return act(SLEEP_DO_CALL);
    return find_out(m, now_ns);
}

static struct sleep_action on_idle(struct sleep *m, const struct sleep_event *ev, uint64_t now_ns)
{
    bool lost = ev->type == SLEEP_LOST;
    m->lost = lost ? m->lost + 1 : 0;
    if (m->lost >= LOST_MAX)
        return give_up(m, SLEEP_TROUBLE_CUT);
    /* One that cannot be asked is told: its calls will say what is wrong. */
    if (!lost && ev->says != SLEEP_NO)
        return begin_calls(m, now_ns);
    if (now_ns - m->began_ns >= m->plan.limit_ns / 2)
        return refuse(m, SLEEP_TROUBLE_BUSY);
    return wait(BUSY_NS);
}

/* It is where it was, although it did not turn the calls away. */
static struct sleep_action on_unmoved(struct sleep *m, uint64_t now_ns)
{
    bool over = patience_is_over(m, now_ns) ||
                (m->plan.wakes && m->plan.prompt && now_ns - m->phase_ns >= PROMPT_NS_MAX);
    return over || m->failed ? refuse(m, SLEEP_TROUBLE_UNMOVED) : wait(ASK_NS);
}

static struct sleep_action on_asked(struct sleep *m, const struct sleep_event *ev, uint64_t now_ns)
{
    if (ev->type == SLEEP_LOST) {
        bool often = ++m->lost >= LOST_MAX;
        return m->failed || often ? give_up(m, SLEEP_TROUBLE_CUT) : wait(ASK_NS);
    }
    m->lost = 0;
    if (ev->says == SLEEP_UNKNOWN && m->harmless)
        return refuse(m, SLEEP_TROUBLE_REFUSED);
    if (m->plan.wakes) {
        if (ev->says == SLEEP_YES)
            return on_unmoved(m, now_ns);
        /* Half awake is not awake. */
        return m->failed ? give_up(m, SLEEP_TROUBLE_REFUSED) : look_at_health(m, now_ns);
    }
    if (ev->says == SLEEP_NO)
        return on_unmoved(m, now_ns);
    m->said = ev->says == SLEEP_YES;
    return enter(m, SLEEP_PHASE_MEASURE, now_ns);
}

bool sleep_freed_little(const struct sleep *m)
{
    return m->sampled && m->before_bytes && m->last_bytes > m->before_bytes / 2;
}

/* Its memory has come free, or will not. */
static struct sleep_action measured(struct sleep *m)
{
    if (!m->failed || m->said)
        return act(SLEEP_DO_DONE);
    /* The call failed, and it does not say how it is: then its memory does, if anything. */
    if (!m->sampled || !m->before_bytes)
        return give_up(m, SLEEP_TROUBLE_REFUSED);
    return sleep_freed_little(m) ? refuse(m, SLEEP_TROUBLE_REFUSED) : act(SLEEP_DO_DONE);
}

static struct sleep_action on_sample(struct sleep *m, const struct sleep_event *ev, uint64_t now_ns)
{
    bool over = now_ns - m->phase_ns >= FREE_NS_MAX || patience_is_over(m, now_ns);
    if (ev->measure == SLEEP_BLIND)
        return measured(m);
    if (ev->measure == SLEEP_LATER)
        return over ? measured(m) : wait(LOOK_NS);
    uint64_t apart =
        ev->bytes > m->last_bytes ? ev->bytes - m->last_bytes : m->last_bytes - ev->bytes;
    bool stable = m->sampled && apart <= m->before_bytes / STABLE_SHARE;
    m->sampled = true;
    m->last_bytes = ev->bytes;
    m->residue_bytes = ev->most_bytes;
    if (over || (stable && !sleep_freed_little(m)))
        return measured(m);
    return wait(LOOK_NS);
}

static struct sleep_action on_health(const struct sleep_event *ev)
{
    return ev->type == SLEEP_ANSWERED && ev->status == 200 ? act(SLEEP_DO_DONE) : wait(ASK_NS);
}

/* What it waited to do again. */
static struct sleep_action on_timer(const struct sleep *m)
{
    static const enum sleep_do again[] = {
        [SLEEP_PHASE_BEFORE] = SLEEP_DO_SAMPLE, [SLEEP_PHASE_IDLE] = SLEEP_DO_ASK_IDLE,
        [SLEEP_PHASE_ASK] = SLEEP_DO_ASK,       [SLEEP_PHASE_MEASURE] = SLEEP_DO_SAMPLE,
        [SLEEP_PHASE_HEALTH] = SLEEP_DO_HEALTH,
    };
    must(m->phase != SLEEP_PHASE_CALLS);
    return act(again[m->phase]);
}

struct sleep_action sleep_step(struct sleep *m, const struct sleep_event *ev, uint64_t now_ns)
{
    if (ev->type == SLEEP_BEGIN)
        return on_begin(m, now_ns);
    if (ev->type == SLEEP_TIMER)
        return on_timer(m);
    switch (m->phase) {
    case SLEEP_PHASE_BEFORE:
        return on_before(m, ev, now_ns);
    case SLEEP_PHASE_IDLE:
        return on_idle(m, ev, now_ns);
    case SLEEP_PHASE_CALLS:
        return on_call(m, ev, now_ns);
    case SLEEP_PHASE_ASK:
        return on_asked(m, ev, now_ns);
    case SLEEP_PHASE_MEASURE:
        return on_sample(m, ev, now_ns);
    case SLEEP_PHASE_HEALTH:
        return on_health(ev);
    }
    never("no such phase");
}
