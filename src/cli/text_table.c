#include "cli/text_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "cli/text.h"

#define GAP 2 /* spaces between columns */

void text_table_begin(struct text_table *t, const struct text_column *layout, uint32_t columns)
{
    const char *headings[TEXT_COLUMNS_MAX] = {NULL};
    must(columns <= TEXT_COLUMNS_MAX);
    *t = (struct text_table){.columns = columns, .layout = layout};
    for (uint32_t i = 0; i < columns; i++)
        headings[i] = layout[i].heading;
    text_table_add(t, headings);
}

void text_table_add(struct text_table *t, const char *const *cells)
{
    must(t->columns > 0 && t->columns <= TEXT_COLUMNS_MAX);
    if (t->row_count == t->rows_max) {
        t->rows_max = t->rows_max ? t->rows_max * 2 : 16;
        t->cells = alloc_grow(t->cells, (size_t)t->rows_max * t->columns, sizeof(*t->cells));
    }
    for (uint32_t i = 0; i < t->columns; i++) {
        struct buf cell = {0};
        text_escape_all(&cell, TEXT_LINE, cells[i]);
        t->cells[t->row_count * t->columns + i] = buf_take(&cell);
    }
    t->row_count++;
}

void text_table_measure(const struct text_table *t, size_t widths[TEXT_COLUMNS_MAX])
{
    memset(widths, 0, TEXT_COLUMNS_MAX * sizeof(*widths));
    for (uint32_t i = 0; i < t->row_count * t->columns; i++) {
        size_t width = text_width(t->cells[i]);
        if (width > widths[i % t->columns])
            widths[i % t->columns] = width;
    }
}

/* With the gaps between those that are there. */
static size_t sum(const size_t *widths, uint32_t columns)
{
    size_t all = 0;
    for (uint32_t i = 0; i < columns; i++)
        all += widths[i] ? widths[i] + (all ? GAP : 0) : 0;
    return all;
}

static size_t least(const struct text_column *column, size_t width)
{
    bool may_shrink = column->width_min > 0 && column->width_min < width;
    return may_shrink ? column->width_min : width;
}

/* The one that matters least of those that are there, or, with only_wide, could be narrower; of
 * equals the last. columns: there is none. */
static uint32_t find_least(const struct text_column *layout, uint32_t columns, const size_t *widths,
                           bool only_wide)
{
    uint32_t found = columns;
    for (uint32_t i = 0; i < columns; i++) {
        bool counts = widths[i] && (!only_wide || least(&layout[i], widths[i]) < widths[i]);
        if (counts && (found == columns || layout[i].rank <= layout[found].rank))
            found = i;
    }
    return found;
}

void text_table_fit(const struct text_column *layout, uint32_t columns, size_t width,
                    size_t widths[TEXT_COLUMNS_MAX])
{
    size_t small[TEXT_COLUMNS_MAX];
    for (uint32_t i = 0; i < columns; i++)
        small[i] = least(&layout[i], widths[i]);
    for (uint32_t left = columns; left > 1 && sum(small, columns) > width; left--) {
        uint32_t i = find_least(layout, columns, small, false);
        small[i] = widths[i] = 0;
    }
    for (size_t now; (now = sum(widths, columns)) > width;) {
        uint32_t i = find_least(layout, columns, widths, true);
        if (i == columns)
            return;
        size_t spare = widths[i] - least(&layout[i], widths[i]);
        widths[i] -= spare < now - width ? spare : now - width;
    }
}

static void pad(struct buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_char(out, ' ');
}

/* Returns how wide it has become. */
static size_t put_cell(struct buf *out, const char *cell, size_t width)
{
    size_t len = text_cut(cell, width), start = out->len;
    buf_append(out, cell, len);
    if (cell[len])
        buf_text(out, text_ellipsis());
    return out->len > start ? text_width(out->data + start) : 0;
}

void text_table_put_row(const struct text_table *t, uint32_t row,
                        const size_t widths[TEXT_COLUMNS_MAX], struct buf *out)
{
    size_t gap = 0;
    for (uint32_t i = 0; i < t->columns; i++) {
        if (!widths[i])
            continue;
        pad(out, gap);
        size_t used = put_cell(out, t->cells[row * t->columns + i], widths[i]);
        gap = widths[i] - used + GAP;
    }
}

static void put_left_out(const struct text_table *t, const size_t *needed, const size_t *widths,
                         struct buf *out)
{
    const char *sep = "no room for ";
    for (uint32_t i = 0; i < t->columns; i++) {
        if (widths[i] || !needed[i])
            continue;
        buf_printf(out, "%s%s", sep, t->cells[i]);
        sep = ", ";
    }
    if (*sep == ',')
        buf_text(out, "; --json has all\n");
}

void text_table_print_within(const struct text_table *t, size_t width, struct buf *out)
{
    size_t needed[TEXT_COLUMNS_MAX], widths[TEXT_COLUMNS_MAX];
    text_table_measure(t, needed);
    memcpy(widths, needed, sizeof(widths));
    if (width > 0)
        text_table_fit(t->layout, t->columns, width, widths);
    for (uint32_t row = 0; row < t->row_count; row++) {
        text_table_put_row(t, row, widths, out);
        buf_char(out, '\n');
    }
    put_left_out(t, needed, widths, out);
}

void text_table_print(const struct text_table *t, struct buf *out)
{
    text_table_print_within(t, 0, out);
}

void text_table_fini(struct text_table *t)
{
    for (uint32_t i = 0; i < t->row_count * t->columns; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct text_table){.columns = 0};
}
