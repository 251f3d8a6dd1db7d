/* calls.h: what Ollama's API does with a model: the routes' translate, and keep_alive. */
#ifndef API_OLLAMA_CALLS_H
#define API_OLLAMA_CALLS_H

#include "api/handlers.h"

struct ollama_ask;

/* For struct route's translate. */
void ollama_call_chat(struct server *s, struct exchange *ex);
void ollama_call_generate(struct server *s, struct exchange *ex);
void ollama_call_embed(struct server *s, struct exchange *ex);
void ollama_call_embeddings(struct server *s, struct exchange *ex);

/* Tells the core of keep_alive, where it is given, for the model that has the exchange. */
void ollama_keep(struct exchange *ex, const struct ollama_ask *ask);

#endif
