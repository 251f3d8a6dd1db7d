/* auth.h: API keys of the configuration. */
#ifndef SERVER_PROXY_AUTH_H
#define SERVER_PROXY_AUTH_H

#include <stdbool.h>

struct config;
struct http_head;

/* True when no keys are configured, or the request carries one: Authorization Bearer, the password
 * of Authorization Basic, or x-api-key. Compared in constant time. */
bool auth_allows(const struct config *config, const struct http_head *head, const char *bytes);

#endif
