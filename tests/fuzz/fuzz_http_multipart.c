/* The input is a Content-Type up to the first LF, then the body. Oracles: the pieces that the body
 * comes in make no difference; what is found stands between two delimiters that memmem finds; and
 * splicing another model in gives a body in which that is found. */
#include <stdlib.h>
#include <string.h>

#include "base/pure/errors.h"
#include "http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static int scan_pieces(struct multipart_scan *s, const char *data, size_t n, size_t piece)
{
    int error = 0;
    for (size_t at = 0; at < n && error == 0; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        /* A copy of its own, so that a sanitizer sees a byte too many. */
        char *copy = malloc(len);
        must(copy != NULL);
        memcpy(copy, data + at, len);
        error = multipart_scan_feed(s, copy, len);
        free(copy);
    }
    return error ? error : multipart_scan_end(s);
}

static void check_same(const struct multipart_scan *a, const struct multipart_scan *b)
{
    must(a->offset == b->offset && a->model_found == b->model_found);
    must(a->model_duplicate == b->model_duplicate);
    must(a->model_off == b->model_off && a->model_len == b->model_len);
    must(memcmp(a->model, b->model, sizeof(a->model)) == 0);
}

/* The value ends at the first delimiter behind its start, and the one before stands before it. */
static void check_found(const struct multipart_scan *s, const char *data, size_t n)
{
    must(s->model_off <= n && s->model_len <= n - s->model_off);
    const char *value = data + s->model_off;
    size_t kept = s->model_len < MULTIPART_TEXT_MAX ? s->model_len : MULTIPART_TEXT_MAX;
    must(memcmp(s->model, value, kept) == 0 && s->model[kept] == '\0');
    must(memmem(value, n - s->model_off, s->delimiter, s->delimiter_len) == value + s->model_len);
    must(s->model_off >= 4 && memcmp(value - 4, "\r\n\r\n", 4) == 0);
    const char *before = memmem(data, s->model_off, s->delimiter + 2, s->delimiter_len - 2U);
    must(before != NULL && before - data <= 2);
}

static void check_spliced(const struct multipart_scan *s, const struct multipart_scan *fresh,
                          const char *data, size_t n)
{
    static const char text[] = "another-model";
    static struct multipart_scan again;
    size_t len = sizeof(text) - 1, rest = n - s->model_off - s->model_len;
    char *body = malloc(n + len);
    must(body != NULL);
    memcpy(body, data, s->model_off);
    memcpy(body + s->model_off, text, len);
    memcpy(body + s->model_off + len, data + s->model_off + s->model_len, rest);
    again = *fresh;
    must(scan_pieces(&again, body, s->model_off + len + rest, n + len) == 0);
    must(strcmp(again.model, text) == 0 && again.model_len == len);
    must(again.model_off == s->model_off && again.model_duplicate == s->model_duplicate);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct multipart_scan fresh, whole, part;
    const char *type = (const char *)input;
    const char *lf = size ? memchr(type, '\n', size) : NULL;
    size_t type_len = lf ? (size_t)(lf - type) : size;
    if (multipart_scan_init(&fresh, type, type_len) != 0 || !lf)
        return 0;
    const char *data = lf + 1;
    size_t n = size - type_len - 1;
    whole = fresh;
    int error = scan_pieces(&whole, data, n, n + 1);
    must(error == 0 || error == -ERR_FORM_INVALID);
    must(whole.offset <= n && (error || whole.offset == n));
    for (size_t piece = 1; piece < 20; piece += 6) {
        part = fresh;
        must(scan_pieces(&part, data, n, piece) == error);
        check_same(&part, &whole);
    }
    if (error == 0 && whole.model_found) {
        check_found(&whole, data, n);
        check_spliced(&whole, &fresh, data, n);
    }
    return 0;
}
