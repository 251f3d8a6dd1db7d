#include "config_findings.h"

#include <stdio.h>

#include "cli/output.h"
#include "cli/text.h"

void config_findings_complain(const struct config_report *report)
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
