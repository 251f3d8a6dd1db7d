/* The input is a chunked body. The oracle is a decoder written straight from RFC 9112, section 7.1,
 * for a body that is there as a whole. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/errors.h"
#include "http/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct outcome {
    int result;
    size_t used, len;
    char *content; /* owned */
};

/* The length of the line at p without its CRLF; -1 when it is not there yet, -2 when it is bad. */
static long line_length(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\r')
            return i + 1 == n ? -1 : p[i + 1] == '\n' ? (long)i : -2;
        if (p[i] != '\t' && (iscntrl((unsigned char)p[i]) || p[i] == '\n'))
            return -2;
    }
    return -1;
}

/* 1: the line is good; 0: not if it ends here. */
static int read_size(const char *p, size_t n, uint64_t *ret_size)
{
    size_t digits = strspn(p, "0123456789abcdefABCDEF");
    if (digits == 0 || digits > 15 || n - digits > 256)
        return 0;
    const char *rest = p + digits + strspn(p + digits, " \t");
    *ret_size = strtoull(p, NULL, 16);
    return n == digits || (rest < p + n && *rest == ';');
}

static int trailer_good(const char *p, size_t n)
{
    size_t name = strspn(p, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return name > 0 && name < n && p[name] == ':';
}

/* data ends in a NUL that does not count. Only whether the body is good, and what it holds: how
 * early a bad one is noticed is the decoder's own affair. */
static void reference(const char *data, size_t n, struct outcome *out)
{
    size_t at = 0, trailer = 0;
    uint64_t size = 1;
    while (size > 0) {
        long line = line_length(data + at, n - at);
        if (line < 0 || !read_size(data + at, (size_t)line, &size))
            return;
        at += (size_t)line + 2;
        if (size == 0)
            break;
        if (size > n - at || n - at - size < 2 || memcmp(data + at + size, "\r\n", 2) != 0)
            return;
        memcpy(out->content + out->len, data + at, size);
        out->len += size;
        at += size + 2;
    }
    for (;;) {
        long line = line_length(data + at, n - at);
        if (line < 0)
            return;
        at += (size_t)line + 2;
        if (line == 0)
            break;
        trailer += (size_t)line + 2;
        if (trailer > 8192 || !trailer_good(data + at - line - 2, (size_t)line))
            return;
    }
    out->result = 1;
    out->used = at;
}

static void feed(struct chunk_decoder *d, const char *data, size_t n, struct outcome *out)
{
    size_t at = 0;
    while (at < n && out->result == 0) {
        size_t used, off, len;
        out->result = chunk_decode(d, data + at, n - at, &used, &off, &len);
        if (out->result < 0)
            return;
        must(used > 0 && used <= n - at && off <= used && len <= used - off);
        memcpy(out->content + out->len, data + at + off, len);
        out->len += len;
        out->used += used;
        at += used;
    }
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    must(a->result == b->result);
    if (a->result >= 0)
        must(a->len == b->len && memcmp(a->content, b->content, a->len) == 0);
    if (a->result == 1)
        must(a->used == b->used);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    char *data = malloc(size + 1), *area = malloc(3 * size + 1);
    must(data != NULL && area != NULL);
    memcpy(data, input, size);
    data[size] = '\0';
    struct outcome whole = {.content = area}, bytes = {.content = area + size},
                   model = {.content = area + 2 * size};
    struct chunk_decoder d = {0};
    feed(&d, (const char *)input, size, &whole);
    d = (struct chunk_decoder){0};
    for (size_t i = 0; i < size; i++)
        feed(&d, (const char *)input + i, 1, &bytes);
    check_same(&whole, &bytes);
    reference(data, size, &model);
    if (model.result == 1)
        check_same(&whole, &model);
    else
        must(whole.result != 1);
    free(area);
    free(data);
    return 0;
}
