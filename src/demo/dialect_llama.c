/* llama.cpp's own completion. */
#include "generate.h"

static void put_llama_result(struct generation *g, const char *text, struct buf *out)
{
    double ms = generate_elapsed_ms(g);
    buf_text(out, "{\"index\":0,\"content\":");
    buf_json_text(out, text);
    buf_text(out, ",\"model\":");
    buf_json_text(out, g->model);
    buf_printf(out,
               ",\"stop\":true,\"stop_type\":\"%s\",\"truncated\":false,\"tokens_predicted\":%u,"
               "\"tokens_evaluated\":%u,\"timings\":{\"prompt_n\":%u,\"predicted_n\":%u,"
               "\"predicted_ms\":%.3f,\"predicted_per_second\":%.1f}}",
               g->cut ? "limit" : "eos", g->token_count, g->prompt_tokens, g->prompt_tokens,
               g->token_count, ms, g->token_count * 1000.0 / ms);
}

static void llama_begin(struct generation *g, struct buf *out)
{
    (void)g;
    (void)out;
}

static void llama_token(struct generation *g, const char *text, struct buf *out)
{
    (void)g;
    buf_text(out, "data: {\"index\":0,\"stop\":false,\"content\":");
    buf_json_text(out, text);
    buf_text(out, "}\n\n");
}

/* llama-server ends its own streams with the result, not with [DONE]. */
static void llama_end(struct generation *g, const char *text, struct buf *out)
{
    (void)text;
    buf_text(out, "data: ");
    put_llama_result(g, "", out);
    buf_text(out, "\n\n");
}

const struct dialect dialect_llama = {
    .whole = put_llama_result, .begin = llama_begin, .token = llama_token, .end = llama_end};
