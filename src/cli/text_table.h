/* text_table.h: rows of cells in columns, as wide as they need to be or as there is room for. */
#ifndef CLI_TEXT_TABLE_H
#define CLI_TEXT_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define TEXT_COLUMNS_MAX 12

struct text_column {
    const char *heading;
    uint8_t rank; /* how much it matters: where there is little room, 0 gives way first */
    /* It may be shortened to so many columns, with an ellipsis; 0: it holds numbers, and is there
     * as a whole or not at all. */
    uint8_t width_min;
};

/* All zero is an empty table; set columns before the first row, and layout where it is to be
 * fitted. */
struct text_table {
    uint32_t columns;
    const struct text_column *layout; /* borrowed; NULL: all columns matter the same */
    uint32_t row_count, rows_max;
    char **cells; /* owned; row_count * columns texts */
};

/* An empty table whose first row are the headings. */
void text_table_begin(struct text_table *t, const struct text_column *layout, uint32_t columns);
/* cells: one text a column, copied with TEXT_LINE. */
void text_table_add(struct text_table *t, const char *const *cells);
/* Each column as wide as its widest cell. */
void text_table_print(const struct text_table *t, struct buf *out);
/* No line is wider than width: the columns that matter least are shortened first, then left out;
 * what was left out a last line says. width 0: as text_table_print. */
void text_table_print_within(const struct text_table *t, size_t width, struct buf *out);
/* The same without that line, and each line on its own: how wide each column is, of widths as they
 * would need to be; 0: it is left out. */
void text_table_fit(const struct text_column *layout, uint32_t columns, size_t width,
                    size_t widths[TEXT_COLUMNS_MAX]);
/* The widths that all cells would need. */
void text_table_measure(const struct text_table *t, size_t widths[TEXT_COLUMNS_MAX]);
/* One row, without a line feed. */
void text_table_put_row(const struct text_table *t, uint32_t row,
                        const size_t widths[TEXT_COLUMNS_MAX], struct buf *out);
void text_table_fini(struct text_table *t);

#endif
