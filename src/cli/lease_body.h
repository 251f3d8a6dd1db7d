/* lease_body.h: what the commands that speak of a lease have in common: --vram, --gpus, --gate and
 * --class, as members of a JSON object. */
#ifndef CLI_LEASE_BODY_H
#define CLI_LEASE_BODY_H

#include <stdbool.h>

#include "base/buf.h"
#include "cli/args.h"

#define LEASE_BODY_GATES_MAX 4

/* Whether any memory or gate is asked for. */
bool lease_body_asked(const struct cli_args *args);
/* A member, with the comma before it where one is due; nothing for NULL. */
void lease_body_text(struct buf *body, const char *name, const char *value);
/* The members that the four options make; body holds an object that has begun. */
void lease_body_put(struct buf *body, const struct cli_args *args);

#endif
