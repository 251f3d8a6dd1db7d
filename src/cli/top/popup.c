#include "cli/top/popup.h"

#include <jansson.h>
#include <string.h>

#include "cli/show.h"
#include "cli/text.h"

#define LINES_MAX 24

struct box {
    struct buf lines[LINES_MAX];
    uint32_t count, selected; /* LINES_MAX: none */
};

static struct buf *add(struct box *b)
{
    struct buf *line = &b->lines[b->count < LINES_MAX - 1 ? b->count++ : LINES_MAX - 1];
    buf_clear(line);
    buf_text(line, "");
    return line;
}

static void put_edge(struct top_cells *g, uint32_t y, uint32_t x, uint32_t width, bool is_top)
{
    struct top_cell cell = {.c = g->is_utf8 ? 0x2500 : '-', .style = TOP_POPUP};
    const uint32_t left = is_top ? 0x250c : 0x2514, right = is_top ? 0x2510 : 0x2518;
    top_cells_fill(g, y, x, width, cell);
    cell.c = g->is_utf8 ? left : '+';
    top_cells_fill(g, y, x, 1, cell);
    cell.c = g->is_utf8 ? right : '+';
    top_cells_fill(g, y, x + width - 1, 1, cell);
}

static void put_box(struct top_cells *g, struct box *b)
{
    const struct top_cell space = {.c = ' ', .style = TOP_POPUP};
    const struct top_cell side = {.c = g->is_utf8 ? 0x2502 : '|', .style = TOP_POPUP};
    uint32_t width = 0;
    for (uint32_t i = 0; i < b->count; i++)
        if (text_width(b->lines[i].data) > width)
            width = (uint32_t)text_width(b->lines[i].data);
    width = width + 4 > g->width ? g->width : width + 4;
    uint32_t height = b->count + 2 > g->height ? g->height : b->count + 2;
    uint32_t x = (g->width - width) / 2, y = (g->height - height) / 2;
    put_edge(g, y, x, width, true);
    put_edge(g, y + height - 1, x, width, false);
    for (uint32_t i = 0; i + 2 < height; i++) {
        struct buf *line = &b->lines[i];
        size_t len = text_cut(line->data, width - 4);
        bool is_cut = line->data[len] != '\0';
        line->data[line->len = len] = '\0';
        if (is_cut)
            buf_text(line, text_ellipsis());
        top_cells_fill(g, y + 1 + i, x, width, space);
        top_cells_fill(g, y + 1 + i, x, 1, side);
        top_cells_fill(g, y + 1 + i, x + width - 1, 1, side);
        top_cells_put(g, y + 1 + i, x + 2, i == b->selected ? TOP_SELECTED : TOP_POPUP, line->data);
    }
    for (uint32_t i = 0; i < LINES_MAX; i++)
        buf_fini(&b->lines[i]);
}

static void write_help(struct box *b)
{
    static const char *const lines[] = {
        "Tab          the next section: devices, models, queue",
        "up down j k  select; PgUp PgDn Home End go further",
        "",
        "l            load the model",
        "u            unload it, when it has finished its work",
        "U            unload it at once",
        "s  w         send it to sleep; wake it",
        "m            move it to another of its places",
        "p            pin it, or let it go again",
        "M            set another mode",
        "/            show only what has that in its name",
        "q            leave",
        "",
        "In the queue, keys are about the model that is waited for.",
        "any key: back",
    };
    for (size_t i = 0; i < countof(lines); i++)
        buf_text(add(b), lines[i]);
}

static void write_choice(const struct top_view *v, struct box *b)
{
    size_t count = json_array_size(v->choices), fit = LINES_MAX - 6;
    size_t first = v->choice >= fit ? v->choice - fit + 1 : 0;
    struct buf *line = add(b);
    if (v->asked == TOP_ORDER_MODE) {
        buf_text(line, "set which mode?");
    } else {
        buf_text(line, "move ");
        text_escape_all(line, TEXT_LINE, v->asked_id);
        buf_text(line, " where?");
    }
    add(b);
    for (size_t i = first; i < count && i < first + fit; i++) {
        if (i == v->choice)
            b->selected = b->count;
        line = add(b);
        buf_printf(line, i < 9 ? "%zu  " : "   ", i + 1);
        text_escape_all(line, TEXT_LINE, json_string_value(json_array_get(v->choices, i)));
    }
    add(b);
    buf_text(add(b), "Enter or its number; Esc: none");
}

static void write_question(const struct top_known *k, const struct top_view *v, struct box *b)
{
    const json_t *models = json_object_get(k->status, "model_list");
    char runs[SHOW_CELL_MAX], waits[SHOW_CELL_MAX];
    struct buf *line = add(b);
    buf_printf(line, v->is_forced ? "unload %s at once?" : "unload %s?", v->asked_id);
    struct buf safe = {0};
    text_escape_all(&safe, TEXT_LINE, line->data);
    buf_clear(line);
    buf_append(line, safe.data, safe.len);
    buf_fini(&safe);
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *m = json_array_get(models, i);
        if (strcmp(show_text(m, "id"), v->asked_id) == 0)
            buf_printf(add(b),
                       v->is_forced ? "%s requests run there and %s wait for it: all are ended"
                                    : "%s requests run there; %s wait for it and are refused",
                       show_count(m, "in_flight", runs), show_count(m, "waiting", waits));
    }
    buf_text(add(b), "y: yes; any other key: no");
}

void top_put_popup(const struct top_known *k, const struct top_view *v, struct top_cells *cells)
{
    struct box b = {.selected = LINES_MAX};
    switch (v->popup) {
    case TOP_NO_POPUP:
    case TOP_FILTER:
        return;
    case TOP_HELP:
        write_help(&b);
        break;
    case TOP_CHOICE:
        write_choice(v, &b);
        break;
    case TOP_CONFIRM:
        write_question(k, v, &b);
        break;
    }
    put_box(cells, &b);
}
