/* text.h: text from elsewhere made safe for a terminal, tables, and wrapped paragraphs.
 *
 * Names, logs and messages of the daemon can hold what a model or a client chose; a terminal that
 * is shown escape sequences obeys them. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum text_mode {
    TEXT_LINE, /* everything that is no printable character is shown as \xNN, \n, \u{NNNN} */
    TEXT_LOG,  /* as TEXT_LINE, but line feeds and tabs stay */
    TEXT_JSON, /* the text is valid JSON and stays so: \uNNNN, and spaces for line feeds */
};

/* Appends text to out with control bytes (C0, DEL, C1), bytes that are not UTF-8, and characters
 * that reorder or hide text (bidirectional controls, line separators) escaped.
 * more: further bytes may follow, so a character that is cut off at the end is left for the next
 * call. Returns how many bytes were taken, which is n without more. */
size_t text_escape(struct buf *out, enum text_mode mode, const char *text, size_t n, bool more);
void text_escape_all(struct buf *out, enum text_mode mode, const char *text);

/* Characters on the screen, taken as one column each; text is UTF-8. */
size_t text_width(const char *text);

/* Appends paragraphs, wrapped before column `width`, all lines but the first indented by indent
 * spaces, and the first too unless `column` says how far the present line already goes. */
void text_wrap(struct buf *out, const char *text, size_t column, size_t indent, size_t width);

#define TEXT_COLUMNS_MAX 12

/* Rows of cells, each column as wide as its widest cell. All zero is an empty table; set columns
 * before the first row. */
struct text_table {
    uint32_t columns;
    uint32_t row_count, rows_max;
    char **cells; /* owned; row_count * columns texts */
};
/* cells: one text a column, copied with TEXT_LINE. */
void text_table_add(struct text_table *t, const char *const *cells);
void text_table_print(const struct text_table *t, struct buf *out);
void text_table_fini(struct text_table *t);

#endif
