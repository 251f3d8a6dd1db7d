/* report_text.h: a report for people, at a terminal. */
#ifndef CLI_REPORT_TEXT_H
#define CLI_REPORT_TEXT_H

#include "report/report.h"

/* Safe for a terminal; no line is wider than width, but for what cannot be shortened. 0: any. */
void report_text_write(struct buf *out, const struct report *r, size_t width);

#endif
