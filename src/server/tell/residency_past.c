#include "server/tell/residency_past.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "server/record/archive_sample.h"
#include "server/server.h"
#include "server/tell/residency.h"

#define SWAPS_MAX 16384
/* Of an hour, of as many devices as there can be, and the daemon. */
#define SAMPLES_MAX (3600 * (CORE_DEVICES_MAX + 1))
#define HOUR_MS (3600 * 1000)

/* A question whose rows are kept as they are until the loop looks at them. */
struct past {
    struct archiving_question asked; /* first: freed with it */
    struct list rows;                /* struct archive_row; newest first */
};

static void on_row(void *arg, const struct archive_draft *row)
{
    struct past *p = arg;
    list_push(&p->rows, &archive_row_new(row)->link);
}

/* ---- devices ---- */

/* By the present configuration: its numbers may have been others'. */
static uint32_t device_of(const struct server *s, const char *name)
{
    const struct config *c = s->roster.current->config;
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++)
        if (strcmp(c->gpus[d].name, name) == 0)
            return d;
    return CORE_DEVICES_MAX;
}

/* names: a JSON list. */
static uint32_t mask_of(const struct server *s, const char *names)
{
    const struct config *c = s->roster.current->config;
    uint32_t mask = 0;
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        struct buf quoted = {0};
        buf_json_text(&quoted, c->gpus[d].name);
        if (strstr(names, quoted.data))
            mask |= 1U << d;
        buf_fini(&quoted);
    }
    return mask;
}

/* ---- swaps ---- */

static const struct {
    const char *kind;
    enum model_state during, after, failed;
} kinds[] = {{"load", MODEL_LOADING, MODEL_LOADED, MODEL_ERROR},
             {"unload", MODEL_UNLOADING, MODEL_UNLOADED, MODEL_UNLOADING},
             {"move", MODEL_MOVING, MODEL_LOADED, MODEL_LOADED},
             {"suspend", MODEL_SUSPENDING, MODEL_SUSPENDED, MODEL_LOADED},
             {"resume", MODEL_RESUMING, MODEL_LOADED, MODEL_SUSPENDED}};

static bool holds(enum model_state state)
{
    return state != MODEL_UNLOADED && state != MODEL_ERROR;
}

static enum model_state after(const struct archive_draft *row, enum model_state *ret_during)
{
    const char *kind = archive_text(row, ARCHIVE_SWAPS_kind);
    *ret_during = MODEL_UNLOADED;
    for (size_t i = 0; i < countof(kinds); i++) {
        if (strcmp(kinds[i].kind, kind) != 0)
            continue;
        *ret_during = kinds[i].during;
        return archive_number(row, ARCHIVE_SWAPS_ok) ? kinds[i].after : kinds[i].failed;
    }
    return MODEL_UNLOADED;
}

static void add_change(struct residency_past *p, const struct residency_change *c)
{
    if (p->change_count == p->change_cap) {
        p->change_cap = p->change_cap ? 2 * p->change_cap : 64;
        p->changes = alloc_grow(p->changes, p->change_cap, sizeof(*p->changes));
    }
    p->changes[p->change_count] = *c;
    p->changes[p->change_count++].model = alloc_text(c->model);
}

static void add_changes(struct server *s, const struct archive_draft *row)
{
    enum model_state during, end = after(row, &during);
    int64_t at = archive_number(row, ARCHIVE_SWAPS_at);
    int64_t ms = archive_number(row, ARCHIVE_SWAPS_seconds);
    int64_t bytes = archive_number(row, ARCHIVE_SWAPS_bytes);
    uint32_t mask = mask_of(s, archive_text(row, ARCHIVE_SWAPS_devices));
    char *model = alloc_text(archive_text(row, ARCHIVE_SWAPS_model));
    struct residency_change c = {.at_ms = (uint64_t)at,
                                 .model = model,
                                 .state = during,
                                 .devices = mask,
                                 .bytes = bytes == ARCHIVE_UNKNOWN ? 0 : (uint64_t)bytes};
    if (ms > 0)
        add_change(&s->archiving.past, &c);
    c.at_ms += ms > 0 ? (uint64_t)ms : 0;
    c.state = end;
    if (!holds(end))
        c.devices = 0;
    add_change(&s->archiving.past, &c);
    free(model);
}

/* What took long stands where it ended, also behind what began later; those of one time stay in
 * their order. Hardly any is far from its place. */
static void sort_changes(struct residency_past *p)
{
    for (uint32_t i = 1; i < p->change_count; i++) {
        struct residency_change c = p->changes[i];
        uint32_t at = i;
        for (; at > 0 && p->changes[at - 1].at_ms > c.at_ms; at--)
            p->changes[at] = p->changes[at - 1];
        p->changes[at] = c;
    }
}

static void take_swaps(struct server *s, struct archive_question *q)
{
    struct past *p = container_of(q, struct past, asked.question);
    struct link *n;
    while ((n = list_last(&p->rows))) { /* the oldest first */
        struct archive_row *row = list_entry(n, struct archive_row, link);
        add_changes(s, &row->draft);
        list_remove(&p->rows, n);
        free(row);
    }
    sort_changes(&s->archiving.past);
    s->archiving.past.asked--;
}

/* ---- samples ---- */

static void add_reading(const struct server *s, struct residency_sample *x,
                        const struct archive_draft *row)
{
    const char *name = archive_text(row, ARCHIVE_SAMPLES_device);
    int64_t used = archive_number(row, ARCHIVE_SAMPLES_used_bytes);
    int64_t busy = archive_number(row, ARCHIVE_SAMPLES_utilisation_percent);
    int64_t power = archive_number(row, ARCHIVE_SAMPLES_power_w);
    uint32_t d = device_of(s, name);
    if (!*name) {
        x->waiting = (uint32_t)archive_number(row, ARCHIVE_SAMPLES_waiting);
        x->running = (uint32_t)archive_number(row, ARCHIVE_SAMPLES_in_flight);
    } else if (d < CORE_DEVICES_MAX) {
        x->devices[d] = (struct residency_device){.used_bytes = (uint64_t)used,
                                                  .has_used = used != ARCHIVE_UNKNOWN,
                                                  .utilisation_percent = (uint32_t)busy,
                                                  .has_utilisation = busy != ARCHIVE_UNKNOWN,
                                                  .power_mw = (uint32_t)power,
                                                  .has_power = power != ARCHIVE_UNKNOWN};
    }
}

static void add_sample(struct residency_past *p, const struct residency_sample *x)
{
    if (p->sample_count == p->sample_cap) {
        p->sample_cap = p->sample_cap ? 2 * p->sample_cap : 64;
        p->samples = alloc_grow(p->samples, p->sample_cap, sizeof(*p->samples));
    }
    p->samples[p->sample_count++] = *x;
}

/* Those of one time are one sample; as many as this daemon would have taken. */
static void take_samples(struct server *s, struct archive_question *q)
{
    struct past *p = container_of(q, struct past, asked.question);
    struct link *n;
    struct residency_sample x = {.at_ms = 0};
    uint64_t last_ms = 0;
    while ((n = list_last(&p->rows))) {
        struct archive_row *row = list_entry(n, struct archive_row, link);
        uint64_t at_ms = (uint64_t)archive_number(&row->draft, ARCHIVE_SAMPLES_at);
        if (x.at_ms && at_ms != x.at_ms && x.at_ms >= last_ms + RESIDENCY_SAMPLE_MS - 500) {
            last_ms = x.at_ms;
            add_sample(&s->archiving.past, &x);
        }
        if (at_ms != x.at_ms)
            x = (struct residency_sample){.at_ms = at_ms};
        add_reading(s, &x, &row->draft);
        list_remove(&p->rows, n);
        free(row);
    }
    s->archiving.past.asked--;
}

static void take_newest(struct server *s, struct archive_question *q)
{
    struct past *p = container_of(q, struct past, asked.question);
    struct link *n;
    while ((n = list_pop(&p->rows))) {
        struct archive_row *row = list_entry(n, struct archive_row, link);
        s->archiving.past.end_ms = archive_number(&row->draft, ARCHIVE_SAMPLES_at);
        free(row);
    }
    s->archiving.past.asked--;
}

/* ---- asking ---- */

static void ask(struct server *s, enum archive_table table, int64_t start_ms, uint32_t max,
                void (*take)(struct server *s, struct archive_question *q))
{
    struct past *p = alloc_zeroed(1, sizeof(*p));
    list_init(&p->rows);
    p->asked.on_news = take;
    p->asked.question.table = table;
    p->asked.question.start_ms = start_ms;
    p->asked.question.end_ms = s->archiving.began_ms;
    p->asked.question.limit = max;
    p->asked.question.on_row = on_row;
    p->asked.question.arg = p;
    if (archiving_ask(s, NULL, &p->asked))
        s->archiving.past.asked++;
}

void residency_past_ask(struct server *s)
{
    if (s->archiving.past.begun)
        return;
    s->archiving.past.begun = true;
    ask(s, ARCHIVE_SAMPLES, 0, 1, take_newest);
    ask(s, ARCHIVE_SAMPLES, s->archiving.began_ms - HOUR_MS, SAMPLES_MAX, take_samples);
    ask(s, ARCHIVE_SWAPS, 0, SWAPS_MAX, take_swaps);
}

/* ---- what an earlier daemon did not come to tell ---- */

static bool is_there(const struct server *s, const char *model)
{
    struct core_model_view v;
    uint32_t slot = roster_find(&s->roster, model);
    if (slot == CORE_SLOT_NONE)
        return false;
    core_view_model(s->runner.core, slot, &v);
    return holds(v.state);
}

static void tell_gone(struct server *s, const struct residency_change *c, int64_t at_ms)
{
    struct archive_draft row;
    struct buf devices = {0};
    archiving_put_devices(s, c->devices, &devices);
    archive_draft_init(&row, ARCHIVE_SWAPS);
    archive_set_number(&row, ARCHIVE_SWAPS_at, at_ms);
    archive_set_text(&row, ARCHIVE_SWAPS_kind, "unload");
    archive_set_text(&row, ARCHIVE_SWAPS_model, c->model);
    archive_set_text(&row, ARCHIVE_SWAPS_devices, devices.data);
    archive_set_text(&row, ARCHIVE_SWAPS_reason, "it was gone when wharf was there again");
    archive_set_number(&row, ARCHIVE_SWAPS_ok, true);
    archiving_put(s, &row);
    buf_fini(&devices);
}

/* Whether a later change is about the same model. */
static bool is_last(const struct residency_past *p, uint32_t i)
{
    for (uint32_t k = i + 1; k < p->change_count; k++)
        if (strcmp(p->changes[k].model, p->changes[i].model) == 0)
            return false;
    return true;
}

void residency_past_turn(struct server *s)
{
    struct residency_past *p = &s->archiving.past;
    uint32_t count = p->change_count;
    if (p->told || !p->begun || p->asked || !s->boot.over)
        return;
    p->told = true;
    for (uint32_t i = 0; i < count; i++) {
        struct residency_change c = p->changes[i];
        if (!holds(c.state) || is_there(s, c.model) || !is_last(p, i))
            continue;
        if (p->end_ms > (int64_t)c.at_ms)
            c.at_ms = (uint64_t)p->end_ms;
        tell_gone(s, &c, (int64_t)c.at_ms);
        c.state = MODEL_UNLOADED;
        c.devices = 0;
        add_change(p, &c);
    }
    sort_changes(p);
}

void residency_past_fini(struct residency_past *p)
{
    for (uint32_t i = 0; i < p->change_count; i++)
        free(p->changes[i].model);
    free(p->changes);
    free(p->samples);
}
