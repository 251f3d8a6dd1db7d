/* The first byte says which kind: bit 0 a response, bit 1 to HEAD ('0', '1' and '3' in the corpus).
 * The rest is the head. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/pure/errors.h"
#include "http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* Bytes of a head that mean something once it was parsed. */
static size_t head_bytes(const struct http_head *h)
{
    return offsetof(struct http_head, fields) + h->field_count * sizeof(h->fields[0]);
}

static void check_same(int result, const struct http_head *h, int want,
                       const struct http_head *want_h)
{
    must(result == want);
    must(want != 1 || memcmp(h, want_h, head_bytes(want_h)) == 0);
}

static void check_span(const struct http_head *h, struct http_span s)
{
    must(s.off <= h->bytes && s.len <= h->bytes - s.off);
}

/* Within the bytes that there are: libFuzzer looks at all that strncasecmp is given. */
static bool begins(const char *line, const char *end, const char *name)
{
    size_t n = strlen(name);
    return (size_t)(end - line) >= n && strncasecmp(line, name, n) == 0;
}

/* What the header promises, read off the bytes without the parser. */
static void check_bytes(const struct http_head *h, const char *data)
{
    unsigned hosts = 0, lengths = 0, encodings = 0, types = 0;
    must(h->bytes >= 4 && memcmp(data + h->bytes - 4, "\r\n\r\n", 4) == 0);
    for (uint32_t i = 0; i < h->bytes; i++) {
        must(data[i] != '\0');
        must(data[i] != '\r' || data[i + 1] == '\n');
        must(data[i] != '\n' || (i > 0 && data[i - 1] == '\r'));
        if (data[i] != '\n' || i + 1 == h->bytes)
            continue;
        const char *line = data + i + 1;
        must(*line != ' ' && *line != '\t');
        hosts += begins(line, data + h->bytes, "host:");
        lengths += begins(line, data + h->bytes, "content-length:");
        encodings += begins(line, data + h->bytes, "transfer-encoding:");
        types += begins(line, data + h->bytes, "content-type:");
    }
    if (h->kind == HTTP_REQUEST)
        must((hosts == 1 || (hosts == 0 && h->minor == 0)) && types <= 1);
    must(lengths + encodings <= 1);
    must(h->framing != HTTP_BODY_LENGTH || lengths == 1);
    must(h->framing != HTTP_BODY_CHUNKED || (encodings == 1 && h->minor == 1));
}

static void check_head(const struct http_head *h, const char *data)
{
    check_span(h, h->method);
    check_span(h, h->target);
    check_span(h, h->path);
    check_span(h, h->query);
    check_span(h, h->reason);
    must(h->field_count <= HTTP_FIELDS_MAX && h->minor <= 1);
    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct http_field *f = &h->fields[i];
        check_span(h, f->name);
        check_span(h, f->value);
        must(f->name.len > 0 && data[f->name.off + f->name.len] == ':');
        must(f->known < HTTP_FIELD__COUNT);
        must(!f->known || http_head_find(h, f->known)->known == f->known);
        (void)http_head_is_hop(h, data, f);
    }
    if (h->kind == HTTP_REQUEST) {
        must(h->framing != HTTP_BODY_UNTIL_CLOSE && h->method.len > 0 && h->path.len > 0);
        must(data[h->path.off] == '/' || http_span_equal(data, h->target, "*"));
        must(h->path.off == h->target.off || data[h->target.off] != '/');
    } else {
        must(h->status >= 100 && h->status <= 999);
    }
}

/* A head that is written anew from what was parsed must be read the same. */
static void check_rebuilt(const struct http_head *h, const char *data, bool to_head)
{
    static char out[2 * HTTP_HEAD_BYTES_MAX];
    static struct http_head again;
    size_t n = 0, scan = 0;
#define SPAN(s) (int)(s).len, data + (s).off
#define SAY(...) n += (size_t)snprintf(out + n, sizeof(out) - n, __VA_ARGS__)
    if (h->kind == HTTP_REQUEST)
        SAY("%.*s %.*s%s%.*s HTTP/1.%d\r\n", SPAN(h->method), SPAN(h->path),
            h->query.len ? "?" : "", SPAN(h->query), h->minor);
    else
        SAY("HTTP/1.%d %d %.*s\r\n", h->minor, h->status, SPAN(h->reason));
    for (uint32_t i = 0; i < h->field_count; i++)
        SAY("%.*s: %.*s\r\n", SPAN(h->fields[i].name), SPAN(h->fields[i].value));
    SAY("\r\n");
#undef SAY
#undef SPAN
    if (n > HTTP_HEAD_BYTES_MAX)
        return;
    must(http_head_parse(h->kind, to_head, out, n, &scan, &again) == 1);
    must(again.bytes == n && again.field_count == h->field_count);
    must(again.framing == h->framing && again.content_length == h->content_length);
    must(again.keep_alive == h->keep_alive && again.upgrade == h->upgrade);
    must(again.status == h->status && again.path.len == h->path.len);
    must(again.query.len == h->query.len);
    for (uint32_t i = 0; i < h->field_count; i++)
        must(again.fields[i].known == h->fields[i].known &&
             again.fields[i].value.len == h->fields[i].value.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct http_head whole, part;
    if (size == 0)
        return 0;
    enum http_kind kind = input[0] & 1 ? HTTP_RESPONSE : HTTP_REQUEST;
    bool to_head = input[0] & 2;
    const char *data = (const char *)input + 1;
    size_t n = size - 1, scan = 0;
    int want = http_head_parse(kind, to_head, data, n, &scan, &whole);
    must(want == 1 || want == 0 || want == -ERR_HTTP_INVALID || want == -ERR_HEAD_TOO_LARGE ||
         want == -ERR_VERSION_INVALID);
    if (want == 1) {
        check_head(&whole, data);
        check_bytes(&whole, data);
        check_rebuilt(&whole, data, to_head);
    }
    int got = 0;
    scan = 0;
    for (size_t len = 0; len <= n && got == 0; len++) {
        /* A copy of its own, so that a sanitizer sees a byte too many. */
        char *copy = malloc(len + !len);
        must(copy != NULL);
        memcpy(copy, data, len);
        got = http_head_parse(kind, to_head, copy, len, &scan, &part);
        free(copy);
        must(got != 1 || part.bytes == len);
    }
    check_same(got, &part, want, &whole);
    return 0;
}
