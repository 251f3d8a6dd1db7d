/* url.h: percent-decoding, query strings and http URLs (RFC 3986). */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pure/check.h"

/* Decodes %XX; '+' becomes a space when plus is set. Fails (false) on a malformed escape, a decoded
 * NUL, or when the result and its NUL do not fit; out is then not to be used. */
bool url_decode(const char *text, size_t n, bool plus, char *out, size_t out_size);

/* Finds name=VALUE in a query string or urlencoded form and decodes the first value. Names are
 * compared decoded.
 * Returns the number of times the name occurs, or -1 when the value cannot be decoded. */
int url_query_find(const char *query, size_t n, const char *name, char *out, size_t out_size);

/* Where the first such value stands, as it is written; false when the name does not occur. */
bool url_query_span(const char *query, size_t n, const char *name, size_t *ret_off,
                    size_t *ret_len) warn_unused;
/* As a value in a query string or urlencoded form: all but unreserved characters become %XX. */
void url_encode(struct buf *out, const char *text);

struct url {
    bool tls;       /* https */
    char host[256]; /* name or address, an IPv6 address without its brackets */
    uint16_t port;  /* 80 or 443 when the URL names none */
    char path[512]; /* from the first '/', "" when there is none */
};

/* http:// and https:// URLs. 0, or -ERR_HTTP_INVALID for anything else and for one with user
 * information, a query or a fragment. */
int url_parse(const char *text, struct url *ret_url) warn_unused;

#endif
