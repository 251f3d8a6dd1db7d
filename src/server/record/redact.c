#include "server/record/redact.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "http/head.h"

/* Vendors each have a name of their own for it (api-key, x-goog-api-key, xi-api-key,
 * x-amz-security-token, cf-access-client-secret), but all say at its end what it is. */
static bool is_secret(const char *bytes, const struct http_field *f)
{
#define WORD(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    static const struct {
        const char *text;
        size_t n;
    } words[] = {WORD("authorization"), WORD("key"),       WORD("apikey"),
                 WORD("token"),         WORD("secret"),    WORD("password"),
                 WORD("cookie"),        WORD("assertion"), WORD("lease")};
#undef WORD
    const char *name = bytes + f->name.off, *last = name + f->name.len;
    while (last > name && last[-1] != '-' && last[-1] != '_')
        last--;
    size_t n = (size_t)(name + f->name.len - last);
    for (size_t i = 0; i < countof(words); i++)
        if (words[i].n == n && strncasecmp(last, words[i].text, n) == 0)
            return true;
    return false;
}

static bool was_there(const struct http_head *h, const char *bytes, uint32_t index)
{
    struct http_span name = h->fields[index].name;
    for (uint32_t i = 0; i < index; i++)
        if (h->fields[i].name.len == name.len &&
            strncasecmp(bytes + h->fields[i].name.off, bytes + name.off, name.len) == 0)
            return true;
    return false;
}

/* A name is a token, in which there is nothing that JSON would escape. */
static void put_name(const char *name, uint32_t n, struct buf *out)
{
    bool start = true;
    char *to = buf_reserve(out, n + 3);
    to[0] = to[n + 1] = '"';
    to[n + 2] = ':';
    for (uint32_t i = 0; i < n; i++) {
        char c = name[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        to[1 + i] = !letter ? c : start ? (char)(c & ~0x20) : (char)(c | 0x20);
        start = c == '-';
    }
    buf_commit(out, n + 3);
}

void redact_fields(const struct http_head *h, const char *bytes, struct buf *out)
{
    const char *sep = "";
    (void)buf_reserve(out, h->bytes + 4U * h->field_count); /* about what it comes to */
    buf_char(out, '{');
    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct http_field *f = &h->fields[i];
        if (was_there(h, bytes, i))
            continue;
        buf_text(out, sep);
        put_name(bytes + f->name.off, f->name.len, out);
        if (is_secret(bytes, f))
            buf_text(out, "\"[REDACTED]\"");
        else
            buf_json(out, bytes + f->value.off, f->value.len);
        sep = ",";
    }
    buf_char(out, '}');
}

void redact_erase(const struct http_head *h, char *bytes)
{
    for (uint32_t i = 0; i < h->field_count; i++)
        if (is_secret(bytes, &h->fields[i]))
            memset(bytes + h->fields[i].value.off, '*', h->fields[i].value.len);
}
