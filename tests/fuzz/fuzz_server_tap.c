/* The first byte of the input chooses what the answer says of itself, the rest is its body. In
 * whatever pieces it comes, the same is read from it; and it stays within its bounds. */
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "server/proxy/tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct outcome {
    struct tap_counts counts;
    struct buf error;
};

/* In pieces of that many bytes. */
static void taste(uint8_t kind, const char *body, size_t n, size_t piece, struct outcome *ret)
{
    static const char *const types[] = {"application/json", "text/event-stream"};
    const char *type = types[kind & 1];
    struct tap_spare spare = {0};
    struct tap *t = tap_new(&(struct tap_answer){.status = kind & 2 ? 500 : 200,
                                                 .type = type,
                                                 .type_len = strlen(type)},
                            &spare);
    for (size_t at = 0; at < n; at += piece)
        tap_feed(t, body + at, piece < n - at ? piece : n - at);
    *ret = (struct outcome){0};
    tap_end(t, &ret->counts, &ret->error);
    tap_free(t);
    tap_spare_fini(&spare);
}

static bool is_same(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    const struct tap_counts *x = &a->counts, *y = &b->counts;
    must(x->input == y->input && x->output == y->output && x->cached == y->cached);
    must(x->drafted == y->drafted && x->draft_accepted == y->draft_accepted);
    must(is_same(x->prompt_per_second, y->prompt_per_second));
    must(is_same(x->output_per_second, y->output_per_second));
    must(x->measured_ms == y->measured_ms);
    must(a->error.len == b->error.len);
    must(a->error.len == 0 || memcmp(a->error.data, b->error.data, a->error.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct outcome whole, pieces;
    if (size == 0)
        return 0;
    const char *body = (const char *)input + 1;
    taste(input[0], body, size - 1, size, &whole);
    must(whole.counts.input >= 0 && whole.counts.output >= 0 && whole.counts.cached >= -1);
    must(whole.error.len <= TAP_MESSAGE_MAX + 3);
    for (size_t piece = 1; piece < 8; piece += 3) {
        taste(input[0], body, size - 1, piece, &pieces);
        check_same(&whole, &pieces);
        buf_fini(&pieces.error);
    }
    buf_fini(&whole.error);
    return 0;
}
