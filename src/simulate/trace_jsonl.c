#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "simulate/trace_row.h"

#define NUMBER_TEXT_MAX 400 /* the digits of the largest real number, and some behind its point */

static int cell_of(const json_t *value, char text[NUMBER_TEXT_MAX], const char **ret)
{
    *ret = NULL;
    if (json_is_string(value))
        *ret = json_string_value(value);
    else if (json_is_integer(value))
        snprintf(text, NUMBER_TEXT_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(text, NUMBER_TEXT_MAX, "%.9f", json_real_value(value));
    else if (!json_is_null(value))
        return -1;
    if (json_is_number(value))
        *ret = text;
    return 0;
}

static int take_object(struct trace_file *f, json_t *object, struct err *e)
{
    char texts[TRACE__COLUMNS][NUMBER_TEXT_MAX];
    const char *cells[TRACE__COLUMNS] = {NULL};
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        enum trace_column column = trace_column_find(name);
        if (column == TRACE__COLUMNS)
            continue;
        if (cell_of(value, texts[column], &cells[column]) < 0)
            return err_set(e, "'%.60s' is neither a text nor a number", name);
    }
    return trace_row_add(f, cells, e);
}

static int take_line(struct trace_file *f, const char *line, size_t n, struct err *e)
{
    json_error_t problem;
    if (line[strspn(line, " \t\r\n")] == '\0' && strlen(line) == n)
        return 0;
    json_t *object = json_loadb(line, n, JSON_REJECT_DUPLICATES, &problem);
    if (!object)
        return err_set(e, "not JSON: %.200s", problem.text);
    int rc = json_is_object(object) ? take_object(f, object, e) : err_set(e, "not a JSON object");
    json_decref(object);
    return rc;
}

int trace_jsonl_read(struct trace_file *f, struct err *e)
{
    auto_free char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, f->stream)) >= 0) {
        f->line++;
        if (take_line(f, line, (size_t)n, e) < 0)
            return -1;
    }
    return 0;
}
