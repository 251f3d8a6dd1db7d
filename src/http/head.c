#include "http/head.h"

#include <string.h>

#include "base/pure/errors.h"
#include "http/chars.h"

/* 18 digits: sums of a length and an offset stay far from the end of 64 bits, signed or not. */
#define LENGTH_DIGITS_MAX 18

/* Every field the proxy knows, once: enumerator, first letter, name. Length and first letter
 * together are unique, which the switch in `known_field` proves at compile time. */
#define KNOWN_FIELDS(ROW)                                                                          \
    ROW(HOST, 'h', "host")                                                                         \
    ROW(CONNECTION, 'c', "connection")                                                             \
    ROW(KEEP_ALIVE, 'k', "keep-alive")                                                             \
    ROW(PROXY_CONNECTION, 'p', "proxy-connection")                                                 \
    ROW(PROXY_AUTHENTICATE, 'p', "proxy-authenticate")                                             \
    ROW(PROXY_AUTHORIZATION, 'p', "proxy-authorization")                                           \
    ROW(TE, 't', "te")                                                                             \
    ROW(TRAILER, 't', "trailer")                                                                   \
    ROW(TRANSFER_ENCODING, 't', "transfer-encoding")                                               \
    ROW(UPGRADE, 'u', "upgrade")                                                                   \
    ROW(CONTENT_LENGTH, 'c', "content-length")                                                     \
    ROW(CONTENT_TYPE, 'c', "content-type")                                                         \
    ROW(CONTENT_ENCODING, 'c', "content-encoding")                                                 \
    ROW(EXPECT, 'e', "expect")                                                                     \
    ROW(AUTHORIZATION, 'a', "authorization")                                                       \
    ROW(X_API_KEY, 'x', "x-api-key")                                                               \
    ROW(ACCEPT, 'a', "accept")                                                                     \
    ROW(ORIGIN, 'o', "origin")                                                                     \
    ROW(X_FORWARDED_FOR, 'x', "x-forwarded-for")                                                   \
    ROW(LAST_EVENT_ID, 'l', "last-event-id")

#define COUNT_ROW(name, letter, text) +1
_Static_assert(0 KNOWN_FIELDS(COUNT_ROW) == HTTP_FIELD_TWIN - 1, "a row for every known field");

/* What is passed from line to line while one head is read. */
struct parse {
    const char *data;
    const char *p;   /* next byte */
    const char *end; /* after the CRLF of the last line, before that of the empty one */
    struct http_head *h;
    bool to_head;
    bool close, keep_alive, connection_upgrade;              /* named by Connection */
    bool host, length, chunked, upgrade_field, content_type; /* the field was there */
    struct http_span authority;                              /* of an absolute target */
};

static struct http_span span_of(const struct parse *s, const char *from, const char *to)
{
    return (struct http_span){(uint32_t)(from - s->data), (uint32_t)(to - from)};
}

/* Whether the line that ends in the LF at lf is empty. Every LF up to there has a CR before it. */
static bool line_empty(const char *data, size_t lf)
{
    return lf == 1 || data[lf - 2] == '\n';
}

/* Whether the line behind the empty ones has no end within these bytes. */
static bool first_line_goes_on(const char *data, size_t n)
{
    size_t at = 0;
    while (n - at >= 2 && data[at] == '\r' && data[at + 1] == '\n')
        at += 2;
    return at < n && !memchr(data + at, '\n', n - at);
}

/* Finds the length of the head: 1, 0 (more is needed) or an error.
 *
 * The head ends with the first empty line that follows one that is not. Two empty lines in a row
 * therefore stand before the head, and no state but *scan is needed to go on later. Errors found
 * here come before those found by parsing, so that the answer does not depend on how the bytes were
 * cut. */
static int find_end(enum http_kind kind, const char *data, size_t n, size_t *scan, size_t *ret_end)
{
    size_t limit = n < HTTP_HEAD_BYTES_MAX ? n : HTTP_HEAD_BYTES_MAX;
    /* A TLS greeting or a stray chunk would otherwise be waited on until the timeout. */
    if (*scan == 0 && n > 0 && !chars_is(data[0], CHAR_TOKEN) && data[0] != '\r')
        return -ERR_HTTP_INVALID;
    size_t at = *scan;
    while (at < limit) {
        const char *found = memchr(data + at, '\n', limit - at);
        if (!found)
            break;
        size_t lf = (size_t)(found - data);
        if (lf == 0 || data[lf - 1] != '\r')
            return -ERR_HTTP_INVALID;
        at = lf + 1;
        if (!line_empty(data, lf))
            continue;
        if (lf == 1 && kind == HTTP_RESPONSE)
            return -ERR_HTTP_INVALID;
        if (lf > 1 && !line_empty(data, lf - 2)) {
            *ret_end = at;
            return 1;
        }
    }
    if (n >= HTTP_HEAD_BYTES_MAX)
        return kind == HTTP_REQUEST && first_line_goes_on(data, limit) ? -ERR_TARGET_TOO_LONG
                                                                       : -ERR_HEAD_TOO_LARGE;
    *scan = n;
    return 0;
}

/* Steps over the CRLF at p; false when anything else stands there. */
static bool take_line_end(struct parse *s)
{
    if (s->end - s->p < 2 || s->p[0] != '\r' || s->p[1] != '\n')
        return false;
    s->p += 2;
    return true;
}

static bool take_char(struct parse *s, char c)
{
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* The first byte from p on that may not stand in a field value or reason. */
static const char *skip_text(const char *p, const char *end)
{
    for (;;) {
        uint64_t control = 0;
        for (; end - p >= 8 && !control; p += control ? chars_first(control) : 8) {
            uint64_t w = chars_word(p);
            control = chars_any_below(w, 0x20) | chars_any_equal(w, 0x7f);
        }
        if (!control)
            return chars_skip(p, end, CHAR_TEXT);
        if (*p != '\t')
            return p;
        p++;
    }
}

/* "HTTP/" DIGIT "." DIGIT */
static int take_version(struct parse *s)
{
    static const char text[] = "HTTP/";
    const size_t n = sizeof(text) - 1;
    const char *v = s->p;
    if ((size_t)(s->end - v) < n + 3 || memcmp(v, text, n) != 0 || !chars_is(v[n], CHAR_DIGIT) ||
        v[n + 1] != '.' || !chars_is(v[n + 2], CHAR_DIGIT))
        return -ERR_HTTP_INVALID;
    if (v[n] != '1' || v[n + 2] > '1')
        return -ERR_VERSION_INVALID;
    s->h->minor = (uint8_t)(v[n + 2] - '0');
    s->p += n + 3;
    return 0;
}

/* Steps over "http://" or "https://" and the authority of an absolute target (RFC 9112, section
 * 3.2.2: it must be taken); NULL when that is not what stands there. Whether its authority is
 * one, the comparison with Host says. */
static const char *skip_origin(struct parse *s, const char *t, const char *end)
{
    const char *colon = memchr(t, ':', (size_t)(end - t));
    if (!colon || end - colon < 3 || colon[1] != '/' || colon[2] != '/')
        return NULL;
    size_t n = (size_t)(colon - t);
    if (!chars_equal_case(t, n, "http") && !chars_equal_case(t, n, "https"))
        return NULL;
    const char *from = colon + 3, *p = from;
    while (p < end && *p != '/' && *p != '?')
        p++;
    s->authority = span_of(s, from, p);
    return p > from ? p : NULL;
}

/* Splits the target; false unless it is origin-form, absolute-form, or "*" of OPTIONS. */
static bool split_target(struct parse *s)
{
    struct http_head *h = s->h;
    const char *t = s->data + h->target.off, *end = t + h->target.len;
    if (t[0] == '*')
        return h->target.len == 1 && http_span_equal(s->data, h->method, "OPTIONS");
    const char *path = t[0] == '/' ? t : skip_origin(s, t, end);
    if (!path || http_span_equal(s->data, h->method, "CONNECT"))
        return false;
    const char *mark = memchr(path, '?', (size_t)(end - path));
    h->path = span_of(s, path, mark ? mark : end);
    if (mark)
        h->query = span_of(s, mark + 1, end);
    if (h->path.len == 0) /* the slash before the authority stands for the one that is missing */
        h->path = (struct http_span){s->authority.off - 1, 1};
    return true;
}

static int parse_request_line(struct parse *s)
{
    struct http_head *h = s->h;
    const char *from = s->p;
    s->p = chars_skip(s->p, s->end, CHAR_TOKEN);
    h->method = span_of(s, from, s->p);
    if (h->method.len == 0 || !take_char(s, ' '))
        return -ERR_HTTP_INVALID;
    from = s->p;
    s->p = chars_skip(s->p, s->end, CHAR_TARGET);
    h->target = h->path = span_of(s, from, s->p);
    if (h->target.len == 0 || !take_char(s, ' '))
        return -ERR_HTTP_INVALID;
    /* The version is judged before the target: the preface of HTTP/2 is "PRI * HTTP/2.0". */
    int error = take_version(s);
    if (error)
        return error;
    return take_line_end(s) && split_target(s) ? 0 : -ERR_HTTP_INVALID;
}

static int parse_status_line(struct parse *s)
{
    struct http_head *h = s->h;
    int error = take_version(s);
    if (error)
        return error;
    if (!take_char(s, ' ') || s->end - s->p < 3)
        return -ERR_HTTP_INVALID;
    const char *from = s->p;
    if (chars_skip(from, from + 3, CHAR_DIGIT) != from + 3 || from[0] == '0')
        return -ERR_HTTP_INVALID;
    h->status = (uint16_t)((from[0] - '0') * 100 + (from[1] - '0') * 10 + (from[2] - '0'));
    s->p += 3;
    /* Servers leave out the space before an absent reason (RFC 9112, section 4, forbids it to
     * them); nothing can be misread by that. */
    if (take_line_end(s))
        return 0;
    if (!take_char(s, ' '))
        return -ERR_HTTP_INVALID;
    from = s->p;
    s->p = skip_text(s->p, s->end);
    h->reason = span_of(s, from, s->p);
    return take_line_end(s) ? 0 : -ERR_HTTP_INVALID;
}

/* p is a token, so that setting bit 5 turns into a letter or '-' only what is one in some case. */
static enum http_field_name match_known(const char *p, size_t n, const char *text,
                                        enum http_field_name name)
{
    for (size_t i = 0; i < n; i++) {
        if ((p[i] | 0x20) == text[i])
            continue;
        if (p[i] != '_' || text[i] != '-')
            return HTTP_FIELD_OTHER;
        name = HTTP_FIELD_TWIN;
    }
    return name;
}

#define FIELD_KEY(n, letter) ((n) << 5 | ((unsigned)(letter)&31))

static enum http_field_name known_field(const char *p, size_t n)
{
    switch (FIELD_KEY(n, p[0])) {
#define CASE_ROW(name, letter, text)                                                               \
    case FIELD_KEY(sizeof(text) - 1, letter):                                                      \
        return match_known(p, n, text, HTTP_FIELD_##name);
        KNOWN_FIELDS(CASE_ROW)
#undef CASE_ROW
    default:
        return HTTP_FIELD_OTHER;
    }
}

/* uri-host [":" port] (RFC 9110, section 7.2). An empty host names nothing in the http scheme
 * (section 4.2.1) and is refused. */
static bool host_valid(const char *p, const char *end)
{
    const char *from = p;
    if (p < end && *p == '[') {
        for (p++; p < end && (chars_is(*p, CHAR_HEX) || *p == ':' || *p == '.'); p++)
            continue;
        if (p == end || *p != ']' || !memchr(from, ':', (size_t)(p - from)))
            return false;
        p++;
    } else {
        while (p < end && (chars_is(*p, CHAR_REG_NAME) || *p == '%')) {
            if (*p == '%' && (end - p < 3 || chars_skip(p + 1, p + 3, CHAR_HEX) != p + 3))
                return false;
            p += *p == '%' ? 3 : 1;
        }
        if (p == from)
            return false;
    }
    if (p == end)
        return true;
    uint32_t port = 0;
    const char *digits = p + 1;
    if (*p != ':' || end - digits > 5)
        return false;
    for (p = digits; p < end && chars_is(*p, CHAR_DIGIT); p++)
        port = port * 10 + (uint32_t)(*p - '0');
    return p == end && port <= UINT16_MAX;
}

/* Without case, neither side in a known one. */
static bool equal_case(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (chars_lower(a[i]) != chars_lower(b[i]))
            return false;
    return true;
}

/* An absolute target counts more than Host (RFC 9112, section 3.2.2); where they differ, somebody
 * may go by the other one. */
static bool field_host(struct parse *s, const char *value, size_t n)
{
    if (s->h->kind == HTTP_RESPONSE)
        return true;
    bool first = !s->host;
    s->host = true;
    return first && host_valid(value, value + n) &&
           (s->authority.len == 0 ||
            (s->authority.len == n && equal_case(s->data + s->authority.off, value, n)));
}

/* One alone (RFC 9110, section 8.3): of two, wharf and the model's server might go by one each. */
static bool field_type(struct parse *s)
{
    bool first = !s->content_type;
    s->content_type = true;
    return first || s->h->kind == HTTP_RESPONSE;
}

static bool field_length(struct parse *s, const char *value, size_t n)
{
    if (s->length || n == 0 || n > LENGTH_DIGITS_MAX)
        return false;
    uint64_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (!chars_is(value[i], CHAR_DIGIT))
            return false;
        length = length * 10 + (uint64_t)(value[i] - '0');
    }
    s->length = true;
    s->h->content_length = length;
    return true;
}

static bool field_encoding(struct parse *s, const char *value, size_t n)
{
    if (s->chunked || s->h->minor == 0 || !chars_equal_case(value, n, "chunked"))
        return false;
    s->chunked = true;
    return true;
}

/* Gives out the next element of a comma-separated list, without white space; empty ones too.
 * False when there are no more. */
static bool next_element(const char **p, const char *end, const char **ret_from, size_t *ret_n)
{
    if (*p > end)
        return false;
    const char *from = *p;
    const char *comma = memchr(from, ',', (size_t)(end - from));
    const char *to = comma ? comma : end;
    *p = to + 1;
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (from < to && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    *ret_from = from;
    *ret_n = (size_t)(to - from);
    return true;
}

static void field_connection(struct parse *s, const char *value, size_t n)
{
    const char *p = value, *option;
    size_t len;
    while (next_element(&p, value + n, &option, &len)) {
        s->close |= chars_equal_case(option, len, "close");
        s->keep_alive |= chars_equal_case(option, len, "keep-alive");
        s->connection_upgrade |= chars_equal_case(option, len, "upgrade");
    }
}

/* HTTP/1.0 knows no Expect (RFC 9110, section 10.1.1). */
static void field_expect(struct parse *s, const char *value, size_t n)
{
    if (s->h->kind == HTTP_RESPONSE || s->h->minor == 0 || n == 0)
        return;
    if (chars_equal_case(value, n, "100-continue"))
        s->h->expect_continue = true;
    else
        s->h->expect_unknown = true;
}

/* What the parser itself has to know of a field; false when the field may not be so. */
static bool apply_field(struct parse *s, const struct http_field *f)
{
    const char *value = s->data + f->value.off;
    size_t n = f->value.len;
    /* Only fields that bear on the message itself are handled here. */
    if (f->known == HTTP_FIELD_HOST)
        return field_host(s, value, n);
    if (f->known == HTTP_FIELD_CONTENT_LENGTH)
        return field_length(s, value, n);
    if (f->known == HTTP_FIELD_TRANSFER_ENCODING)
        return field_encoding(s, value, n);
    if (f->known == HTTP_FIELD_CONTENT_TYPE)
        return field_type(s);
    if (f->known == HTTP_FIELD_CONNECTION)
        field_connection(s, value, n);
    else if (f->known == HTTP_FIELD_EXPECT)
        field_expect(s, value, n);
    else if (f->known == HTTP_FIELD_UPGRADE)
        s->upgrade_field |= n > 0;
    return true;
}

static int parse_field(struct parse *s)
{
    struct http_head *h = s->h;
    if (h->field_count == HTTP_FIELDS_MAX)
        return -ERR_HEAD_TOO_LARGE;
    struct http_field *f = &h->fields[h->field_count];
    /* White space is no token byte: this refuses folded lines and a space before the colon. */
    const char *name = s->p;
    s->p = chars_skip(name, s->end, CHAR_TOKEN);
    f->name = span_of(s, name, s->p);
    if (f->name.len == 0 || !take_char(s, ':'))
        return -ERR_HTTP_INVALID;
    const char *from = s->p;
    s->p = skip_text(s->p, s->end);
    const char *to = s->p;
    if (!take_line_end(s))
        return -ERR_HTTP_INVALID;
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (from < to && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    f->value = span_of(s, from, to);
    f->known = known_field(name, f->name.len);
    if (f->known != HTTP_FIELD_OTHER && !apply_field(s, f))
        return -ERR_HTTP_INVALID;
    h->field_count++;
    return 0;
}

/* RFC 9112, section 6.3; a length beside chunked was refused before. */
static enum http_framing framing_of(const struct parse *s)
{
    const struct http_head *h = s->h;
    bool response = h->kind == HTTP_RESPONSE;
    if (response && (s->to_head || h->status < 200 || h->status == 204 || h->status == 304))
        return HTTP_BODY_NONE;
    if (s->chunked)
        return HTTP_BODY_CHUNKED;
    if (s->length)
        return HTTP_BODY_LENGTH;
    return response ? HTTP_BODY_UNTIL_CLOSE : HTTP_BODY_NONE;
}

static int finish(struct parse *s)
{
    struct http_head *h = s->h;
    if (s->chunked && s->length)
        return -ERR_HTTP_INVALID;
    if (h->kind == HTTP_REQUEST && !s->host && (h->minor == 1 || s->authority.len))
        return -ERR_HTTP_INVALID;
    h->framing = framing_of(s);
    /* Content that is announced where there can be none (HEAD, 204, 304) is what some servers send
     * all the same, and the next message would begin with it. */
    bool surplus = h->framing == HTTP_BODY_NONE && (s->chunked || h->content_length);
    if (h->framing != HTTP_BODY_LENGTH)
        h->content_length = 0;
    h->keep_alive = !s->close && !surplus && (h->minor == 1 || s->keep_alive) &&
                    h->framing != HTTP_BODY_UNTIL_CLOSE;
    /* Upgrade means nothing in HTTP/1.0 (RFC 9110, section 7.8). */
    h->upgrade = s->connection_upgrade && s->upgrade_field && h->minor == 1;
    return 1;
}

/* Everything but the fields, which field_count hides. */
static void clear_head(struct http_head *h, enum http_kind kind, size_t bytes)
{
    memset(h, 0, offsetof(struct http_head, fields));
    h->kind = kind;
    h->bytes = (uint32_t)bytes;
}

int http_head_parse(enum http_kind kind, bool to_head, const char *data, size_t n, size_t *scan,
                    struct http_head *ret_head)
{
    size_t bytes;
    int result = find_end(kind, data, n, scan, &bytes);
    if (result != 1)
        return result;
    clear_head(ret_head, kind, bytes);
    struct parse s = {
        .data = data, .p = data, .end = data + bytes - 2, .h = ret_head, .to_head = to_head};
    while (kind == HTTP_REQUEST && take_line_end(&s))
        continue;
    result = kind == HTTP_REQUEST ? parse_request_line(&s) : parse_status_line(&s);
    while (result == 0 && s.p < s.end)
        result = parse_field(&s);
    return result == 0 ? finish(&s) : result;
}

const struct http_field *http_head_find(const struct http_head *h, enum http_field_name name)
{
    for (uint32_t i = 0; i < h->field_count; i++)
        if (h->fields[i].known == name)
            return &h->fields[i];
    return NULL;
}

const struct http_field *http_head_find_text(const struct http_head *h, const char *data,
                                             const char *name)
{
    for (uint32_t i = 0; i < h->field_count; i++)
        if (http_span_equal_case(data, h->fields[i].name, name))
            return &h->fields[i];
    return NULL;
}

bool http_head_is_hop(const struct http_head *h, const char *data, const struct http_field *f)
{
    static const bool hop[HTTP_FIELD__COUNT] = {
        [HTTP_FIELD_CONNECTION] = true,
        [HTTP_FIELD_KEEP_ALIVE] = true,
        [HTTP_FIELD_PROXY_CONNECTION] = true,
        [HTTP_FIELD_PROXY_AUTHENTICATE] = true,
        [HTTP_FIELD_PROXY_AUTHORIZATION] = true,
        [HTTP_FIELD_TE] = true,
        [HTTP_FIELD_TRAILER] = true,
        [HTTP_FIELD_TRANSFER_ENCODING] = true,
        [HTTP_FIELD_UPGRADE] = true,
        [HTTP_FIELD_TWIN] = true,
    };
    if (hop[f->known])
        return true;
    /* For whoever gets the message in the end, whatever Connection says (RFC 9110, section 7.6.1):
     * without them it would be another message. */
    if (f->known == HTTP_FIELD_HOST || f->known == HTTP_FIELD_CONTENT_LENGTH)
        return false;
    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct http_field *c = &h->fields[i];
        if (c->known != HTTP_FIELD_CONNECTION)
            continue;
        const char *p = data + c->value.off, *end = p + c->value.len, *option;
        size_t n;
        while (next_element(&p, end, &option, &n))
            if (n == f->name.len && equal_case(option, data + f->name.off, n))
                return true;
    }
    return false;
}

bool http_head_upgrades_to(const struct http_head *h, const char *data, const char *name, size_t n)
{
    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct http_field *f = &h->fields[i];
        if (f->known != HTTP_FIELD_UPGRADE)
            continue;
        const char *p = data + f->value.off, *end = p + f->value.len, *element;
        size_t len;
        while (next_element(&p, end, &element, &len)) {
            const char *slash = memchr(element, '/', len);
            size_t name_len = slash ? (size_t)(slash - element) : len;
            if (name_len == n && equal_case(element, name, n))
                return true;
        }
    }
    return false;
}

bool http_span_equal(const char *data, struct http_span s, const char *text)
{
    size_t n = strlen(text);
    return n == s.len && memcmp(data + s.off, text, n) == 0;
}

bool http_span_equal_case(const char *data, struct http_span s, const char *text)
{
    size_t n = strlen(text);
    return n == s.len && equal_case(data + s.off, text, n);
}

bool http_head_is_event_stream(const struct http_head *h, const char *data)
{
    static const char type[] = "text/event-stream";
    const struct http_field *f = http_head_find(h, HTTP_FIELD_CONTENT_TYPE);
    if (!f || f->value.len < sizeof(type) - 1)
        return false;
    return http_span_equal_case(data, (struct http_span){f->value.off, sizeof(type) - 1}, type);
}

/* RFC 9110, section 15, and the IANA registry; 499 is what access logs call a client that left. */
static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < countof(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}
