/* proxy.h: the address of a server that requests are sent to. Private to config/. */
#ifndef CONFIG_PROXY_H
#define CONFIG_PROXY_H

#include "config/resolve.h"

/* The address at v, the value of `key`, without what wharf has no use for (user name, password,
 * fragment), of which a warning tells. Errors: another scheme than http and https, no host, a port
 * that is none.
 * `${PORT}` may stand where a port does. */
char *proxy_resolve(struct resolver *r, const char *key, const struct value *v);

#endif
