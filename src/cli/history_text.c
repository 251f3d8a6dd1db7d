#include "cli/history_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/csv.h"
#include "base/date.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/text_table.h"

/* ---- cells ---- */

static const json_t *member(const json_t *row, const char *name)
{
    return json_object_get(row, name);
}

/* In the time of the place, to the second. */
static const char *show_time(const json_t *row, const char *name, char out[SHOW_CELL_MAX])
{
    uint64_t ns;
    struct tm tm;
    const char *text = json_string_value(member(row, name));
    if (!text || !date_parse(text, &ns))
        return "-";
    time_t seconds = (time_t)(ns / NS_PER_S);
    localtime_r(&seconds, &tm);
    return strftime(out, SHOW_CELL_MAX, "%Y-%m-%d %H:%M:%S", &tm) ? out : "-";
}

static const char *show_ms(const json_t *row, const char *name, char out[SHOW_CELL_MAX])
{
    const json_t *ms = member(row, name);
    if (!json_is_integer(ms) || json_integer_value(ms) < 0)
        return "-";
    return units_format_duration((uint64_t)json_integer_value(ms) * NS_PER_MS, out);
}

static const char *show_took(const json_t *row, const char *name, char out[SHOW_CELL_MAX])
{
    const json_t *seconds = member(row, name);
    if (!json_is_number(seconds))
        return "-";
    return units_format_duration((uint64_t)(json_number_value(seconds) * 1e9), out);
}

/* Between two times of the row. */
static const char *show_between(const json_t *row, const char *from, const char *to,
                                char out[SHOW_CELL_MAX])
{
    uint64_t a, b;
    const char *first = json_string_value(member(row, from));
    const char *last = json_string_value(member(row, to));
    if (!first || !last || !date_parse(first, &a) || !date_parse(last, &b) || b < a)
        return "-";
    return units_format_duration(b - a, out);
}

static double mean(const json_t *row, const char *name)
{
    return json_number_value(member(member(row, name), "mean"));
}

static const char *show_mean_bytes(const json_t *row, const char *name, char out[SHOW_CELL_MAX])
{
    return json_is_object(member(row, name)) ? units_format_bytes((uint64_t)mean(row, name), out)
                                             : "-";
}

static const char *show_mean(const json_t *row, const char *name, const char *unit,
                             char out[SHOW_CELL_MAX])
{
    if (!json_is_object(member(row, name)))
        return "-";
    snprintf(out, SHOW_CELL_MAX, "%.0f%s", mean(row, name), unit);
    return out;
}

/* The first of these that there is. */
static const char *show_first(const json_t *row, const char *a, const char *b, const char *c)
{
    const char *const names[] = {a, b, c};
    for (size_t i = 0; i < countof(names); i++)
        if (names[i] && json_is_string(member(row, names[i])))
            return show_text(row, names[i]);
    return "-";
}

/* ---- tables ---- */

static const struct text_column of_requests[] = {
    {"ARRIVED", 9, 0}, {"MODEL", 8, 12}, {"STATUS", 7, 0}, {"ENDED", 3, 4},
    {"WAITED", 6, 0},  {"LOAD", 4, 0},   {"FIRST", 2, 0},  {"TOTAL", 6, 0},
    {"IN", 5, 0},      {"OUT", 5, 0},    {"CLASS", 1, 4},  {"KEY", 1, 6},
};

static void add_request(struct text_table *table, const json_t *r)
{
    char c[9][SHOW_CELL_MAX];
    const char *cells[] = {show_time(r, "arrived", c[0]),
                           show_text(r, "model"),
                           show_count(r, "status", c[1]),
                           show_text(r, "ended"),
                           show_ms(r, "waited_ms", c[2]),
                           show_ms(r, "load_ms", c[3]),
                           show_ms(r, "first_byte_ms", c[4]),
                           show_ms(r, "total_ms", c[5]),
                           show_count(r, "input_tokens", c[6]),
                           show_count(r, "output_tokens", c[7]),
                           show_text(r, "class"),
                           show_text(r, "key")};
    _Static_assert(countof(cells) == countof(of_requests), "a heading a cell");
    text_table_add(table, cells);
}

static const struct text_column of_swaps[] = {
    {"AT", 9, 0},   {"KIND", 8, 0}, {"MODEL", 8, 12}, {"DEVICES", 4, 6},
    {"TOOK", 6, 0}, {"SIZE", 5, 0}, {"FOR", 4, 8},    {"REASON", 3, 16},
};

static void add_swap(struct text_table *table, const json_t *r)
{
    char at[SHOW_CELL_MAX], devices[SHOW_CELL_MAX], took[SHOW_CELL_MAX], size[SHOW_CELL_MAX];
    char kind[SHOW_CELL_MAX];
    snprintf(kind, sizeof(kind), "%.40s%s", show_text(r, "kind"),
             json_is_false(member(r, "ok")) ? " failed" : "");
    const char *cells[] = {show_time(r, "at", at),
                           kind,
                           show_text(r, "model"),
                           show_list(r, "devices", devices),
                           show_took(r, "seconds", took),
                           show_bytes(r, "bytes", size),
                           show_first(r, "for_model", "for_lease", NULL),
                           show_text(r, "reason")};
    _Static_assert(countof(cells) == countof(of_swaps), "a heading a cell");
    text_table_add(table, cells);
}

static const struct text_column of_leases[] = {
    {"ASKED", 9, 0},   {"NAME", 8, 8},   {"CLASS", 3, 4}, {"SIZE", 5, 0},
    {"DEVICES", 4, 6}, {"WAITED", 6, 0}, {"HELD", 6, 0},  {"HOW", 7, 12},
};

static void add_lease(struct text_table *table, const json_t *r)
{
    char asked[SHOW_CELL_MAX], size[SHOW_CELL_MAX], devices[SHOW_CELL_MAX];
    char waited[SHOW_CELL_MAX], held[SHOW_CELL_MAX];
    bool granted = json_is_string(member(r, "granted"));
    const char *cells[] = {show_time(r, "asked", asked),
                           show_first(r, "name", "lease", NULL),
                           show_text(r, "class"),
                           show_bytes(r, "bytes", size),
                           show_list(r, "devices", devices),
                           show_between(r, "asked", granted ? "granted" : "ended", waited),
                           show_between(r, "granted", "ended", held),
                           show_text(r, "how")};
    _Static_assert(countof(cells) == countof(of_leases), "a heading a cell");
    text_table_add(table, cells);
}

static const struct text_column of_decisions[] = {
    {"AT", 9, 0},   {"WHAT", 8, 0},  {"WHO", 8, 12},    {"FOR", 6, 8},
    {"SIZE", 5, 0}, {"TIMES", 3, 0}, {"REASON", 7, 16},
};

static void add_decision(struct text_table *table, const json_t *r)
{
    char at[SHOW_CELL_MAX], size[SHOW_CELL_MAX], count[SHOW_CELL_MAX];
    bool model = json_is_string(member(r, "model"));
    const char *cells[] = {show_time(r, "at", at),
                           show_text(r, "type"),
                           model ? show_text(r, "model")
                                 : show_first(r, "lease_name", "lease", NULL),
                           model ? show_first(r, "for_model", "lease_name", "lease")
                                 : show_first(r, "for_model", NULL, NULL),
                           show_bytes(r, "bytes", size),
                           show_count(r, "count", count),
                           show_text(r, "reason")};
    _Static_assert(countof(cells) == countof(of_decisions), "a heading a cell");
    text_table_add(table, cells);
}

static const struct text_column of_samples[] = {
    {"AT", 9, 0},    {"DEVICE", 8, 6}, {"SPAN", 3, 0},    {"USED", 7, 0},
    {"OWN", 5, 0},   {"LEASED", 4, 0}, {"FOREIGN", 4, 0}, {"BUSY", 6, 0},
    {"POWER", 5, 0}, {"TEMP", 4, 0},   {"WAITING", 2, 0}, {"RUNNING", 2, 0},
};

static void add_sample(struct text_table *table, const json_t *r)
{
    char c[11][SHOW_CELL_MAX];
    const json_t *span = member(r, "span_s");
    bool is_device = json_is_string(member(r, "device"));
    const char *cells[] = {
        show_time(r, "at", c[0]),
        is_device ? show_text(r, "device") : "(wharf)",
        units_format_duration((uint64_t)json_integer_value(span) * NS_PER_S, c[1]),
        show_mean_bytes(r, "used_bytes", c[2]),
        show_mean_bytes(r, "own_bytes", c[3]),
        show_mean_bytes(r, "leased_bytes", c[4]),
        show_mean_bytes(r, "foreign_bytes", c[5]),
        show_mean(r, "utilisation_percent", "%", c[6]),
        show_mean(r, "power_w", "W", c[7]),
        show_mean(r, "temperature_c", "C", c[8]),
        show_mean(r, "waiting", "", c[9]),
        show_mean(r, "in_flight", "", c[10])};
    _Static_assert(countof(cells) == countof(of_samples), "a heading a cell");
    text_table_add(table, cells);
}

static const struct history_table tables[] = {
    {"requests", "model", of_requests, countof(of_requests), add_request},
    {"swaps", "model", of_swaps, countof(of_swaps), add_swap},
    {"leases", "name", of_leases, countof(of_leases), add_lease},
    {"decisions", "model", of_decisions, countof(of_decisions), add_decision},
    {"samples", "device", of_samples, countof(of_samples), add_sample},
};

const struct history_table *history_table_find(const char *name)
{
    for (size_t i = 0; i < countof(tables); i++)
        if (strcmp(tables[i].name, name) == 0)
            return &tables[i];
    return NULL;
}

void history_text_table(struct buf *out, const struct history_table *t, const json_t *rows)
{
    struct text_table table;
    size_t count = json_array_size(rows);
    if (count == 0) {
        buf_printf(out, "there are no %s\n", t->name);
        return;
    }
    text_table_begin(&table, t->columns, t->column_count);
    for (size_t i = count; i-- > 0;)
        t->add(&table, json_array_get(rows, i));
    text_table_print_within(&table, text_terminal_columns(), out);
    text_table_fini(&table);
}

/* ---- CSV ---- */

static const char *const gauge_parts[] = {"min", "mean", "max"};

/* What a terminal would obey is escaped. */
static void put_cell(struct buf *out, const char *text)
{
    struct buf safe = {0};
    text_escape_all(&safe, TEXT_LINE, text);
    csv_put_text(out, safe.data ? safe.data : "");
    buf_fini(&safe);
}

static void put_value(struct buf *out, const json_t *value)
{
    char number[32];
    if (json_is_string(value)) {
        put_cell(out, json_string_value(value));
    } else if (json_is_real(value)) {
        snprintf(number, sizeof(number), "%.15g", json_real_value(value));
        buf_text(out, number);
    } else if (!json_is_null(value) && value) {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        put_cell(out, text);
        free(text);
    }
}

/* Of a sample, each value but the first few is three, and null is three empty ones. */
static bool is_gauge(const json_t *row, const char *name, const json_t *value)
{
    static const char *const plain[] = {"id", "at", "device", "span_s", "samples"};
    bool is_sample = member(row, "span_s") != NULL;
    for (size_t i = 0; i < countof(plain); i++)
        is_sample = is_sample && strcmp(plain[i], name) != 0;
    return is_sample && (json_is_object(value) || json_is_null(value));
}

static void put_line(struct buf *out, const json_t *row, bool headings)
{
    const char *name, *sep = "";
    json_t *value;
    /* Jansson's iterators take what they do not change as if they did. */
    json_object_foreach((json_t *)(uintptr_t)row, name, value)
    {
        size_t parts = is_gauge(row, name, value) ? countof(gauge_parts) : 1;
        for (size_t i = 0; i < parts; i++) {
            buf_text(out, sep);
            if (headings)
                buf_text(out, name);
            if (headings && parts > 1)
                buf_printf(out, "_%s", gauge_parts[i]);
            if (!headings)
                put_value(out, parts > 1 ? member(value, gauge_parts[i]) : value);
            sep = ",";
        }
    }
    buf_text(out, "\r\n");
}

void history_text_headings(struct buf *out, const json_t *row)
{
    put_line(out, row, true);
}

void history_text_csv(struct buf *out, const json_t *row)
{
    put_line(out, row, false);
}
