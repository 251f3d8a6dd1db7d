/* report.h: what the configuration's reader found, told to a person or a program. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "base/buf.h"
#include "config/config.h"

/* Every line on stderr, then, where there are errors, how many. */
void report_complain(const struct config_report *report);
/* The lines as a JSON array of texts. */
void report_write_json(const struct config_report *report, struct buf *out);

#endif
