/* auth.h: who sends a request, by a key of the configuration or as a user of this machine, and what
 * he may do. */
#ifndef SERVER_PROXY_AUTH_H
#define SERVER_PROXY_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "server/net/peer_user.h"
#include "server/route.h"

struct config;
struct config_key;
struct http_head;

struct auth {
    uint32_t number; /* the same whenever the same key is shown, even in another life of the daemon;
                      * 0: none is configured */
    uint32_t rights; /* a bit for each enum route_right */
    bool shown;      /* it carried a key, right or wrong */
    const struct config_key *key; /* what is configured for it; NULL: none are */
};

/* What the key may do: reading alone (readOnly), some models alone (models), all but what is
 * administered, or everything. */
uint32_t auth_rights_of(const struct config_key *key);
static inline bool auth_may(const struct auth *a, enum route_right right)
{
    return a->rights >> right & 1;
}

/* False: keys are configured, and the request carries none: as Authorization Bearer, the password
 * of Authorization Basic, or x-api-key; nor is its sender a user who needs none. Compared in
 * constant time. Where none are configured everybody may do everything, but for users of this
 * machine who came in by a unix socket and are neither wharf's nor root: these administer nothing.
 */
bool auth_allows(const struct config *config, const struct http_head *head, const char *bytes,
                 const struct peer_user *sender, struct auth *ret_auth);

#endif
