#include "server/models/footprints.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "mapping/mapping.h"
#include "server/server.h"

#define FILE_NAME "wharf.sqlite"
/* By what it is called where it is said to be degraded. */
#define STORE_NAME "footprints"
/* The placement of a model that takes no device. */
#define NO_PLACEMENT ""

/* ---- what is known ---- */

static uint32_t find_row(const struct footprints *f, const char *model, const char *placement,
                         uint64_t hash)
{
    for (uint32_t i = 0; i < f->row_count; i++) {
        const struct footprint_row *row = f->rows[i];
        if (row->hash == hash && strcmp(row->model, model) == 0 &&
            strcmp(row->placement, placement) == 0)
            return i;
    }
    return UINT32_MAX;
}

/* Takes row, in place of one with the same key. */
static void keep_row(struct footprints *f, struct footprint_row *row)
{
    uint32_t at = find_row(f, row->model, row->placement, row->hash);
    if (at != UINT32_MAX) {
        free(f->rows[at]);
        f->rows[at] = row;
        return;
    }
    if (f->row_count == f->row_cap) {
        f->row_cap = f->row_cap ? 2 * f->row_cap : 64;
        f->rows = alloc_grow(f->rows, f->row_cap, sizeof(struct footprint_row *));
    }
    f->rows[f->row_count++] = row;
}

static const struct footprint_row *row_of(const struct footprints *f,
                                          const struct footprints_model *m, uint32_t placement)
{
    if (!m->id || placement >= m->place_count)
        return NULL;
    uint32_t at = find_row(f, m->id, m->places[placement], m->hash);
    return at == UINT32_MAX ? NULL : f->rows[at];
}

const struct footprint_row *footprints_find(const struct server *s, uint32_t slot,
                                            uint32_t placement)
{
    const struct footprints_model *m = &s->footprints.models[slot];
    /* Of a slot that another model has had, before that one is known here. */
    bool same = m->id && strcmp(m->id, roster_id(&s->roster, slot)) == 0;
    return same ? row_of(&s->footprints, m, placement) : NULL;
}

/* ---- the store ---- */

static void on_row(void *arg, const struct footprint_row *row)
{
    struct server *s = arg;
    /* What was learned while there was no store is newer. */
    if (find_row(&s->footprints, row->model, row->placement, row->hash) == UINT32_MAX)
        keep_row(&s->footprints, footprint_row_new(row));
}

static void on_news(void *arg)
{
    struct server *s = arg;
    uv_async_send(&s->footprints.wake);
}

static void tell_problem(struct server *s, const char *problem)
{
    if (!problem) {
        degraded_clear(s, DEGRADED_STORE, STORE_NAME);
        return;
    }
    char *reason = alloc_printf("what models are seen to take is not kept: %s", problem);
    degraded_set(s, DEGRADED_STORE, STORE_NAME, reason, NULL, 0);
    free(reason);
}

static void on_wake(uv_async_t *wake)
{
    struct server *s = wake->data;
    if (!s->footprints.store)
        return;
    char *problem = footprint_store_problem(s->footprints.store);
    tell_problem(s, problem);
    free(problem);
}

static void put(struct footprints *f, const struct footprint_row *row)
{
    if (f->store && !footprint_store_put(f->store, footprint_row_new(row)))
        log_warn(row->model, "its footprint is not kept: too many wait to be written");
}

/* Rows that are known already were learned without it. */
static void open_store(struct server *s)
{
    struct footprints *f = &s->footprints;
    char *path = alloc_printf("%s/" FILE_NAME, s->state_dir), *aside;
    struct err err = {0};
    uint32_t before = f->row_count;
    f->store = footprint_store_open(
        &(struct footprint_store_options){
            .path = path, .on_row = on_row, .on_news = on_news, .arg = s},
        &aside, &err);
    if (aside)
        log_warn(NULL, "%s is put aside as %s.aside, and what it knew is lost: %s", path, path,
                 aside);
    tell_problem(s, f->store ? NULL : err.text);
    for (uint32_t i = 0; i < before; i++)
        put(f, f->rows[i]);
    free(aside);
    free(path);
}

/* ---- what the core is told ---- */

static void tell(struct server *s, uint32_t slot, uint32_t placement,
                 const struct footprint_row *row)
{
    struct event ev = {.type = EVENT_LEARNED, .learned = {.model = slot, .placement = placement}};
    if (row) {
        ev.learned.bytes = row->bytes;
        ev.learned.load_ns = row->load_ns;
        ev.learned.residue_bytes = row->residue_bytes;
    }
    runner_event(&s->runner, ev);
}

static void free_model(struct footprints_model *m)
{
    free(m->id);
    for (uint32_t i = 0; i < m->place_count; i++)
        free(m->places[i]);
    *m = (struct footprints_model){.id = NULL};
}

/* The model as the configuration in force has it. */
static struct footprints_model describe(const struct server *s, uint32_t slot)
{
    const struct config *c = s->roster.current->config;
    uint32_t index = s->roster.entries[slot].index;
    struct footprints_model m = {.id = alloc_text(c->models[index].id),
                                 .hash = c->models[index].hash_process};
    const char *name;
    while (m.place_count < CORE_PLACEMENTS_MAX &&
           (name = mapping_placement_name(c, index, m.place_count)))
        m.places[m.place_count++] = alloc_text(name);
    if (m.place_count == 0)
        m.places[m.place_count++] = alloc_text(NO_PLACEMENT);
    return m;
}

static bool same_process(const struct footprints_model *a, const struct footprints_model *b)
{
    return a->id && b->id && a->hash == b->hash && strcmp(a->id, b->id) == 0;
}

static bool same_places(const struct footprints_model *a, const struct footprints_model *b)
{
    bool same = a->place_count == b->place_count;
    for (uint32_t i = 0; same && i < a->place_count; i++)
        same = strcmp(a->places[i], b->places[i]) == 0;
    return same;
}

/* Guesses at what nobody has said, and nobody has seen. */
static void estimate(struct server *s, uint32_t slot)
{
    const struct config *c = s->roster.current->config;
    struct footprints_model *m = &s->footprints.models[slot];
    const struct config_model *is = roster_model(&s->roster, slot);
    uint32_t index = s->roster.entries[slot].index;
    if (!roster_fits(c) || is->backend != CONFIG_BACKEND_PROCESS)
        return;
    for (uint32_t i = 0; i < m->place_count; i++) {
        const struct footprint_row *row = row_of(&s->footprints, m, i);
        uint32_t variant = mapping_placement_variant(c, index, i);
        if ((m->asked >> i & 1) || (row && row->bytes) || variant == CORE_SLOT_NONE)
            continue;
        const struct config_placement *p = &is->placements[variant];
        if (p->host || p->vram == CONFIG_VRAM_BYTES)
            continue;
        m->asked |= 1U << i;
        estimates_ask(s,
                      &(struct estimate_subject){
                          .slot = slot, .placement = i, .hash = m->hash, .devices = p->gpu_count},
                      p->argv.count ? &p->argv : &is->argv);
    }
}

/* Tells the core what is known of the model, unless it has been told. */
static void configure(struct server *s, uint32_t slot)
{
    struct footprints *f = &s->footprints;
    struct footprints_model *was = &f->models[slot], is = describe(s, slot);
    bool same = same_process(was, &is), unchanged = same && same_places(was, &is);
    bool here = was->id && strcmp(was->id, is.id) == 0 && resident_at(s, slot);
    if (unchanged && !was->removed) {
        was->waits = false;
        free_model(&is);
    } else if (here && !unchanged) {
        was->waits = true;
        free_model(&is);
        return;
    } else {
        free_model(was);
        *was = is;
        for (uint32_t i = 0; i < CORE_PLACEMENTS_MAX; i++) {
            const struct footprint_row *row = row_of(f, was, i);
            /* Of the same process the core still has what it was told, by places of before. */
            if (row || same)
                tell(s, slot, i, row);
        }
    }
    estimate(s, slot);
}

void footprints_configured(struct server *s)
{
    for (uint32_t i = 0; s->footprints.started && i < s->roster.count; i++)
        if (roster_model(&s->roster, i))
            configure(s, i);
        else
            s->footprints.models[i].removed = true;
}

void footprints_estimated(struct server *s, const struct estimate_subject *subject, uint64_t bytes)
{
    const struct footprints_model *m = &s->footprints.models[subject->slot];
    const struct footprint_row *row = row_of(&s->footprints, m, subject->placement);
    /* Everything may have changed while the files were read. */
    if (!m->id || m->hash != subject->hash || m->waits || (row && row->bytes) ||
        subject->placement >= m->place_count)
        return;
    log_info_with(m->id, LOG_WITH(LOG_NUMBER("footprint_bytes", bytes)),
                  "estimated, on each device");
    runner_event(&s->runner, (struct event){.type = EVENT_FOOTPRINT,
                                            .learned = {.model = subject->slot,
                                                        .placement = subject->placement,
                                                        .bytes = bytes}});
    changes_models(s);
}

/* ---- what the core says ---- */

/* The device that it is on, or was on when something was learned last. */
static const char *device_of(const struct server *s, uint32_t slot, const struct footprint_row *row)
{
    const struct config *c = s->roster.current->config;
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    if (v.device != CORE_SLOT_NONE && v.device < c->gpu_count)
        return c->gpus[v.device].name;
    return row ? row->device : "";
}

void footprints_learned(struct server *s, const struct effect *e)
{
    struct footprints *f = &s->footprints;
    struct footprints_model *m = &f->models[e->model];
    if (!m->id || m->hash != e->hash_process || e->placement >= m->place_count)
        return; /* of a definition that has gone with its model */
    const struct footprint_row *was = row_of(f, m, e->placement);
    struct footprint_row row = {.model = m->id,
                                .placement = m->places[e->placement],
                                .device = device_of(s, e->model, was),
                                .hash = m->hash,
                                .bytes = e->bytes,
                                .residue_bytes = e->residue_bytes,
                                .load_ns = e->duration_ns,
                                .samples = (was ? was->samples : 0) + (e->bytes != 0),
                                .source = was ? was->source : FOOTPRINT_MEASURED,
                                .measured_s = was ? was->measured_s : 0};
    if (e->bytes && (!was || was->bytes != e->bytes)) {
        row.source = m->out_of_memory ? FOOTPRINT_OOM : FOOTPRINT_MEASURED;
        row.measured_s = (int64_t)time(NULL);
    }
    m->out_of_memory = false;
    put(f, &row);
    keep_row(f, footprint_row_new(&row));
}

void footprints_noticed(struct server *s, const struct effect *e)
{
    if (e->model == CORE_SLOT_NONE)
        return;
    struct footprints_model *m = &s->footprints.models[e->model];
    bool gone = e->notice == NOTICE_MODEL_UNLOADED;
    if (e->notice == NOTICE_OOM)
        m->out_of_memory = true;
    if (gone && m->waits && roster_model(&s->roster, e->model))
        configure(s, e->model);
}

/* ---- life ---- */

void footprints_init(struct server *s)
{
    struct footprints *f = &s->footprints;
    f->models = alloc_zeroed(ROSTER_MODELS_MAX, sizeof(*f->models));
    estimates_init(&f->estimates);
    uv_async_init(s->loop, &f->wake, on_wake);
    f->wake.data = s;
    uv_unref((uv_handle_t *)&f->wake);
}

int footprints_start(struct server *s, struct err *err)
{
    (void)err;
    s->footprints.started = true;
    open_store(s);
    footprints_configured(s);
    return 0;
}

/* What its file knows comes too late for models that have been told of already: until a reload. */
void footprints_mend(struct server *s)
{
    if (s->footprints.started && !s->footprints.store)
        open_store(s);
}

void footprints_reload(struct server *s, const struct config_ref *old)
{
    (void)old;
    if (!s->footprints.store)
        open_store(s);
    footprints_configured(s);
}

void footprints_close(struct server *s)
{
    struct footprints *f = &s->footprints;
    f->started = false;
    estimates_close(&f->estimates);
    footprint_store_free(f->store);
    f->store = NULL;
    uv_close((uv_handle_t *)&f->wake, NULL);
}

void footprints_fini(struct server *s)
{
    struct footprints *f = &s->footprints;
    for (uint32_t i = 0; i < f->row_count; i++)
        free(f->rows[i]);
    for (uint32_t i = 0; i < ROSTER_MODELS_MAX; i++)
        free_model(&f->models[i]);
    free(f->rows);
    free(f->models);
    *f = (struct footprints){.rows = NULL};
}
