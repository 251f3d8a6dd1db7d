#include "cli/report_text.h"

#include <inttypes.h>
#include <string.h>

#include "cli/text.h"
#include "cli/text_table.h"
#include "report/tables.h"

#define ROWS_MAX 10

static void write_lines(struct buf *out, const struct buf *lines, size_t width)
{
    struct buf safe = {0};
    text_escape(&safe, TEXT_LOG, lines->data ? lines->data : "", lines->len, false);
    if (safe.len)
        text_wrap_lines(out, safe.data, width);
    buf_fini(&safe);
}

static void write_table(struct buf *out, const struct report_table *t, size_t width)
{
    struct text_column layout[REPORT_COLUMNS_MAX];
    struct text_table table;
    _Static_assert(REPORT_COLUMNS_MAX <= TEXT_COLUMNS_MAX, "they fit");
    for (uint32_t i = 0; i < t->column_count; i++)
        layout[i] = (struct text_column){t->columns[i].heading, t->columns[i].rank,
                                         t->columns[i].width_min};
    text_table_begin(&table, layout, t->column_count);
    for (uint32_t row = 0; row < t->row_count; row++) {
        const char *cells[REPORT_COLUMNS_MAX];
        for (uint32_t i = 0; i < t->column_count; i++)
            cells[i] = t->cells[row * t->column_count + i];
        text_table_add(&table, cells);
    }
    struct buf foot = {0};
    buf_printf(out, "\n%s\n", t->title);
    text_table_print_within(&table, width, out);
    if (t->left_out)
        buf_printf(&foot, "and %" PRIu32 " more; --json has all\n", t->left_out);
    if (*t->note)
        buf_printf(&foot, "%s\n", t->note);
    write_lines(out, &foot, width);
    buf_fini(&foot);
    text_table_fini(&table);
}

/* How much was waited in an hour, by one character. */
static const char *shade_of(const struct report_hour *h, uint64_t most_ns)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[] = {".", ":", "-", "=", "+", "*", "#", "@"};
    if (h->waited_ns == 0)
        return " ";
    uint64_t level = h->waited_ns / (most_ns / countof(bars) + 1);
    if (level >= countof(bars))
        level = countof(bars) - 1;
    return (text_locale_is_utf8() ? bars : plain)[level];
}

static void write_hours(struct buf *out, const struct report *r)
{
    char most[UNITS_TEXT_MAX];
    const char *last = "";
    uint64_t most_ns = 0;
    int at = 0;
    for (uint32_t i = 0; i < r->hour_count; i++)
        if (r->hours[i].waited_ns > most_ns)
            most_ns = r->hours[i].waited_ns;
    if (most_ns == 0)
        return;
    buf_text(out, "\nSeconds waited, by hour\n            0     6     12    18");
    for (uint32_t i = 0; i < r->hour_count; i++) {
        const struct report_hour *h = &r->hours[i];
        if (strcmp(h->date, last) != 0) {
            last = h->date;
            buf_printf(out, "\n%s  ", h->date);
            at = 0;
        }
        for (; at < h->hour; at++)
            buf_char(out, ' ');
        buf_text(out, shade_of(h, most_ns));
        at = h->hour + 1;
    }
    buf_printf(out, "\nThe most in one hour: %s.\n", units_format_duration(most_ns, most));
}

void report_text_write(struct buf *out, const struct report *r, size_t width)
{
    struct report_table tables[REPORT_TABLES_MAX];
    uint32_t count = report_tables(r, ROWS_MAX, tables);
    struct buf lines = {0};
    report_summary(r, &lines);
    report_tell_worst(r, &lines);
    report_tell_policies(r, &lines);
    if (lines.len && lines.data[lines.len - 1] != '\n')
        buf_char(&lines, '\n');
    write_lines(out, &lines, width);
    write_hours(out, r);
    for (uint32_t i = 0; i < count; i++) {
        write_table(out, &tables[i], width);
        report_table_fini(&tables[i]);
    }
    buf_fini(&lines);
}
