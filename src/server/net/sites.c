#include "server/net/sites.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/pure/check.h"
#include "config/access.h"

#define HOST_BYTES_MAX 255

static bool equal(struct site_text t, const char *word)
{
    return t.text && t.n == strlen(word) && strncasecmp(t.text, word, t.n) == 0;
}

static bool ends_with(struct site_text t, const char *tail)
{
    size_t n = strlen(tail);
    return t.n > n && strncasecmp(t.text + t.n - n, tail, n) == 0;
}

/* Without the port, and the brackets of an IPv6 address; *ret_address: it had them. */
static struct site_text bare(struct site_text host, bool *ret_brackets)
{
    const char *colon = memchr(host.text, ':', host.n);
    const char *close = memchr(host.text, ']', host.n);
    size_t behind = close ? (size_t)(close - host.text) + 1 : 0;
    *ret_brackets = host.n && host.text[0] == '[';
    if (*ret_brackets && (!close || (behind < host.n && host.text[behind] != ':')))
        return (struct site_text){0};
    if (*ret_brackets)
        return (struct site_text){host.text + 1, (size_t)(close - host.text) - 1};
    if (colon)
        host.n = (size_t)(colon - host.text);
    /* The root's dot: the same name. */
    if (host.n > 1 && host.text[host.n - 1] == '.')
        host.n--;
    return host;
}

static bool is_address(struct site_text host, bool brackets)
{
    char text[HOST_BYTES_MAX + 1];
    unsigned char bytes[sizeof(struct in6_addr)];
    memcpy(text, host.text, host.n);
    text[host.n] = '\0';
    return inet_pton(brackets ? AF_INET6 : AF_INET, text, bytes) == 1;
}

/* No label but the last one, or one of these last ones. */
static bool is_private(struct site_text host)
{
    static const char *const tails[] = {".localhost", ".local",    ".internal",   ".home.arpa",
                                        ".test",      ".lan",      ".home",       ".corp",
                                        ".private",   ".intranet", ".localdomain"};
    bool is = !memchr(host.text, '.', host.n);
    for (size_t i = 0; i < countof(tails) && !is; i++)
        is = ends_with(host, tails[i]);
    return is;
}

bool sites_know_host(const struct config_access *a, const char *own_name, struct site_text host)
{
    bool brackets = false, known;
    if (!host.text || host.n == 0)
        return true; /* no browser leaves it out */
    host = bare(host, &brackets);
    if (host.n == 0 || host.n > HOST_BYTES_MAX)
        return false;
    known = is_address(host, brackets) || (!brackets && is_private(host)) || equal(host, own_name);
    for (uint32_t i = 0; i < a->hosts.count && !known; i++)
        known = equal(host, a->hosts.items[i]);
    return known;
}

enum site_trust sites_trust(const struct config_access *a, struct site_text origin)
{
    bool any = !a->origins_given;
    for (uint32_t i = 0; i < a->origins.count; i++) {
        if (equal(origin, a->origins.items[i]))
            return SITE_ALL;
        any |= strcmp(a->origins.items[i], "*") == 0;
    }
    return any ? SITE_MODELS : SITE_NONE;
}

/* Whether "SCHEME://HOST:PORT" is what the client calls this server; both leave out a port that is
 * the scheme's own (RFC 6454, section 6.2). */
static bool is_own(struct site_text origin, struct site_text host)
{
    return host.text && host.n && origin.n > host.n + 3 &&
           memcmp(origin.text + origin.n - host.n - 3, "://", 3) == 0 &&
           strncasecmp(origin.text + origin.n - host.n, host.text, host.n) == 0;
}

bool sites_cross(struct site_text fetch_site, struct site_text origin, struct site_text host)
{
    if (fetch_site.text)
        return !equal(fetch_site, "same-origin") && !equal(fetch_site, "none");
    return origin.text && !is_own(origin, host);
}
