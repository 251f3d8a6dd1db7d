/* history_text.h: rows of wharf's history as people and spreadsheets read them. */
#ifndef CLI_HISTORY_TEXT_H
#define CLI_HISTORY_TEXT_H

#include "base/buf.h"

struct json_t; /* <jansson.h> */
struct text_column;
struct text_table;

struct history_table {
    const char *name;
    const char *filter; /* what --model is in the query */
    const struct text_column *columns;
    uint32_t column_count;
    void (*add)(struct text_table *table, const struct json_t *row);
};

/* NULL: there is none of that name. */
const struct history_table *history_table_find(const char *name);
/* Rows in the order newest first, as a table with the newest at its end, as wide as the terminal;
 * safe for it. */
void history_text_table(struct buf *out, const struct history_table *table,
                        const struct json_t *rows);
/* A line of CSV (RFC 4180): of the row's names, or of the row. Safe for a terminal. */
void history_text_headings(struct buf *out, const struct json_t *row);
void history_text_csv(struct buf *out, const struct json_t *row);

#endif
