/* model_op.h: the commands that ask the daemon to do something with one model, and wait for it. */
#ifndef CLI_MODEL_OP_H
#define CLI_MODEL_OP_H

#include "cli/session.h"

/* POST /wharf/models/ID/VERB[?query], without a time limit, and one line about what came of it.
 * query: NULL for none. Returns the exit status. */
int model_op(const struct session *s, const char *id, const char *verb, const char *query);

#endif
