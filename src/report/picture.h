/* picture.h: a report's pictures: how it went hour by hour, and who was there. */
#ifndef REPORT_PICTURE_H
#define REPORT_PICTURE_H

#include "report/report.h"

/* What their classes look like, in light and in dark; for a <style>. */
extern const char picture_style[];
/* One <svg>. with_style: it stands by itself. */
void picture_write(struct buf *out, const struct report *r, bool with_style);

#endif
