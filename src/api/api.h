/* api.h: the paths that wharf answers, as tables for the server. */
#ifndef API_API_H
#define API_API_H

struct server_api;

/* Each static; valid for ever. All of them: */
const struct server_api *api_table(void);
/* Ollama's API alone, as on a listener of its own: */
const struct server_api *api_table_ollama(void);

#endif
