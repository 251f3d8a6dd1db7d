#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "simulate/trace_row.h"

#define FIELDS_MAX 256
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* which some spreadsheets put before UTF-8 */

/* A quoted field, from behind its quote, in place: "" stands for one quote. Returns what comes
 * behind the closing one; NULL when there is none. */
static char *take_quoted(char *p)
{
    char *to = p;
    for (;; p++) {
        if (*p == '\0')
            return NULL;
        if (*p == '"' && *++p != '"')
            break;
        *to++ = *p;
    }
    char *rest = p;
    *to = '\0';
    return rest;
}

/* Takes a line apart in place. */
static int split(char *line, const char **fields, uint32_t *ret_count, struct err *e)
{
    uint32_t count = 0;
    for (char *p = line;;) {
        if (count == FIELDS_MAX)
            return err_set(e, "more than %d fields", FIELDS_MAX);
        bool is_quoted = *p == '"';
        fields[count++] = is_quoted ? p + 1 : p;
        p = is_quoted ? take_quoted(p + 1) : p + strcspn(p, ",");
        if (!p)
            return err_set(e, "a quote is not closed");
        if (*p && *p != ',')
            return err_set(e, "there is text behind a closing quote");
        if (!*p)
            break;
        *p++ = '\0';
    }
    *ret_count = count;
    return 0;
}

struct csv {
    enum trace_column columns[FIELDS_MAX];
    uint32_t column_count; /* 0: the names are still to come */
};

static int take_names(struct csv *csv, const char *const *fields, uint32_t count, struct err *e)
{
    bool seen[TRACE__COLUMNS + 1] = {false};
    for (uint32_t i = 0; i < count; i++) {
        enum trace_column column = trace_column_find(fields[i]);
        if (column != TRACE__COLUMNS && seen[column])
            return err_set(e, "a second column for '%.60s'", fields[i]);
        seen[column] = true;
        csv->columns[i] = column;
    }
    if (!seen[TRACE_TIME] && !seen[TRACE_TIMESTAMP])
        return err_set(e, "the first line has to name the columns, and one has to be 'time' or "
                          "'timestamp'");
    csv->column_count = count;
    return 0;
}

static int take_fields(struct trace_file *f, const struct csv *csv, const char *const *fields,
                       uint32_t count, struct err *e)
{
    const char *cells[TRACE__COLUMNS + 1] = {NULL};
    if (count != csv->column_count)
        return err_set(e, "%u fields where %u are named", count, csv->column_count);
    for (uint32_t i = 0; i < count; i++)
        cells[csv->columns[i]] = fields[i];
    return trace_row_add(f, cells, e);
}

static int take_line(struct trace_file *f, struct csv *csv, char *line, struct err *e)
{
    const char *fields[FIELDS_MAX];
    uint32_t count = 0;
    if (f->line == 1 && strncmp(line, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
        line += strlen(BYTE_ORDER_MARK);
    line[strcspn(line, "\r\n")] = '\0';
    if (!*line)
        return 0;
    if (split(line, fields, &count, e) < 0)
        return -1;
    return csv->column_count ? take_fields(f, csv, fields, count, e)
                             : take_names(csv, fields, count, e);
}

int trace_csv_read(struct trace_file *f, struct err *e)
{
    struct csv csv = {.column_count = 0};
    auto_free char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, f->stream)) >= 0) {
        f->line++;
        if (strlen(line) != (size_t)n)
            return err_set(e, "a NUL byte");
        if (take_line(f, &csv, line, e) < 0)
            return -1;
    }
    if (csv.column_count == 0)
        return err_set(e, "the file is empty");
    return 0;
}
