/* cells.h: a screen as a grid of characters, before anything draws it. */
#ifndef CLI_TOP_CELLS_H
#define CLI_TOP_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* What it is, which decides how it looks; without colours only some can be told apart. */
enum top_style {
    TOP_PLAIN,
    TOP_TITLE,
    TOP_HEADING,
    TOP_HEADING_HERE, /* of the section that the keys are about */
    TOP_DIM,
    TOP_GOOD,
    TOP_BUSY, /* something is under way */
    TOP_BAD,
    TOP_SELECTED,
    TOP_POPUP,
    TOP_MODEL_A, /* pieces of a bar: models side by side differ */
    TOP_MODEL_B,
    TOP_LEASED,
    TOP_FOREIGN,
    TOP_SETTLING,
    TOP_RESERVED,
    TOP_FREE,
    TOP_STYLE__COUNT
};

struct top_cell {
    uint32_t c; /* 0: the right half of a wide character */
    uint8_t style;
};

struct top_cells {
    uint32_t width, height;
    bool is_utf8; /* else what is not ASCII is shown as '?' */
    struct top_cell *all;
};

/* Filled with spaces. */
void top_cells_init(struct top_cells *g, uint32_t width, uint32_t height, bool is_utf8);
void top_cells_fini(struct top_cells *g);
/* Puts text that is safe already from x on, width_max columns at most and not beyond the edge, with
 * an ellipsis where it is cut. Rows and columns outside are left out. Returns where it ended. */
uint32_t top_cells_put(struct top_cells *g, uint32_t y, uint32_t x, enum top_style style,
                       const char *text);
/* Columns [x, x + n) of a row with one character. */
void top_cells_fill(struct top_cells *g, uint32_t y, uint32_t x, uint32_t n, struct top_cell cell);
/* The row has that style from now on, whatever it has in it. */
void top_cells_restyle(struct top_cells *g, uint32_t y, enum top_style style);
/* One cell's character as UTF-8. */
void top_cells_char(uint32_t c, char out[5]);
/* All of it as lines, without spaces at their ends. */
void top_cells_print(const struct top_cells *g, struct buf *out);

#endif
