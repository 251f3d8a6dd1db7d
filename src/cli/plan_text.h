/* plan_text.h: a plan of the daemon's (docs/http.md, "Plans") as people read it. */
#ifndef CLI_PLAN_TEXT_H
#define CLI_PLAN_TEXT_H

#include "base/buf.h"

struct json_t; /* <jansson.h> */

/* Lines: the verdict, who leaves, the gates, the room on the devices. */
void plan_text(struct buf *out, const struct json_t *plan);

#endif
