/* head.h: the HTTP/1.1 head parser, for requests and responses. The only one in wharf.
 *
 * Strict by RFC 9112, because a second parser that disagrees is how request smuggling happens:
 * lines end in CRLF and nothing else; no bare CR, LF or NUL; no line folding; no space before a
 * field's colon; exactly one valid Host in an HTTP/1.1 request; no Content-Length beside
 * Transfer-Encoding; no duplicate, signed or overlong Content-Length; Transfer-Encoding is exactly
 * "chunked", and never in HTTP/1.0; at most one Content-Type in a request; an absolute target names
 * the host that Host names. What was parsed is given as offsets into the caller's buffer; nothing
 * is copied or allocated, and the buffer is not changed.
 *
 * Upstream heads are rebuilt from what was parsed, never copied. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pure/check.h"

#define HTTP_HEAD_BYTES_MAX (32 * 1024)
#define HTTP_FIELDS_MAX 100

enum http_kind { HTTP_REQUEST, HTTP_RESPONSE };

/* How the end of the body is known (RFC 9112, section 6.3). */
enum http_framing {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

/* Fields that the proxy itself understands; all others are HTTP_FIELD_OTHER. */
enum http_field_name {
    HTTP_FIELD_OTHER,
    HTTP_FIELD_HOST,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_KEEP_ALIVE,
    HTTP_FIELD_PROXY_CONNECTION,
    HTTP_FIELD_PROXY_AUTHENTICATE,
    HTTP_FIELD_PROXY_AUTHORIZATION,
    HTTP_FIELD_TE,
    HTTP_FIELD_TRAILER,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_UPGRADE,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_CONTENT_TYPE,
    HTTP_FIELD_CONTENT_ENCODING,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_AUTHORIZATION,
    HTTP_FIELD_X_API_KEY,
    HTTP_FIELD_ACCEPT,
    HTTP_FIELD_ORIGIN,
    HTTP_FIELD_X_FORWARDED_FOR,
    HTTP_FIELD_LAST_EVENT_ID,
    HTTP_FIELD_TWIN, /* one of the above with '_' for a '-': the same name to CGI and WSGI */
    HTTP_FIELD__COUNT
};

struct http_span {
    uint32_t off, len; /* bytes, from the start of the head */
};

struct http_field {
    struct http_span name, value; /* value without surrounding white space */
    enum http_field_name known;
};

struct http_head {
    enum http_kind kind;
    uint32_t bytes;          /* length of the head, the empty line included */
    uint8_t minor;           /* HTTP/1.minor: 0 or 1 */
    struct http_span method; /* request */
    struct http_span target; /* request: origin-form ("/path?query"), absolute-form or "*" */
    struct http_span path;   /* request: up to '?', without scheme and authority; "/" if empty */
    struct http_span query;  /* request: after '?', empty when there is none */
    uint16_t status;         /* response */
    struct http_span reason; /* response */
    enum http_framing framing;
    uint64_t content_length; /* bytes, when framing is HTTP_BODY_LENGTH */
    bool keep_alive;         /* another message may follow on this connection */
    bool upgrade;            /* Connection names "upgrade" and an Upgrade field is there */
    bool expect_continue;
    bool expect_unknown; /* an Expect other than 100-continue: 417 */
    uint32_t field_count;
    struct http_field fields[HTTP_FIELDS_MAX];
};

/* Parses the head at the start of data.
 *
 * *scan: how many bytes an earlier call looked through without finding the end of the head; start
 * with 0 and pass it again with more data, so that a slow sender costs linear time.
 * For a response, to_head says that it answers a HEAD request (no body whatever it claims).
 * Returns 1 with *ret_head filled; 0 when more bytes are needed; or -ERR_HTTP_INVALID,
 * -ERR_HEAD_TOO_LARGE, -ERR_TARGET_TOO_LONG, -ERR_VERSION_INVALID, after which the connection is of
 * no further use. Unless 1 is returned, what *ret_head holds means nothing: it is parsed into, not
 * copied to. Empty lines before a request line are skipped (RFC 9112, section 2.2) and counted in
 * `bytes`. */
int http_head_parse(enum http_kind kind, bool to_head, const char *data, size_t n, size_t *scan,
                    struct http_head *ret_head) warn_unused;

/* The first field of that name, or NULL. */
const struct http_field *http_head_find(const struct http_head *h, enum http_field_name name);
/* Same by text, compared without case. */
const struct http_field *http_head_find_text(const struct http_head *h, const char *data,
                                             const char *name);
/* Whether a field must not be passed on: the hop-by-hop ones of RFC 9110 section 7.6.1, those that
 * Connection names, and twins, which some servers would take for what they are twins of. */
bool http_head_is_hop(const struct http_head *h, const char *data, const struct http_field *f);

/* Whether its Content-Type is text/event-stream. */
bool http_head_is_event_stream(const struct http_head *h, const char *data);

/* Whether an Upgrade field lists that protocol, in whatever version; compared without case. */
bool http_head_upgrades_to(const struct http_head *h, const char *data, const char *name, size_t n);

static inline const char *http_span_at(const char *data, struct http_span s)
{
    return data + s.off;
}

bool http_span_equal(const char *data, struct http_span s, const char *text);
/* Without case; text in any case. */
bool http_span_equal_case(const char *data, struct http_span s, const char *text);

/* Standard reason phrase of a status, or "Unknown". */
const char *http_reason(int status);

#endif
