/* auth.h: API keys of the configuration. */
#ifndef SERVER_PROXY_AUTH_H
#define SERVER_PROXY_AUTH_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct http_head;

/* True when no keys are configured, or the request carries one: Authorization Bearer, the password
 * of Authorization Basic, or x-api-key. Compared in constant time. *ret_key: the same number
 * whenever the same key is shown, even in another life of the daemon; 0: none is configured. */
bool auth_allows(const struct config *config, const struct http_head *head, const char *bytes,
                 uint32_t *ret_key);

#endif
