/* entry.h: what stands between a request and its route: the name that it calls wharf by, its key
 * and what that may do, and the site whose page sends it. The rights are those of the route tables;
 * nothing else decides. */
#ifndef SERVER_PROXY_ENTRY_H
#define SERVER_PROXY_ENTRY_H

#include <stdbool.h>

#include "server/net/sites.h"
#include "server/route.h"

struct exchange;
struct naming;

/* False, and answered, where Host is a name that wharf is not known by: on loopback listeners
 * without TLS and without keys, and with `hosts` on all of TCP without keys. */
bool entry_by_name(struct exchange *ex);
/* False, and answered, when its sender may not do what takes that right. Notes the key. */
bool entry_permits(struct exchange *ex, enum route_right right);
/* False, and answered, when a page of another site sends it to a model's server by a path that is
 * not one of those by which wharf lets such pages use models: who knows what the server does there.
 * path: as that server sees it. */
bool entry_permits_path(struct exchange *ex, const char *path, size_t n);
/* Whether the model or peer, or the selector that chose it, is one of those that the key is for. */
bool entry_reaches(const struct exchange *ex, const struct naming *who);
/* Whether the key is for some models alone: nothing is said to it of others. */
bool entry_is_scoped(const struct exchange *ex);
/* How much the page may do that sends it, if it is one. */
enum site_trust entry_trust(const struct exchange *ex);

#endif
