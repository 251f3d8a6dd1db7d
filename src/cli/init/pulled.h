/* pulled.h: which models were pulled into an Ollama server. */
#ifndef CLI_INIT_PULLED_H
#define CLI_INIT_PULLED_H

#include <stddef.h>

#include "base/pure/check.h"
#include "cli/init/found.h"

struct json_t; /* <jansson.h> */

/* Asks the server at f->ollama, for a few seconds at most. 0 with its models added and f's
 * ollama_answers set; or -1, after a note where something answers that is no Ollama. */
int pulled_look(struct found *f) warn_unused;
/* What GET /api/tags answers (docs/api.md of Ollama); -1: something else. What cannot be loaded
 * from here is noted. Pure. */
int pulled_read(const struct json_t *tags, struct found *f) warn_unused;

#endif
