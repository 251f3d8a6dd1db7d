/* lists.h: handlers of Ollama's API that tell of models, and of itself. */
#ifndef API_OLLAMA_LISTS_H
#define API_OLLAMA_LISTS_H

#include "api/handlers.h"

/* Of Ollama, whose API this is: clients refuse what is older than they need. */
#define OLLAMA_API_VERSION "0.12.6"

void ollama_tags(struct server *s, struct exchange *ex);
void ollama_ps(struct server *s, struct exchange *ex);
void ollama_show(struct server *s, struct exchange *ex);
void ollama_version(struct server *s, struct exchange *ex);
/* The page of the pure face. */
void ollama_running(struct server *s, struct exchange *ex);
/* What only a real Ollama can do: 501. */
void ollama_cannot(struct server *s, struct exchange *ex);

#endif
