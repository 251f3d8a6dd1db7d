/* sites.h: what a request says of where it comes from, against web pages that would have a browser
 * talk to wharf: by the name that they call it (Host: DNS rebinding), and by their own (Origin, and
 * Sec-Fetch-Site of Fetch Metadata). Pure. */
#ifndef SERVER_SITES_H
#define SERVER_SITES_H

#include <stdbool.h>
#include <stddef.h>

struct config_access;

/* A piece of a head; not terminated. text NULL: it was not there. */
struct site_text {
    const char *text;
    size_t n;
};

/* Whether a page on the Internet cannot be called so: an address, localhost, a name that nobody can
 * register (RFC 6761, RFC 6762, RFC 8375, and top-level domains reserved for private use or never
 * delegated), the machine's own name, or one of `hosts`. host: with or without a port. */
bool sites_know_host(const struct config_access *a, const char *own_name, struct site_text host);

/* How much the site named by Origin may do. */
enum site_trust {
    SITE_NONE,   /* nothing */
    SITE_MODELS, /* use models */
    SITE_ALL,    /* what the key allows */
};
/* own: of a page that came from where the request went. */
enum site_trust sites_trust(const struct config_access *a, struct site_text origin);

/* Whether the request is another site's page's: by Sec-Fetch-Site, which browsers send to https and
 * to this machine (Fetch Metadata, section 2); else by Origin. */
bool sites_cross(struct site_text fetch_site, struct site_text origin, struct site_text host);

#endif
