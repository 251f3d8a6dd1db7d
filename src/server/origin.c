#include "server/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/alloc.h"
#include "http/url.h"

struct origin *origin_new(struct server *s)
{
    struct origin *o = alloc_zeroed(1, sizeof(*o));
    o->server = s;
    o->users = 1;
    list_init(&o->idle);
    return o;
}

struct origin *origin_get(struct origin *o)
{
    o->users++;
    return o;
}

void origin_put(struct origin *o)
{
    if (--o->users > 0)
        return;
    must(o->idle.count == 0);
    free(o);
}

/* Names that need a resolver would stall the loop: servers that wharf starts are on this machine,
 * so an address or "localhost" is asked for. */
static bool resolve(struct origin *o, const struct url *url)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&o->addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&o->addr;
    const char *host = strcmp(url->host, "localhost") == 0 ? "127.0.0.1" : url->host;
    return uv_ip4_addr(host, url->port, v4) == 0 || uv_ip6_addr(host, url->port, v6) == 0;
}

int origin_locate(struct origin *o, const char *text, struct err *err)
{
    struct url url;
    if (url_parse(text, &url) < 0)
        return err_set(err, "proxy '%s' is not a http:// URL", text);
    if (url.tls)
        return err_set(err, "proxy '%s': TLS to models is not supported", text);
    if (!resolve(o, &url))
        return err_set(err, "proxy '%s': its host must be an IP address or localhost", text);
    o->port = url.port;
    snprintf(o->host, sizeof(o->host), strchr(url.host, ':') ? "[%s]:%u" : "%s:%u", url.host,
             url.port);
    snprintf(o->base_path, sizeof(o->base_path), "%s", url.path);
    size_t n = strlen(o->base_path);
    while (n && o->base_path[n - 1] == '/')
        o->base_path[--n] = '\0';
    return 0;
}
