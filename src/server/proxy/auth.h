/* auth.h: API keys of the configuration. */
#ifndef SERVER_PROXY_AUTH_H
#define SERVER_PROXY_AUTH_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct config_key;
struct http_head;

/* The key that a request shows. */
struct auth {
    uint32_t number; /* the same whenever the same key is shown, even in another life of the daemon;
                      * 0: none is configured */
    const struct config_key *key; /* what is configured for it; NULL: nothing but the key */
};

/* True when no keys are configured, or the request carries one: Authorization Bearer, the password
 * of Authorization Basic, or x-api-key. Compared in constant time. */
bool auth_allows(const struct config *config, const struct http_head *head, const char *bytes,
                 struct auth *ret_auth);

#endif
