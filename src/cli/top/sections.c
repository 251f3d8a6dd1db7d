#include "cli/top/sections.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/pure/units.h"
#include "cli/progress.h"
#include "cli/queue_text.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/text_table.h"

size_t top_first_shown(size_t selected, size_t count, size_t fit)
{
    if (count <= fit || fit == 0)
        return 0;
    size_t first = selected > fit / 2 ? selected - fit / 2 : 0;
    return first + fit > count ? count - fit : first;
}

enum top_style top_heading_style(const struct top_part_of *p, enum top_section section)
{
    return p->view->section == section ? TOP_HEADING_HERE : TOP_HEADING;
}

/* A time that goes on, or is counted down. */
static const char *seconds(const json_t *object, const char *name, double more,
                           char out[SHOW_CELL_MAX])
{
    const json_t *value = json_object_get(object, name);
    double now = json_number_value(value) + more;
    if (!json_is_number(value) || json_number_value(value) > 1e9)
        return "-";
    if (now < 1)
        return "0s";
    return units_format_duration((uint64_t)now * NS_PER_S, out);
}

/* ---- models ---- */

static const struct text_column model_columns[] = {
    {"MODEL", 9, 16}, {"STATE", 8, 0}, {"PLACE", 3, 8}, {"SIZE", 5, 0},
    {"RUN", 6, 0},    {"WAIT", 7, 0},  {"IDLE", 4, 0},  {"LOAD", 1, 0},
};

/* "loading 45%", "loaded (pinned)". */
static void write_state(const json_t *m, double past_s, struct buf *out)
{
    char since[SHOW_CELL_MAX];
    const json_t *operation = json_object_get(m, "operation");
    int permille = progress_permille(operation);
    buf_text(out, show_text(m, "state"));
    if (permille >= 0)
        buf_printf(out, " %d%%", permille / 10);
    else if (json_is_object(operation))
        buf_printf(out, " %s", seconds(operation, "since_s", past_s, since));
    if (json_is_true(json_object_get(m, "pinned")))
        buf_text(out, " (pinned)");
}

/* How long it has been idle, or in how long it leaves for that. */
static const char *idle(const json_t *m, double past_s, char out[SHOW_CELL_MAX])
{
    char span[SHOW_CELL_MAX];
    if (json_integer_value(json_object_get(m, "in_flight")) > 0 ||
        strcmp(show_text(m, "state"), "loaded") != 0)
        return "-";
    if (json_is_number(json_object_get(m, "idle_unload_s"))) {
        snprintf(out, SHOW_CELL_MAX, "%.30s left", seconds(m, "idle_unload_s", -past_s, span));
        return out;
    }
    return seconds(m, "last_used_s", past_s, out);
}

static void write_place(const json_t *m, struct buf *out)
{
    char devices[SHOW_CELL_MAX];
    bool has_devices = json_array_size(json_object_get(m, "devices")) > 0;
    buf_text(out, has_devices ? show_list(m, "devices", devices) : show_text(m, "placement"));
    if (json_is_true(json_object_get(m, "on_cpu")) && has_devices)
        buf_text(out, " (cpu)");
}

static void add_model(struct text_table *table, const json_t *m, double past_s)
{
    char size[SHOW_CELL_MAX], runs[SHOW_CELL_MAX], waits[SHOW_CELL_MAX], rests[SHOW_CELL_MAX];
    char load[SHOW_CELL_MAX];
    struct buf state = {0}, place = {0};
    bool has_last = json_is_number(json_object_get(m, "last_load_s"));
    write_state(m, past_s, &state);
    write_place(m, &place);
    const char *cells[] = {show_text(m, "id"),
                           state.data,
                           place.data,
                           show_bytes(m, "footprint_bytes", size),
                           show_count(m, "in_flight", runs),
                           show_count(m, "waiting", waits),
                           idle(m, past_s, rests),
                           seconds(m, has_last ? "last_load_s" : "load_s", 0, load)};
    _Static_assert(countof(cells) == countof(model_columns), "a heading a cell");
    text_table_add(table, cells);
    buf_fini(&state);
    buf_fini(&place);
}

static enum top_style model_style(const json_t *m)
{
    static const struct {
        const char *state;
        enum top_style style;
    } styles[] = {{"loaded", TOP_GOOD},    {"unloaded", TOP_DIM}, {"suspended", TOP_DIM},
                  {"error", TOP_BAD},      {"stuck", TOP_BAD},    {"loading", TOP_BUSY},
                  {"unloading", TOP_BUSY}, {"moving", TOP_BUSY},  {"suspending", TOP_BUSY},
                  {"resuming", TOP_BUSY}};
    for (size_t i = 0; i < countof(styles); i++)
        if (strcmp(styles[i].state, show_text(m, "state")) == 0)
            return styles[i].style;
    return TOP_PLAIN;
}

/* ---- tables ---- */

/* The heading and the rows of a table that are shown, the first of which is the entry `first`. */
static void put_table(const struct top_part_of *p, const struct text_table *table,
                      enum top_section section, size_t first)
{
    size_t widths[TEXT_COLUMNS_MAX];
    text_table_measure(table, widths);
    text_table_fit(table->layout, table->columns, p->cells->width, widths);
    for (uint32_t row = 0; row < table->row_count && row < p->lines; row++) {
        struct buf line = {0};
        size_t entry = first + row - 1;
        enum top_style style = top_heading_style(p, section);
        if (row > 0 && section == TOP_MODELS)
            style = model_style(top_model_at(p->view, p->known, entry));
        else if (row > 0)
            style = TOP_PLAIN;
        buf_text(&line, "");
        text_table_put_row(table, row, widths, &line);
        top_cells_put(p->cells, p->y + row, 0, style, line.data);
        if (row == 0)
            top_cells_restyle(p->cells, p->y, style);
        else if (p->view->section == section && entry == p->view->selected[section])
            top_cells_restyle(p->cells, p->y + row, TOP_SELECTED);
        buf_fini(&line);
    }
}

/* How many are above and below those that are shown, at the heading's end. */
static void put_more(const struct top_part_of *p, size_t first, size_t count)
{
    struct buf text = {0};
    size_t fit = p->lines - 1;
    if (count <= fit)
        return;
    buf_printf(&text, " %zu-%zu of %zu", first + 1, first + fit, count);
    top_cells_put(p->cells, p->y, p->cells->width - (uint32_t)text.len, TOP_HEADING, text.data);
    buf_fini(&text);
}

/* A section of rows of which some are shown. */
struct top_list {
    enum top_section section;
    const struct text_column *columns;
    uint32_t column_count;
    const json_t *(*at)(const struct top_view *v, const struct top_known *k, size_t i);
    void (*add)(struct text_table *table, const json_t *row, double past_s);
    const char *none; /* what is said where there is no row */
};

static void put_list(const struct top_part_of *p, const struct top_list *list, bool known)
{
    struct text_table table;
    size_t count = top_count(p->view, p->known, list->section), fit = p->lines - 1;
    size_t first = top_first_shown(p->view->selected[list->section], count, fit);
    text_table_begin(&table, list->columns, list->column_count);
    for (size_t i = first; i < count && i < first + fit; i++)
        list->add(&table, list->at(p->view, p->known, i), p->past_s);
    put_table(p, &table, list->section, first);
    put_more(p, first, count);
    if (count == 0 && known)
        top_cells_put(p->cells, p->y + 1, 0, TOP_DIM, list->none);
    text_table_fini(&table);
}

static const struct top_list models = {TOP_MODELS,   model_columns, countof(model_columns),
                                       top_model_at, add_model,     "none"};

void top_put_models(const struct top_part_of *p)
{
    put_list(p, &models, p->known->status != NULL);
}

/* ---- the queue ---- */

static const struct text_column queue_columns[] = {
    {"QUEUE", 9, 12}, {"CLASS", 3, 0},    {"PLACE", 5, 0},
    {"AGE", 6, 0},    {"ESTIMATE", 4, 0}, {"WAITS FOR", 7, 16},
};

static void add_waiter(struct text_table *table, const json_t *w, double past_s)
{
    char place[SHOW_CELL_MAX], age[SHOW_CELL_MAX], estimate[SHOW_CELL_MAX];
    struct buf who = {0};
    queue_text_who(&who, w);
    const char *cells[] = {who.data,
                           show_text(w, "class"),
                           show_count(w, "position", place),
                           seconds(w, "since_s", past_s, age),
                           seconds(w, "estimate_s", -past_s, estimate),
                           show_text(w, "for")};
    _Static_assert(countof(cells) == countof(queue_columns), "a heading a cell");
    text_table_add(table, cells);
    buf_fini(&who);
}

static const struct top_list queue = {TOP_QUEUE,     queue_columns, countof(queue_columns),
                                      top_waiter_at, add_waiter,    "nobody waits"};

void top_put_queue(const struct top_part_of *p)
{
    put_list(p, &queue, p->known->queue != NULL);
}
