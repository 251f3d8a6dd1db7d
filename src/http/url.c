#include "http/url.h"

#include <string.h>

#include "base/pure/errors.h"
#include "http/chars.h"

/* The next decoded byte of *p..end (which is not empty), or -1 on a malformed escape. */
static int decode_byte(const char **p, const char *end, bool plus)
{
    char c = *(*p)++;
    if (c == '+' && plus)
        return ' ';
    if (c != '%')
        return (uint8_t)c;
    if (end - *p < 2)
        return -1;
    int high = chars_hex_value((*p)[0]), low = chars_hex_value((*p)[1]);
    if (high < 0 || low < 0)
        return -1;
    *p += 2;
    return high << 4 | low;
}

bool url_decode(const char *text, size_t n, bool plus, char *out, size_t out_size)
{
    const char *p = text, *end = text + n;
    size_t len = 0;
    while (p < end) {
        int c = decode_byte(&p, end, plus);
        if (c <= 0 || len + 1 >= out_size)
            return false;
        out[len++] = (char)c;
    }
    if (out_size == 0)
        return false;
    out[len] = '\0';
    return true;
}

/* Names are compared decoded, as the receiver will: "mod%65l" is "model". */
static bool name_equal(const char *p, const char *end, const char *name)
{
    while (p < end) {
        int c = decode_byte(&p, end, true);
        if (c <= 0 || c != (uint8_t)*name)
            return false;
        name++;
    }
    return *name == '\0';
}

/* The next NAME=VALUE of that name from *p on, which then is behind it; its value is between *ret
 * and *ret_end. */
static bool next_value(const char **p, const char *end, const char *name, const char **ret,
                       const char **ret_end)
{
    while (*p < end) {
        const char *from = *p, *amp = memchr(from, '&', (size_t)(end - from));
        const char *stop = amp ? amp : end;
        const char *equals = memchr(from, '=', (size_t)(stop - from));
        *p = amp ? amp + 1 : end;
        if (stop == from || !name_equal(from, equals ? equals : stop, name))
            continue;
        *ret = equals ? equals + 1 : stop;
        *ret_end = stop;
        return true;
    }
    return false;
}

int url_query_find(const char *query, size_t n, const char *name, char *out, size_t out_size)
{
    const char *p = query, *value, *stop;
    int count = 0;
    while (next_value(&p, query + n, name, &value, &stop)) {
        if (count == 0 && !url_decode(value, (size_t)(stop - value), true, out, out_size))
            return -1;
        count++;
    }
    return count;
}

bool url_query_span(const char *query, size_t n, const char *name, size_t *ret_off, size_t *ret_len)
{
    const char *p = query, *value, *stop;
    if (!next_value(&p, query + n, name, &value, &stop))
        return false;
    *ret_off = (size_t)(value - query);
    *ret_len = (size_t)(stop - value);
    return true;
}

void url_encode(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (chars_is(*p, CHAR_ALNUM) || strchr("-._~", *p))
            buf_char(out, *p);
        else
            buf_printf(out, "%%%02X", (unsigned)(uint8_t)*p);
    }
}

static bool host_char(char c, bool bracket)
{
    if (bracket)
        return chars_is(c, CHAR_HEX) || c == ':' || c == '.';
    return chars_is(c, CHAR_ALNUM) || c == '-' || c == '.' || c == '_';
}

/* Takes "host" or "[address]" from *p; false when it is empty, too long or has other bytes. */
static bool take_host(const char **p, struct url *u)
{
    bool bracket = **p == '[';
    const char *from = *p + bracket, *to = from;
    while (host_char(*to, bracket))
        to++;
    size_t n = (size_t)(to - from);
    if (n == 0 || n >= sizeof(u->host) || (bracket && (*to != ']' || !memchr(from, ':', n))))
        return false;
    memcpy(u->host, from, n);
    u->host[n] = '\0';
    *p = to + bracket;
    return true;
}

/* Takes ":port" if it is there; ":" alone means the default (RFC 3986, section 3.2.3). */
static bool take_port(const char **p, struct url *u)
{
    if (**p != ':')
        return true;
    const char *from = *p + 1, *at = from;
    uint32_t port = 0;
    for (; chars_is(*at, CHAR_DIGIT) && at - from < 6; at++)
        port = port * 10 + (uint32_t)(*at - '0');
    if (at != from) {
        if (port == 0 || port > UINT16_MAX)
            return false;
        u->port = (uint16_t)port;
    }
    *p = at;
    return true;
}

int url_parse(const char *text, struct url *ret_url)
{
    struct url u = {.port = 80};
    const char *p = text + strcspn(text, ":");
    size_t n = (size_t)(p - text);
    u.tls = chars_equal_case(text, n, "https");
    if (!u.tls && !chars_equal_case(text, n, "http"))
        return -ERR_HTTP_INVALID;
    if (strncmp(p, "://", 3) != 0)
        return -ERR_HTTP_INVALID;
    p += 3;
    if (u.tls)
        u.port = 443;
    if (!take_host(&p, &u) || !take_port(&p, &u))
        return -ERR_HTTP_INVALID;
    n = strlen(p);
    if ((n > 0 && p[0] != '/') || n >= sizeof(u.path))
        return -ERR_HTTP_INVALID;
    for (size_t i = 0; i < n; i++)
        if (!chars_is(p[i], CHAR_TARGET) || p[i] == '?')
            return -ERR_HTTP_INVALID;
    memcpy(u.path, p, n + 1);
    *ret_url = u;
    return 0;
}
