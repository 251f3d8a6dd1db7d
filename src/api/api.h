/* api.h: every path that wharf answers, as one table for the server. */
#ifndef API_API_H
#define API_API_H

struct server_api;

/* Static; valid for ever. */
const struct server_api *api_table(void);

#endif
