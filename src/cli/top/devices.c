/* The devices: a bar each, and below it what its pieces are, where there is room for that. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/pure/units.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/top/bars.h"
#include "cli/top/sections.h"

#define NAME_WIDTH 14
#define NUMBERS_WIDTH 22 /* "17.5GiB of 24GiB  73%" */

static enum top_style part_style(const struct top_part *part, uint32_t models_before)
{
    static const enum top_style styles[TOP_PART__COUNT] = {
        [TOP_PART_MODEL] = TOP_MODEL_A,     [TOP_PART_LEASED] = TOP_LEASED,
        [TOP_PART_FOREIGN] = TOP_FOREIGN,   [TOP_PART_SETTLING] = TOP_SETTLING,
        [TOP_PART_RESERVED] = TOP_RESERVED, [TOP_PART_FREE] = TOP_FREE};
    if (part->kind == TOP_PART_MODEL && models_before % 2)
        return TOP_MODEL_B;
    return styles[part->kind];
}

/* What fills the piece behind its label: what can be told apart without colours, too. */
static uint32_t part_fill(enum top_part_kind kind, bool is_utf8)
{
    static const struct {
        uint32_t utf8, ascii;
    } fills[TOP_PART__COUNT] = {
        [TOP_PART_MODEL] = {0x2588, '#'},    [TOP_PART_LEASED] = {0x2593, '+'},
        [TOP_PART_FOREIGN] = {0x2592, 'x'},  [TOP_PART_SETTLING] = {0x2591, '~'},
        [TOP_PART_RESERVED] = {0x2550, '='}, [TOP_PART_FREE] = {0xb7, '.'}};
    return is_utf8 ? fills[kind].utf8 : fills[kind].ascii;
}

/* A piece of the bar from x on, with its label where that has room. */
static void put_part(struct top_cells *g, uint32_t y, uint32_t x, uint32_t columns,
                     const struct top_part *part, enum top_style style)
{
    const struct top_cell fill = {.c = part_fill(part->kind, g->is_utf8), .style = (uint8_t)style};
    const struct top_cell space = {.c = ' ', .style = (uint8_t)style};
    uint32_t width = (uint32_t)text_width(part->label);
    top_cells_fill(g, y, x, columns, fill);
    if (width + 2 > columns)
        return;
    top_cells_fill(g, y, x, width + 2, space);
    top_cells_put(g, y, x + 1, style, part->label);
}

static void put_bar(struct top_cells *g, uint32_t y, uint32_t x, uint32_t width,
                    const struct top_bar *bar)
{
    uint32_t columns[TOP_PARTS_MAX], models = 0;
    const struct top_cell line = {.c = g->is_utf8 ? 0x2502 : '|', .style = TOP_PLAIN};
    top_cells_fill(g, y, x, 1, line);
    top_cells_fill(g, y, x + width - 1, 1, line);
    top_bar_share(bar, width - 2, columns);
    x++;
    for (uint32_t i = 0; i < bar->count; i++) {
        const struct top_part *part = &bar->parts[i];
        uint32_t parted = i > 0 && columns[i] > 1 ? 1 : 0;
        top_cells_fill(g, y, x, parted, line);
        put_part(g, y, x + parted, columns[i] - parted, part, part_style(part, models));
        models += part->kind == TOP_PART_MODEL;
        x += columns[i];
    }
}

/* "llama 8GiB  foreign 1GiB  free 15GiB": as many as there is room for, what is free always. */
static void put_legend(struct top_cells *g, uint32_t y, const struct top_bar *bar)
{
    char bytes[UNITS_TEXT_MAX];
    uint32_t x = NAME_WIDTH + 1, models = 0, last = bar->count ? bar->count - 1 : 0;
    struct buf text = {0}, end = {0};
    buf_text(&end, "");
    if (bar->count > 0)
        buf_printf(&end, "%s %s", bar->parts[last].label,
                   units_format_bytes(bar->parts[last].bytes, bytes));
    for (uint32_t i = 0; i < last; i++) {
        const struct top_part *part = &bar->parts[i];
        buf_clear(&text);
        buf_printf(&text, "%s %s", part->label, units_format_bytes(part->bytes, bytes));
        if (x + text_width(text.data) + 2 + text_width(end.data) > g->width)
            break;
        x = top_cells_put(g, y, x, part_style(part, models), text.data) + 2;
        models += part->kind == TOP_PART_MODEL;
    }
    top_cells_put(g, y, x, TOP_DIM, end.data);
    buf_fini(&text);
    buf_fini(&end);
}

static void put_numbers(struct top_cells *g, uint32_t y, const json_t *d)
{
    char used[SHOW_CELL_MAX], total[SHOW_CELL_MAX], text[2 * SHOW_CELL_MAX + 8], busy[8] = "";
    const json_t *percent = json_object_get(d, "utilisation_percent");
    if (json_is_integer(percent))
        snprintf(busy, sizeof(busy), " %3d%%", (int)json_integer_value(percent) % 1000);
    snprintf(text, sizeof(text), "%s of %s%s", show_bytes(d, "used_bytes", used),
             show_bytes(d, "total_bytes", total), busy);
    top_cells_put(g, y, g->width - NUMBERS_WIDTH + 1, TOP_PLAIN, text);
}

static void put_device(const struct top_part_of *p, uint32_t y, const json_t *d)
{
    struct top_bar bar;
    struct buf name = {0}, trouble = {0};
    const char *degraded = json_string_value(json_object_get(d, "degraded"));
    uint32_t width = p->cells->width - NAME_WIDTH - 1 - NUMBERS_WIDTH;
    buf_text(&name, "");
    text_escape_all(&name, TEXT_LINE, show_text(d, "name"));
    size_t len = text_cut(name.data, NAME_WIDTH);
    bool is_cut = name.data[len] != '\0';
    name.data[name.len = len] = '\0';
    if (is_cut)
        buf_text(&name, text_ellipsis());
    top_cells_put(p->cells, y, 0, TOP_PLAIN, name.data);
    buf_fini(&name);
    if (!json_is_true(json_object_get(d, "present"))) {
        buf_text(&trouble, "absent");
        if (degraded)
            buf_text(&trouble, ": ");
        text_escape_all(&trouble, TEXT_LINE, degraded ? degraded : "");
        top_cells_put(p->cells, y, NAME_WIDTH + 1, TOP_BAD, trouble.data);
        buf_fini(&trouble);
        return;
    }
    top_bar_of(p->known->status, p->known->queue, d, &bar);
    put_bar(p->cells, y, NAME_WIDTH + 1, width, &bar);
    put_numbers(p->cells, y, d);
    if (p->each > 1)
        put_legend(p->cells, y + 1, &bar);
}

void top_put_devices(const struct top_part_of *p)
{
    const json_t *devices = json_object_get(p->known->status, "devices");
    size_t count = json_array_size(devices), fit = (p->lines - 1) / p->each;
    size_t selected = p->view->selected[TOP_DEVICES];
    size_t first = top_first_shown(selected, count, fit);
    enum top_style style = top_heading_style(p, TOP_DEVICES);
    struct buf more = {0};
    buf_text(&more, "DEVICES");
    if (count > fit)
        buf_printf(&more, "  %zu-%zu of %zu", first + 1, first + fit, count);
    top_cells_put(p->cells, p->y, 0, style, more.data);
    top_cells_restyle(p->cells, p->y, style);
    buf_fini(&more);
    for (size_t i = first; i < count && i < first + fit; i++) {
        uint32_t y = p->y + 1 + (uint32_t)(i - first) * p->each;
        put_device(p, y, json_array_get(devices, i));
    }
    if (count == 0 && p->known->status)
        top_cells_put(p->cells, p->y + 1, 0, TOP_DIM, "none");
}
