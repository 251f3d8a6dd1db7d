/* ollama_name.h: what Ollama calls its models (docs/api.md of Ollama, "Model names"). */
#ifndef CONFIG_OLLAMA_NAME_H
#define CONFIG_OLLAMA_NAME_H

#include <stdbool.h>

/* Whether both are names of the same model: no tag means latest, and no registry Ollama's own. */
bool config_same_ollama_name(const char *a, const char *b);

#endif
