#include <inttypes.h>

#include "base/alloc.h"
#include "report/picture.h"
#include "report/tables.h"
#include "simulate/markup.h"

#define ROWS_MAX 100

/* Nothing is fetched and nothing runs: the policy says so to the browser as well. */
static const char head[] =
    "<!DOCTYPE html>\n"
    "<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
    "style-src 'unsafe-inline'\"/>\n"
    "<meta name=\"viewport\" content=\"width=device-width\"/>\n"
    "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
    "<title>wharf report</title>\n<style>\n"
    ":root{color-scheme:light dark;--ink:#222;--paper:#fff;--line:#ddd;--mark:#c4512d}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#ddd;--paper:#181818;--line:#3a3a3a;"
    "--mark:#ff8a5c}}\n"
    "body{font:14px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);"
    "max-width:1040px;margin:2em auto;padding:0 1em}\n"
    "h1{font-size:20px}h2{font-size:15px;margin:1.6em 0 .3em}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.15em .8em .15em 0;border-bottom:1px solid var(--line);text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}\n"
    "th{font-size:11px;font-weight:600}\n"
    "td.n,th.n{text-align:right;white-space:nowrap}\n"
    ".worst{border-left:4px solid var(--mark);padding-left:.8em}\n"
    ".note{opacity:.75;font-size:12px;margin:.3em 0}\n"
    ".scroll{overflow-x:auto}svg{max-width:100%;height:auto}\n";

static void write_cell(struct buf *out, const char *tag, const struct report_column *column,
                       const char *text)
{
    buf_printf(out, "<%s%s>", tag, column->width_min ? "" : " class=\"n\"");
    /* A name's own direction of writing must not turn its neighbours about. */
    buf_text(out, "<bdi>");
    markup_text(out, text);
    buf_printf(out, "</bdi></%s>", tag);
}

static void write_table(struct buf *out, const struct report_table *t)
{
    buf_printf(out, "<h2>%s</h2>\n<div class=\"scroll\"><table>\n<tr>", t->title);
    for (uint32_t i = 0; i < t->column_count; i++)
        write_cell(out, "th", &t->columns[i], t->columns[i].heading);
    buf_text(out, "</tr>\n");
    for (uint32_t row = 0; row < t->row_count; row++) {
        buf_text(out, "<tr>");
        for (uint32_t i = 0; i < t->column_count; i++)
            write_cell(out, "td", &t->columns[i], t->cells[row * t->column_count + i]);
        buf_text(out, "</tr>\n");
    }
    buf_text(out, "</table></div>\n");
    if (t->left_out)
        buf_printf(out, "<p class=\"note\">and %" PRIu32 " more</p>\n", t->left_out);
    if (*t->note)
        buf_printf(out, "<p class=\"note\">%s</p>\n", t->note);
}

/* Each line a paragraph. */
static void write_lines(struct buf *out, const struct buf *lines, const char *kind)
{
    size_t begin = 0;
    for (size_t i = 0; i < lines->len; i++) {
        if (lines->data[i] != '\n')
            continue;
        auto_free char *line = alloc_text_n(lines->data + begin, i - begin);
        buf_printf(out, "<p class=\"%s\">", kind);
        markup_text(out, line);
        buf_text(out, "</p>\n");
        begin = i + 1;
    }
}

void report_write_html(struct buf *out, const struct report *r)
{
    struct report_table tables[REPORT_TABLES_MAX];
    uint32_t count = report_tables(r, ROWS_MAX, tables);
    struct buf lines = {0};
    buf_text(out, head);
    buf_text(out, picture_style);
    buf_text(out, "</style>\n</head>\n<body>\n<h1>wharf report</h1>\n");
    report_summary(r, &lines);
    write_lines(out, &lines, "told");
    buf_clear(&lines);
    report_tell_worst(r, &lines);
    write_lines(out, &lines, r->worst.stands_out ? "worst" : "told");
    buf_clear(&lines);
    report_tell_policies(r, &lines);
    if (lines.len)
        buf_char(&lines, '\n');
    write_lines(out, &lines, "policy");
    picture_write(out, r, false);
    for (uint32_t i = 0; i < count; i++) {
        write_table(out, &tables[i]);
        report_table_fini(&tables[i]);
    }
    buf_text(out, "</body>\n</html>\n");
    buf_fini(&lines);
}
