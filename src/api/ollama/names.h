/* names.h: names of models as Ollama has them: NAME:TAG, where no tag means latest. */
#ifndef API_OLLAMA_NAMES_H
#define API_OLLAMA_NAMES_H

#include "api/handlers.h"

/* The name that the configuration in force for the exchange knows it by: as it is, else without
 * ":latest", else with it; as it is where nothing is called any of these. In `made` or `asked`. */
const char *ollama_name_find(struct exchange *ex, const char *asked, char made[API_NAME_MAX]);
/* Appends the name with its tag. */
void ollama_name_put(const char *name, struct buf *out);

#endif
