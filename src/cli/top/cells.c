#include "cli/top/cells.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/text.h"

#define ELLIPSIS 0x2026

void top_cells_init(struct top_cells *g, uint32_t width, uint32_t height, bool is_utf8)
{
    *g = (struct top_cells){.width = width, .height = height, .is_utf8 = is_utf8};
    g->all = alloc_zeroed((size_t)width * height, sizeof(*g->all));
    for (size_t i = 0; i < (size_t)width * height; i++)
        g->all[i].c = ' ';
}

void top_cells_fini(struct top_cells *g)
{
    free(g->all);
    g->all = NULL;
}

static void set(struct top_cells *g, uint32_t y, uint32_t x, struct top_cell cell)
{
    if (y < g->height && x < g->width)
        g->all[(size_t)y * g->width + x] = cell;
}

static uint32_t put_char(struct top_cells *g, uint32_t y, uint32_t x, struct top_cell cell)
{
    uint32_t width = (uint32_t)text_char_width(cell.c);
    if (!g->is_utf8 && cell.c > 0x7e) {
        cell.c = '?';
        width = width ? 1 : 0;
    }
    if (width > 0)
        set(g, y, x, cell);
    if (width == 2)
        set(g, y, x + 1, (struct top_cell){.style = cell.style});
    return x + width;
}

uint32_t top_cells_put(struct top_cells *g, uint32_t y, uint32_t x, enum top_style style,
                       const char *text)
{
    struct top_cell cell = {.style = (uint8_t)style};
    if (y >= g->height || x >= g->width)
        return x;
    bool is_cut = text_width(text) > g->width - x;
    uint32_t end = is_cut ? g->width - 1 : g->width;
    for (size_t at = 0; text[at];) {
        at += text_char(text + at, &cell.c);
        if (x + text_char_width(cell.c) > end)
            break;
        x = put_char(g, y, x, cell);
    }
    cell.c = g->is_utf8 ? ELLIPSIS : '~';
    if (is_cut) {
        set(g, y, x, cell);
        x++;
    }
    return x;
}

void top_cells_fill(struct top_cells *g, uint32_t y, uint32_t x, uint32_t n, struct top_cell cell)
{
    for (uint32_t i = 0; i < n; i++)
        set(g, y, x + i, cell);
}

void top_cells_restyle(struct top_cells *g, uint32_t y, enum top_style style)
{
    for (uint32_t x = 0; y < g->height && x < g->width; x++)
        g->all[(size_t)y * g->width + x].style = (uint8_t)style;
}

void top_cells_char(uint32_t c, char out[5])
{
    memset(out, 0, 5);
    if (c < 0x80) {
        out[0] = (char)c;
    } else if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
    } else {
        out[0] = (char)(0xf0 | c >> 18);
        out[1] = (char)(0x80 | (c >> 12 & 0x3f));
        out[2] = (char)(0x80 | (c >> 6 & 0x3f));
        out[3] = (char)(0x80 | (c & 0x3f));
    }
}

void top_cells_print(const struct top_cells *g, struct buf *out)
{
    char text[5];
    for (uint32_t y = 0; y < g->height; y++) {
        size_t start = out->len;
        for (uint32_t x = 0; x < g->width; x++) {
            top_cells_char(g->all[(size_t)y * g->width + x].c, text);
            buf_text(out, text);
        }
        while (out->len > start && out->data[out->len - 1] == ' ')
            out->len--;
        buf_char(out, '\n');
    }
}
