/* tables.h: a report's figures as rows of texts, for whoever draws them. */
#ifndef REPORT_TABLES_H
#define REPORT_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "report/report.h"

#define REPORT_TABLES_MAX 8
#define REPORT_COLUMNS_MAX 10

struct report_column {
    const char *heading;
    uint8_t rank;      /* how much it matters where there is little room; 0 gives way first */
    uint8_t width_min; /* it may be shortened to so many columns; 0: it holds numbers */
};

struct report_table {
    const char *title;
    const char *note; /* a sentence about it, or "" */
    const struct report_column *columns;
    uint32_t column_count;
    char **cells; /* owned; row_count * column_count texts, not escaped */
    uint32_t row_count;
    uint32_t left_out; /* rows beyond rows_max */
};

/* Those in which there is something, in the order in which they are read, each with rows_max rows
 * at most. Returns how many; give each to report_table_fini. */
uint32_t report_tables(const struct report *r, uint32_t rows_max,
                       struct report_table ret[REPORT_TABLES_MAX]);
void report_table_fini(struct report_table *t);

/* What goes before the tables: what was looked at; and the worst, in one line, or in two where it
 * stands out. Whole lines, not escaped but for their line feeds. */
void report_summary(const struct report *r, struct buf *out);
void report_tell_worst(const struct report *r, struct buf *out);

#endif
