#include "store/archive_row.h"

#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"

const struct archive_column archive_columns[ARCHIVE_COLUMN__COUNT] = {
#define COLUMN(table_, column_, type_)                                                             \
    [ARCHIVE_##table_##_##column_] = {ARCHIVE_##table_, #column_, ARCHIVE_##type_},
#include "store/archive.def"
};

const char *const archive_table_names[ARCHIVE__COUNT] = {
#define TABLE(table, name, time, filter) [ARCHIVE_##table] = #name,
#include "store/archive.def"
};

uint32_t archive_column_first(enum archive_table table)
{
    static const uint32_t firsts[ARCHIVE__COUNT] = {
#define TABLE(table, name, time, filter) [ARCHIVE_##table] = ARCHIVE_##table##_##time,
#include "store/archive.def"
    };
    return firsts[table];
}

uint32_t archive_column_end(enum archive_table table)
{
    return table + 1 < ARCHIVE__COUNT ? archive_column_first(table + 1) : ARCHIVE_COLUMN__COUNT;
}

enum archive_column_id archive_filter(enum archive_table table)
{
    static const enum archive_column_id filters[ARCHIVE__COUNT] = {
#define TABLE(table, name, time, filter) [ARCHIVE_##table] = ARCHIVE_##table##_##filter,
#include "store/archive.def"
    };
    return filters[table];
}

bool archive_type_is_text(enum archive_type type)
{
    return type >= ARCHIVE_NAME;
}

enum archive_table archive_table_find(const char *name, size_t n)
{
    for (int t = 0; t < ARCHIVE__COUNT; t++)
        if (strlen(archive_table_names[t]) == n && memcmp(archive_table_names[t], name, n) == 0)
            return (enum archive_table)t;
    return ARCHIVE__COUNT;
}

static uint32_t place_of(const struct archive_draft *d, enum archive_column_id column)
{
    must(archive_columns[column].table == d->table);
    return (uint32_t)column - archive_column_first(d->table);
}

void archive_draft_init(struct archive_draft *d, enum archive_table table)
{
    uint32_t first = archive_column_first(table), end = archive_column_end(table);
    must(end - first <= ARCHIVE_COLUMNS_MAX);
    d->table = table;
    for (uint32_t i = first; i < end; i++) {
        if (archive_type_is_text(archive_columns[i].type))
            d->values[i - first].text = NULL;
        else
            d->values[i - first].number = ARCHIVE_UNKNOWN;
    }
}

void archive_set_number(struct archive_draft *d, enum archive_column_id column, int64_t number)
{
    must(!archive_type_is_text(archive_columns[column].type));
    d->values[place_of(d, column)].number = number;
}

void archive_set_text(struct archive_draft *d, enum archive_column_id column, const char *text)
{
    must(archive_type_is_text(archive_columns[column].type));
    d->values[place_of(d, column)].text = text;
}

int64_t archive_number(const struct archive_draft *d, enum archive_column_id column)
{
    must(!archive_type_is_text(archive_columns[column].type));
    return d->values[place_of(d, column)].number;
}

const char *archive_text(const struct archive_draft *d, enum archive_column_id column)
{
    must(archive_type_is_text(archive_columns[column].type));
    const char *text = d->values[place_of(d, column)].text;
    return text ? text : "";
}

struct archive_row *archive_row_new(const struct archive_draft *from)
{
    uint32_t first = archive_column_first(from->table), end = archive_column_end(from->table);
    size_t sizes[ARCHIVE_COLUMNS_MAX] = {0}, size = sizeof(struct archive_row);
    for (uint32_t i = first; i < end; i++) {
        bool has = archive_type_is_text(archive_columns[i].type) && from->values[i - first].text;
        sizes[i - first] = has ? strlen(from->values[i - first].text) + 1 : 0;
        size += sizes[i - first];
    }
    struct archive_row *row = alloc_grow(NULL, size, 1);
    char *at = (char *)(row + 1);
    row->link = (struct link){0};
    row->draft = *from;
    for (uint32_t i = 0; i < end - first; i++) {
        const char *text = sizes[i] ? from->values[i].text : NULL;
        if (!text)
            continue;
        row->draft.values[i].text = memcpy(at, text, sizes[i]);
        at += sizes[i];
    }
    return row;
}
