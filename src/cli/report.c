#include "report.h"

#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/text.h"

void report_complain(const struct config_report *report)
{
    struct buf safe = {0};
    text_escape(&safe, TEXT_LOG, report->text.data, report->text.len, false);
    if (safe.len > 0)
        fwrite(safe.data, 1, safe.len, stderr);
    buf_fini(&safe);
    if (report->errors > 0)
        output_complain("%u %s in the configuration", report->errors,
                        report->errors == 1 ? "error" : "errors");
}

void report_write_json(const struct config_report *report, struct buf *out)
{
    buf_char(out, '[');
    for (size_t at = 0; at < report->text.len;) {
        const char *line = report->text.data + at;
        const char *end = memchr(line, '\n', report->text.len - at);
        size_t n = end ? (size_t)(end - line) : report->text.len - at;
        if (at > 0)
            buf_char(out, ',');
        buf_json(out, line, n);
        at += n + 1;
    }
    buf_char(out, ']');
}
