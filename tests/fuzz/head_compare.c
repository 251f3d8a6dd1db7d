#include "head_compare.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/pure/check.h"

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The white space that stands around a value and, in a list, around its commas. */
static bool rewrite_tabs(const struct http_head *h, struct peer_message *m, char *copy)
{
    bool changed = false;
    (void)m;
    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct http_field *f = &h->fields[i];
        uint32_t from = f->value.off, to = from + f->value.len;
        bool list = f->known == HTTP_FIELD_CONNECTION;
        for (uint32_t at = list ? from : to; at < h->bytes && copy[at] != '\r'; at++) {
            changed |= copy[at] == '\t';
            copy[at] = copy[at] == '\t' ? ' ' : copy[at];
        }
    }
    return changed;
}

static bool rewrite_method(const struct http_head *h, struct peer_message *m, char *copy)
{
    static const char *const must_be_known[] = {"GET",    "HEAD",    "POST",  "PUT",
                                                "DELETE", "OPTIONS", "TRACE", "PATCH"};
    if (h->kind != HTTP_REQUEST)
        return false;
    for (size_t i = 0; i < countof(must_be_known); i++)
        if (http_span_equal(copy, h->method, must_be_known[i]))
            return false;
    size_t skipped = h->method.off + h->method.len;
    m->method = "GET";
    m->data += skipped;
    m->len -= skipped;
    return true;
}

static bool rename_field(const struct http_head *h, char *copy, enum http_field_name name)
{
    bool changed = false;
    for (uint32_t i = 0; i < h->field_count; i++)
        if (h->fields[i].known == name) {
            copy[h->fields[i].name.off] = '_';
            changed = true;
        }
    return changed;
}

static bool rewrite_proxy_connection(const struct http_head *h, struct peer_message *m, char *copy)
{
    (void)m;
    return rename_field(h, copy, HTTP_FIELD_PROXY_CONNECTION);
}

static bool rewrite_bodiless(const struct http_head *h, struct peer_message *m, char *copy)
{
    (void)m;
    if (h->kind != HTTP_RESPONSE || !(h->status < 200 || h->status == 204 || h->status == 304))
        return false;
    bool changed = rename_field(h, copy, HTTP_FIELD_TRANSFER_ENCODING);
    return rename_field(h, copy, HTTP_FIELD_CONTENT_LENGTH) || changed;
}

static bool rewrite_upgrade(const struct http_head *h, struct peer_message *m, char *copy)
{
    (void)m;
    return h->minor == 0 && rename_field(h, copy, HTTP_FIELD_UPGRADE);
}

const struct head_difference head_differences[HEAD_DIFFERENCES] = {
    {"a method that llhttp does not know", "RFC 9110, section 9.1: any token may be one",
     rewrite_method, HTTP_REQUEST, "FETCH / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a tab behind a value or beside a comma", "RFC 9110, section 5.6.3: white space is SP or HTAB",
     rewrite_tabs, HTTP_REQUEST, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\t\r\n\r\n"},
    {"Proxy-Connection, which is Connection to llhttp",
     "RFC 9112, appendix C.2.2: no part of HTTP/1.1, not to be relied on", rewrite_proxy_connection,
     HTTP_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n"},
    {"a 1xx, 204 or 304 with a field that tells of a body",
     "RFC 9112, section 6.3, rule 1: none, whatever its fields are", rewrite_bodiless,
     HTTP_RESPONSE, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"an upgrade of HTTP/1.0", "RFC 9110, section 7.8: it is ignored", rewrite_upgrade,
     HTTP_REQUEST, "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
};

__attribute__((format(printf, 2, 3))) static bool differ(struct head_comparison *c,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->why, sizeof(c->why), format, arguments);
    va_end(arguments);
    return false;
}

static bool same_text(struct head_comparison *c, const char *what, const char *data,
                      struct http_span ours, struct peer_span theirs)
{
    if (ours.len == theirs.len && memcmp(data + ours.off, ours.len ? theirs.at : "", ours.len) == 0)
        return true;
    return differ(c, "%s: wharf '%.*s', llhttp '%.*s'", what, (int)ours.len, data + ours.off,
                  (int)theirs.len, theirs.len ? theirs.at : "");
}

static bool same_number(struct head_comparison *c, const char *what, uint64_t ours, uint64_t theirs)
{
    return ours == theirs || differ(c, "%s: wharf %llu, llhttp %llu", what,
                                    (unsigned long long)ours, (unsigned long long)theirs);
}

static bool same_start(struct head_comparison *c, const struct http_head *h,
                       const struct peer_message *m, const struct peer_head *p, const char *data)
{
    if (!same_number(c, "major version", 1, p->major) ||
        !same_number(c, "minor version", h->minor, p->minor))
        return false;
    if (h->kind == HTTP_RESPONSE)
        return same_number(c, "status", h->status, p->status) &&
               same_text(c, "reason", data, h->reason, p->reason);
    return (m->method || same_text(c, "method", data, h->method, p->method)) &&
           same_text(c, "target", data, h->target, p->target);
}

static bool same_fields(struct head_comparison *c, const struct http_head *h,
                        const struct peer_head *p, const char *data)
{
    if (!same_number(c, "number of fields", h->field_count, p->field_count))
        return false;
    for (uint32_t i = 0; i < h->field_count; i++) {
        struct peer_span value = p->fields[i].value;
        /* llhttp leaves the white space behind a value to its user. */
        while (value.len > 0 && blank(value.at[value.len - 1]))
            value.len--;
        if (!same_text(c, "name", data, h->fields[i].name, p->fields[i].name) ||
            !same_text(c, "value", data, h->fields[i].value, value))
            return false;
    }
    return true;
}

static bool same_body(struct head_comparison *c, const struct http_head *h,
                      const struct peer_head *p)
{
    static const char *const names[] = {[PEER_NONE] = "none",
                                        [PEER_LENGTH] = "length",
                                        [PEER_CHUNKED] = "chunked",
                                        [PEER_UNTIL_CLOSE] = "until close"};
    static const enum peer_framing as_peer[] = {[HTTP_BODY_NONE] = PEER_NONE,
                                                [HTTP_BODY_LENGTH] = PEER_LENGTH,
                                                [HTTP_BODY_CHUNKED] = PEER_CHUNKED,
                                                [HTTP_BODY_UNTIL_CLOSE] = PEER_UNTIL_CLOSE};
    /* An offer to upgrade in a response is only that, but for 101 (RFC 9110, section 7.8). */
    bool upgrade = h->upgrade && (h->kind == HTTP_REQUEST || h->status == 101);
    enum peer_framing ours = as_peer[h->framing], theirs = p->framing;
    /* A length of 0 and no body are the same bytes. */
    bool empty = (ours == PEER_NONE || (ours == PEER_LENGTH && h->content_length == 0)) &&
                 (theirs == PEER_NONE || (theirs == PEER_LENGTH && p->content_length == 0));
    if (ours != theirs && !empty)
        return differ(c, "body: wharf '%s', llhttp '%s'", names[ours], names[theirs]);
    if (!empty && !same_number(c, "content length", h->content_length, p->content_length))
        return false;
    if (h->keep_alive && !p->keep_alive)
        return differ(c, "wharf keeps the connection, llhttp does not");
    return same_number(c, "upgrade", upgrade, p->upgrade);
}

static bool same(struct head_comparison *c, const struct http_head *h, const struct peer_message *m,
                 const char *data)
{
    static struct peer_head p;
    peer_read(m, &p);
    if (p.refused[0])
        return differ(c, "llhttp refuses it: %s", p.refused);
    return same_start(c, h, m, &p, data) && same_fields(c, h, &p, data) && same_body(c, h, &p);
}

void head_compare(const struct http_head *h, bool to_head, const char *data,
                  struct head_comparison *ret)
{
    static char copy[HTTP_HEAD_BYTES_MAX];
    struct head_comparison rewritten;
    bool response = h->kind == HTTP_RESPONSE;
    struct peer_message m = {.response = response, .to_head = response && to_head};
    *ret = (struct head_comparison){.agreement = HEAD_AGREES};
    m.data = data;
    m.len = h->bytes;
    if (same(ret, h, &m, data))
        return;
    memcpy(copy, data, h->bytes);
    m.data = copy;
    for (unsigned i = 0; i < HEAD_DIFFERENCES; i++) {
        if (!head_differences[i].rewrite(h, &m, copy))
            continue;
        ret->rows |= 1U << i;
        if (same(&rewritten, h, &m, copy)) {
            ret->agreement = HEAD_AGREES_REWRITTEN;
            return;
        }
        memcpy(ret->why_rewritten, rewritten.why, sizeof(ret->why_rewritten));
    }
    ret->agreement = HEAD_DIFFERS;
}
