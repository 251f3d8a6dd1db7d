/* answer.h: what a model's server answers, in the words of Ollama's API: a relay filter.
 *
 * A stream of events becomes one JSON object a line, event by event; a whole answer becomes one
 * object when it is complete, embeddings as they come (vectors.h). An error of the model's server
 * keeps its status. What goes wrong once lines have begun is a last line of its own. */
#ifndef API_OLLAMA_ANSWER_H
#define API_OLLAMA_ANSWER_H

#include "api/ollama/ask.h"

struct exchange;

/* Of one event, and of an answer that is whole; what is larger is an error. */
#define OLLAMA_EVENT_MAX (1024 * 1024)
#define OLLAMA_WHOLE_MAX (16 * 1024 * 1024)

/* Has the answer to the request translated; takes over what is in ask. */
void ollama_answer_begin(struct exchange *ex, struct ollama_ask *ask);
/* What was asked, from then on; it lives as long as the exchange. */
const struct ollama_ask *ollama_answer_ask(const struct exchange *ex);
/* An answer without the model's server: the model has been loaded, or is going to leave, and
 * nothing else was asked. why: "load" or "unload". Ends the exchange. */
void ollama_answer_nothing(struct exchange *ex, const char *why);

#endif
