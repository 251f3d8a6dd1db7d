/* The input is that of fuzz_http_head.c; the oracle is llhttp, as head_compare.h says. */
#include <stdio.h>
#include <stdlib.h>

#include "head_compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct http_head h;
    struct head_comparison c;
    if (size == 0 || peer_missing())
        return 0;
    enum http_kind kind = input[0] & 1 ? HTTP_RESPONSE : HTTP_REQUEST;
    bool to_head = input[0] & 2;
    const char *data = (const char *)input + 1;
    size_t scan = 0;
    if (http_head_parse(kind, to_head, data, size - 1, &scan, &h) != 1)
        return 0;
    head_compare(&h, to_head, data, &c);
    if (c.agreement == HEAD_DIFFERS) {
        fprintf(stderr, "%s\nrewritten: %s\n", c.why, c.why_rewritten);
        abort();
    }
    return 0;
}
