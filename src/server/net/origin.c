#include "server/net/origin.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

#include "base/alloc.h"
#include "http/chars.h"
#include "http/url.h"
#include "server/server.h"

#define UNIX_PREFIX "unix:"
#define NAME_BYTES_MAX 253 /* RFC 1035, section 2.3.4 */
/* Resolvers do not tell for how long a name holds; this long it is believed. */
#define NAME_FRESH_NS (30 * NS_PER_S)

struct origin *origin_new(struct server *s)
{
    struct origin *o = alloc_zeroed(1, sizeof(*o));
    o->server = s;
    o->users = 1;
    list_init(&o->idle);
    list_init(&o->waiting);
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
    must(o->idle.count == 0 && o->waiting.count == 0);
    free(o);
}

static bool add_address(struct origin *o, const char *text)
{
    struct sockaddr_storage *at = &o->addrs[o->addr_count];
    bool ok = uv_ip4_addr(text, o->port, (struct sockaddr_in *)at) == 0 ||
              uv_ip6_addr(text, o->port, (struct sockaddr_in6 *)at) == 0;
    o->addr_count += ok;
    return ok;
}

/* What needs nobody to be asked is known at once: nearly all servers are on this machine. */
static void find_addresses(struct origin *o)
{
    o->addr_count = o->addr_first = 0;
    o->named = false;
    if (strcmp(o->name, "localhost") == 0) {
        add_address(o, "127.0.0.1");
        add_address(o, "::1");
    } else {
        o->named = !add_address(o, o->name);
    }
}

static int locate_unix(struct origin *o, const char *path, struct err *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&o->addrs[0];
    if (path[0] != '/' || strlen(path) >= sizeof(un->sun_path))
        return err_set(err, "proxy 'unix:%s': it must be an absolute path of at most %zu bytes",
                       path, sizeof(un->sun_path) - 1);
    un->sun_family = AF_UNIX;
    snprintf(un->sun_path, sizeof(un->sun_path), "%s", path);
    o->is_unix = true;
    o->addr_count = 1;
    snprintf(o->host, sizeof(o->host), "localhost");
    return 0;
}

static bool take_query(struct origin *o, const char *query)
{
    for (const char *p = query; *p; p++)
        if (!chars_is(*p, CHAR_TARGET))
            return false;
    return snprintf(o->base_query, sizeof(o->base_query), "%s", query) < (int)sizeof(o->base_query);
}

int origin_locate(struct origin *o, const char *text, struct err *err)
{
    struct url url;
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return locate_unix(o, text + strlen(UNIX_PREFIX), err);
    const char *query = strchr(text, '?');
    char *place = alloc_text(text);
    place[query ? (size_t)(query - text) : strlen(text)] = '\0';
    int rc = url_parse(place, &url);
    free(place);
    if (rc < 0 || !take_query(o, query ? query + 1 : ""))
        return err_set(err, "proxy '%s' is not a http:// URL", text);
    if (strlen(url.host) > NAME_BYTES_MAX)
        return err_set(err, "proxy '%s': its host is too long for a name", text);
    o->port = url.port;
    o->tls = url.tls;
    snprintf(o->name, sizeof(o->name), "%s", url.host);
    int n = snprintf(o->host, sizeof(o->host), strchr(url.host, ':') ? "[%s]" : "%s", url.host);
    if (url.port != (url.tls ? 443 : 80))
        snprintf(o->host + n, sizeof(o->host) - (size_t)n, ":%u", url.port);
    snprintf(o->base_path, sizeof(o->base_path), "%s", url.path);
    size_t len = strlen(o->base_path);
    while (len && o->base_path[len - 1] == '/')
        o->base_path[--len] = '\0';
    find_addresses(o);
    return 0;
}

bool origin_located(const struct origin *o)
{
    return o->addr_count > 0 && (!o->named || uv_hrtime() - o->found_ns < NAME_FRESH_NS);
}

static uint32_t copy_addresses(struct origin *o, const struct addrinfo *found)
{
    uint32_t count = 0;
    for (const struct addrinfo *a = found; a && count < ORIGIN_ADDRS_MAX; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
            continue;
        struct sockaddr_storage *to = &o->addrs[count++];
        memcpy(to, a->ai_addr, a->ai_addrlen);
        if (a->ai_family == AF_INET)
            ((struct sockaddr_in *)to)->sin_port = htons(o->port);
        else
            ((struct sockaddr_in6 *)to)->sin6_port = htons(o->port);
    }
    return count;
}

static void on_found(struct lookup *l, int error, const struct addrinfo *found)
{
    struct origin *o = container_of(l, struct origin, lookup);
    uint32_t count = copy_addresses(o, found);
    struct link *n;
    o->looking = false;
    if (count) {
        o->addr_count = count;
        o->addr_first = 0;
        o->found_ns = uv_hrtime();
    }
    /* Where nothing is found any more, what was found before is still the best guess. */
    if (o->addr_count)
        error = 0;
    else if (error == 0)
        error = UV_EAI_NODATA;
    /* Those who come meanwhile wait for another answer. */
    for (uint32_t left = o->waiting.count; left > 0 && (n = list_pop(&o->waiting)); left--) {
        struct origin_wait *w = list_entry(n, struct origin_wait, link);
        w->on_located(w, error);
    }
    origin_put(o);
}

void origin_await(struct origin *o, struct origin_wait *w)
{
    list_push(&o->waiting, &w->link);
    if (o->looking)
        return;
    o->looking = true;
    origin_get(o);
    o->lookup.host = o->name;
    o->lookup.on_done = on_found;
    resolver_start(&o->server->resolver, &o->lookup);
}
