/* archive_row.h: rows of the archive: archive.def as data, and how one is put together. */
#ifndef STORE_ARCHIVE_ROW_H
#define STORE_ARCHIVE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pure/list.h"

#define ARCHIVE_UNKNOWN INT64_MIN
#define ARCHIVE_TRACE_DIGITS 32
#define ARCHIVE_COLUMNS_MAX 20 /* of a table */

enum archive_table {
#define TABLE(table, ...) ARCHIVE_##table,
#include "store/archive.def"
    ARCHIVE__COUNT
};

/* ARCHIVE_REQUESTS_model, of all tables together. */
enum archive_column_id {
#define COLUMN(table, column, ...) ARCHIVE_##table##_##column,
#include "store/archive.def"
    ARCHIVE_COLUMN__COUNT
};

enum archive_type {
    ARCHIVE_TIME,
    ARCHIVE_NUMBER,
    ARCHIVE_MILLIS,
    ARCHIVE_FLAG,
    ARCHIVE_GAUGE,
    ARCHIVE_GAUGE_MILLI,
    ARCHIVE_NAME,
    ARCHIVE_LIST,
    ARCHIVE_TEXT,
    ARCHIVE_JSON,
    ARCHIVE_TRACE,
};

struct archive_column {
    enum archive_table table;
    const char *name;
    enum archive_type type;
};

extern const struct archive_column archive_columns[ARCHIVE_COLUMN__COUNT];
extern const char *const archive_table_names[ARCHIVE__COUNT];
/* The columns of a table: from the first, up to but not including the end. */
uint32_t archive_column_first(enum archive_table table);
uint32_t archive_column_end(enum archive_table table);
/* By which a question may choose. */
enum archive_column_id archive_filter(enum archive_table table);
bool archive_type_is_text(enum archive_type type);
/* ARCHIVE__COUNT: there is none of that name. */
enum archive_table archive_table_find(const char *name, size_t n);

/* A row while it is put together; texts are borrowed. */
struct archive_draft {
    enum archive_table table;
    union archive_value {
        int64_t number;
        const char *text; /* NULL or "": none */
    } values[ARCHIVE_COLUMNS_MAX];
};

/* All of it is unknown. */
void archive_draft_init(struct archive_draft *d, enum archive_table table);
/* column: a number or a text of its table. */
void archive_set_number(struct archive_draft *d, enum archive_column_id column, int64_t number);
void archive_set_text(struct archive_draft *d, enum archive_column_id column, const char *text);
int64_t archive_number(const struct archive_draft *d, enum archive_column_id column);
/* "": none. */
const char *archive_text(const struct archive_draft *d, enum archive_column_id column);

/* A row with its texts, in one piece of memory: freed with free(). */
struct archive_row {
    struct link link; /* first: the worker's */
    struct archive_draft draft;
};
struct archive_row *archive_row_new(const struct archive_draft *from) __attribute__((malloc));

#endif
