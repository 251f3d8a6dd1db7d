#include "simulate/world.h"

#include "base/alloc.h"

#define TICKS_MAX 1000000 /* one after the other, without an end: the core is wrong */

void world_step(struct world *w, struct event *ev)
{
    ev->now.ns = w->now_ns;
    struct effects fx = core_step(w->core, ev);
    for (uint32_t ticks = 0;; ticks++) {
        w->result->events++;
        if (w->opt->checks)
            core_check(w->core);
        for (uint32_t i = 0; i < fx.count; i++)
            world_effect(w, &fx.items[i]);
        if (!fx.more)
            break;
        must(ticks < TICKS_MAX);
        struct event tick = {.type = EVENT_TICK, .now.ns = w->now_ns};
        fx = core_step(w->core, &tick);
    }
}

/* Tells when the model will be asked for after the row that comes now. */
static void foresee(struct world *w, uint32_t model)
{
    const uint64_t *at = &w->uses[++w->models[model].next_use];
    struct event ev = {.type = EVENT_FORESEEN, .foreseen = {.model = model, .at.ns = *at}};
    if (*at != WORK_NEVER)
        ev.foreseen.at.ns += WORLD_START_NS;
    world_step(w, &ev);
}

static enum class class_of(const struct world *w, const struct work_row *row) {
    _Static_assert((int)CONFIG_CLASS__COUNT == (int)CLASS__COUNT, "the classes are the same");
    return row->class == WORK_MODELS_CLASS ? (enum class)w->opt->config->models[row->model].class
                                           : row->class;
}

static void arrives(struct world *w, const struct work_row *row, uint32_t loop)
{
    struct sim_requests *rs = &w->requests;
    enum class class = class_of(w, row);
    if (rs->count == rs->items_max) {
        rs->items_max = rs->items_max ? 2 * rs->items_max : 1024;
        rs->items = alloc_grow(rs->items, rs->items_max, sizeof(*rs->items));
    }
    rs->items[rs->count++] = (struct sim_request){.at_ns = w->now_ns,
                                                  .serve_ns = row->serve_ns,
                                                  .model = row->model,
                                                  .prompt = row->prompt,
                                                  .output = row->output,
                                                  .key = row->key,
                                                  .class = class,
                                                  .loop = loop};
    w->open++;
    struct event ev = {.type = EVENT_REQUEST_ARRIVED,
                       .request = {.tag = rs->count,
                                   .model = row->model,
                                   .class = class,
                                   .wait_ns_max = UINT64_MAX,
                                   .key = row->key}};
    world_step(w, &ev);
}

static bool is_full(const struct world *w)
{
    return w->work->requests_max && w->requests.count >= w->work->requests_max;
}

void world_asks(struct world *w, uint32_t loop)
{
    const struct work_loop *l = &w->work->loops[loop];
    struct rng *rng = &w->loop_rng[loop];
    if (w->now_ns - WORLD_START_NS >= l->until_ns || is_full(w)) {
        w->loops_left--;
        return;
    }
    struct work_row row = {.model = l->model, .key = l->key, .class = l->class};
    if (row.model == WORK_DRAWN)
        row.model = draw_zipf_pick(&w->work->zipfs[l->zipf], rng);
    work_draw_length(&w->work->speed, &l->length, rng, &row);
    arrives(w, &row, loop);
}

static void next_row(struct world *w)
{
    const struct work_row *row = &w->work->rows[w->row++];
    if (w->foresees)
        foresee(w, row->model);
    arrives(w, row, SIM_NO_LOOP);
}

/* No row before the world's clock begins. */
static uint64_t next_row_ns(const struct world *w)
{
    return w->row < w->work->count && !is_full(w) ? w->work->rows[w->row].at_ns + WORLD_START_NS
                                                  : WORK_NEVER;
}

static void goes_on(struct world *w, uint64_t to_ns)
{
    must(to_ns >= w->now_ns);
    if (to_ns == w->now_ns)
        return;
    w->now_ns = to_ns;
    bound_pass(&w->bound, &w->requests, to_ns);
}

bool world_turn(struct world *w)
{
    uint64_t item_ns = agenda_next(&w->agenda), row_ns = next_row_ns(w);
    uint64_t at_ns = item_ns < row_ns ? item_ns : row_ns;
    struct mono tick;
    if (w->open == 0 && w->loops_left == 0 && row_ns == WORK_NEVER)
        return false;
    /* What happens at the same time as a deadline comes before it. */
    if (core_deadline(w->core, &tick) && tick.ns < at_ns) {
        uint64_t since_ns = tick.ns > w->moved_ns ? tick.ns - w->moved_ns : 0;
        if (at_ns == WORK_NEVER && since_ns > WORLD_PATIENCE_NS)
            return false;
        goes_on(w, tick.ns > w->now_ns ? tick.ns : w->now_ns);
        world_step(w, &(struct event){.type = EVENT_TICK});
        return true;
    }
    if (at_ns == WORK_NEVER)
        return false;
    goes_on(w, at_ns);
    w->moved_ns = at_ns;
    if (item_ns > row_ns) {
        next_row(w);
    } else {
        struct agenda_item item = agenda_take(&w->agenda);
        world_happens(w, &item);
    }
    return true;
}
