/* trace_row.h: one line of a trace, taken apart by its format's reader, becomes a row. */
#ifndef SIMULATE_TRACE_ROW_H
#define SIMULATE_TRACE_ROW_H

#include <stdio.h>

#include "simulate/trace.h"

enum trace_column {
    TRACE_TIME,
    TRACE_TIMESTAMP,
    TRACE_MODEL,
    TRACE_CLASS,
    TRACE_KEY,
    TRACE_PROMPT,
    TRACE_OUTPUT,
    TRACE_SECONDS,
    TRACE__COLUMNS, /* also: none of these */
};

struct trace_file {
    FILE *stream;
    const char *path;
    uint32_t line; /* the one that is being read, from 1 */
    struct trace_context *ctx;
    struct workload *work;
};

enum trace_column trace_column_find(const char *name);
/* cells: the texts by column; NULL or "" where there is none. 0, or -1 with e set, without the
 * place. */
int trace_row_add(struct trace_file *f, const char *const cells[TRACE__COLUMNS],
                  struct err *e) warn_unused;
/* Nanoseconds since 1970, of a date and a time of day; UTC unless it names an offset. False when it
 * is none. */
bool trace_parse_date(const char *text, uint64_t *ret_ns);

/* Both read from the line that f stands at to the end; errors as of trace_row_add, with f->line
 * where they are. */
int trace_csv_read(struct trace_file *f, struct err *e) warn_unused;
int trace_jsonl_read(struct trace_file *f, struct err *e) warn_unused;

#endif
