/* Most of these parse a copy in which the mistake is mended without moving a byte, so that what
 * wharf's parser finds there fits the data too. */
#include "head_bugs.h"

#include <string.h>
#include <strings.h>

static char copy[HTTP_HEAD_BYTES_MAX];

static int parse(enum http_kind kind, bool to_head, const char *data, size_t n,
                 struct http_head *ret_head)
{
    size_t scan = 0;
    return http_head_parse(kind, to_head, data, n, &scan, ret_head);
}

static size_t copy_of(const char *data, size_t n)
{
    n = n < sizeof(copy) ? n : sizeof(copy);
    memcpy(copy, data, n);
    return n;
}

static int takes_bare_lf(enum http_kind kind, bool to_head, const char *data, size_t n,
                         struct http_head *h)
{
    n = copy_of(data, n);
    for (size_t i = 1; i < n; i++)
        if (copy[i] == '\n')
            copy[i - 1] = '\r';
    return parse(kind, to_head, copy, n, h);
}

static int takes_bare_cr(enum http_kind kind, bool to_head, const char *data, size_t n,
                         struct http_head *h)
{
    n = copy_of(data, n);
    for (size_t i = 0; i + 1 < n; i++)
        if (copy[i] == '\r' && copy[i + 1] != '\n')
            copy[i] = 'x';
    return parse(kind, to_head, copy, n, h);
}

static int takes_nul(enum http_kind kind, bool to_head, const char *data, size_t n,
                     struct http_head *h)
{
    n = copy_of(data, n);
    for (size_t i = 0; i < n; i++)
        if (copy[i] == '\0')
            copy[i] = 'x';
    return parse(kind, to_head, copy, n, h);
}

static int takes_folded_lines(enum http_kind kind, bool to_head, const char *data, size_t n,
                              struct http_head *h)
{
    n = copy_of(data, n);
    for (size_t i = 0; i + 2 < n; i++)
        if (memcmp(copy + i, "\r\n ", 3) == 0)
            memcpy(copy + i, "   ", 3);
    return parse(kind, to_head, copy, n, h);
}

static int takes_space_before_colon(enum http_kind kind, bool to_head, const char *data, size_t n,
                                    struct http_head *h)
{
    n = copy_of(data, n);
    bool name = false;
    for (size_t i = 1; i < n; i++) {
        if (name && copy[i - 1] == ' ' && copy[i] == ':')
            memcpy(copy + i - 1, ": ", 2);
        name = (name && copy[i] != ':') || copy[i] == '\n';
    }
    return parse(kind, to_head, copy, n, h);
}

/* Hides lines that begin with `name`, all of them or those behind the first. */
static void hide_lines(size_t n, const char *name, bool keep_first)
{
    size_t len = strlen(name);
    for (size_t i = 1; i + len <= n; i++) {
        if (copy[i - 1] != '\n' || strncasecmp(copy + i, name, len) != 0)
            continue;
        if (!keep_first)
            copy[i] = '_';
        keep_first = false;
    }
}

static bool has_line(size_t n, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 1; i + len <= n; i++)
        if (copy[i - 1] == '\n' && strncasecmp(copy + i, name, len) == 0)
            return true;
    return false;
}

static int takes_two_lengths(enum http_kind kind, bool to_head, const char *data, size_t n,
                             struct http_head *h)
{
    n = copy_of(data, n);
    hide_lines(n, "content-length:", true);
    return parse(kind, to_head, copy, n, h);
}

static int takes_length_with_encoding(enum http_kind kind, bool to_head, const char *data, size_t n,
                                      struct http_head *h)
{
    n = copy_of(data, n);
    if (has_line(n, "transfer-encoding:"))
        hide_lines(n, "content-length:", false);
    return parse(kind, to_head, copy, n, h);
}

static int prefers_length_to_encoding(enum http_kind kind, bool to_head, const char *data, size_t n,
                                      struct http_head *h)
{
    n = copy_of(data, n);
    if (has_line(n, "content-length:"))
        hide_lines(n, "transfer-encoding:", false);
    return parse(kind, to_head, copy, n, h);
}

static int ignores_unknown_encodings(enum http_kind kind, bool to_head, const char *data, size_t n,
                                     struct http_head *h)
{
    int result = parse(kind, to_head, data, n, h);
    if (result >= 0)
        return result;
    n = copy_of(data, n);
    hide_lines(n, "transfer-encoding:", false);
    return parse(kind, to_head, copy, n, h);
}

/* Whatever stands among the digits of a length reads as `instead`. */
static int parse_loose_length(enum http_kind kind, bool to_head, size_t n, char instead,
                              struct http_head *h)
{
    static const char name[] = "content-length: ";
    for (size_t i = 1; i + sizeof(name) <= n; i++) {
        if (copy[i - 1] != '\n' || strncasecmp(copy + i, name, sizeof(name) - 1) != 0)
            continue;
        bool strange = false;
        for (size_t at = i + sizeof(name) - 1; at < n && copy[at] != '\r'; at++) {
            strange |= copy[at] < '0' || copy[at] > '9';
            copy[at] = strange && (instead == ' ' || copy[at] < '0' || copy[at] > '9') ? instead
                                                                                       : copy[at];
        }
    }
    return parse(kind, to_head, copy, n, h);
}

static int takes_signed_length(enum http_kind kind, bool to_head, const char *data, size_t n,
                               struct http_head *h)
{
    n = copy_of(data, n);
    return parse_loose_length(kind, to_head, n, '0', h);
}

static int takes_length_up_to_a_comma(enum http_kind kind, bool to_head, const char *data, size_t n,
                                      struct http_head *h)
{
    n = copy_of(data, n);
    return parse_loose_length(kind, to_head, n, ' ', h);
}

static int reads_32_bits_of_length(enum http_kind kind, bool to_head, const char *data, size_t n,
                                   struct http_head *h)
{
    int result = parse(kind, to_head, data, n, h);
    if (result == 1)
        h->content_length &= UINT32_MAX;
    return result;
}

static int forgets_that_it_was_head(enum http_kind kind, bool to_head, const char *data, size_t n,
                                    struct http_head *h)
{
    (void)to_head;
    return parse(kind, false, data, n, h);
}

static int loses_an_empty_field(enum http_kind kind, bool to_head, const char *data, size_t n,
                                struct http_head *h)
{
    int result = parse(kind, to_head, data, n, h);
    if (result == 1 && h->field_count > 0 && h->fields[h->field_count - 1].value.len == 0)
        h->field_count--;
    return result;
}

static int keeps_white_space(enum http_kind kind, bool to_head, const char *data, size_t n,
                             struct http_head *h)
{
    int result = parse(kind, to_head, data, n, h);
    for (uint32_t i = 0; result == 1 && i < h->field_count; i++)
        h->fields[i].value.len += data[h->fields[i].value.off + h->fields[i].value.len] == ' ';
    return result;
}

static int cuts_the_target(enum http_kind kind, bool to_head, const char *data, size_t n,
                           struct http_head *h)
{
    int result = parse(kind, to_head, data, n, h);
    if (result == 1)
        h->target = h->path;
    return result;
}

static int overlooks_close(enum http_kind kind, bool to_head, const char *data, size_t n,
                           struct http_head *h)
{
    int result = parse(kind, to_head, data, n, h);
    if (result == 1)
        h->keep_alive = h->minor == 1;
    return result;
}

static int upgrades_without_connection(enum http_kind kind, bool to_head, const char *data,
                                       size_t n, struct http_head *h)
{
    int result = parse(kind, to_head, data, n, h);
    if (result == 1)
        h->upgrade |= http_head_find(h, HTTP_FIELD_UPGRADE) != NULL;
    return result;
}

const struct head_bug head_bugs[HEAD_BUGS] = {
    {"a bare LF ends a line", takes_bare_lf},
    {"a bare CR is text", takes_bare_cr},
    {"a NUL is text", takes_nul},
    {"lines may be folded", takes_folded_lines},
    {"a space may stand before the colon", takes_space_before_colon},
    {"the first of several lengths counts", takes_two_lengths},
    {"a length beside an encoding is ignored", takes_length_with_encoding},
    {"an encoding beside a length is ignored", prefers_length_to_encoding},
    {"an unknown encoding is ignored", ignores_unknown_encodings},
    {"a length may have a sign", takes_signed_length},
    {"a length ends at the first byte that is no digit", takes_length_up_to_a_comma},
    {"a length has 32 bits", reads_32_bits_of_length},
    {"a response to HEAD has a body", forgets_that_it_was_head},
    {"a last field without a value is lost", loses_an_empty_field},
    {"white space behind a value is of the value", keeps_white_space},
    {"the query is not of the target", cuts_the_target},
    {"Connection: close is overlooked", overlooks_close},
    {"Upgrade alone is an upgrade", upgrades_without_connection},
};
