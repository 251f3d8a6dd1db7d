/* Anthropic's messages and llama.cpp's own completion. */
#include <inttypes.h>

#include "generate.h"

static const char *stop_reason(const struct generation *g)
{
    return g->cut ? "max_tokens" : "end_turn";
}

static void put_message_start(const struct generation *g, struct buf *out)
{
    buf_printf(out,
               "{\"id\":\"msg_%" PRIu64 "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
               g->number);
    buf_json_text(out, g->model);
}

static void messages_whole(const struct generation *g, const char *text, struct buf *out)
{
    put_message_start(g, out);
    buf_text(out, ",\"content\":[{\"type\":\"text\",\"text\":");
    buf_json_text(out, text);
    buf_printf(out,
               "}],\"stop_reason\":\"%s\",\"stop_sequence\":null,"
               "\"usage\":{\"input_tokens\":%u,\"output_tokens\":%u}}",
               stop_reason(g), g->prompt_tokens, g->token_count);
}

static void messages_begin(const struct generation *g, struct buf *out)
{
    buf_text(out, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    put_message_start(g, out);
    buf_printf(out,
               ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
               "\"usage\":{\"input_tokens\":%u,\"output_tokens\":0}}}\n\n",
               g->prompt_tokens);
    buf_text(out, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
                  "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

static void messages_token(const struct generation *g, const char *text, struct buf *out)
{
    (void)g;
    buf_text(out, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
                  "\"delta\":{\"type\":\"text_delta\",\"text\":");
    buf_json_text(out, text);
    buf_text(out, "}}\n\n");
}

static void messages_end(const struct generation *g, const char *text, struct buf *out)
{
    (void)text;
    buf_text(out, "event: content_block_stop\n"
                  "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    buf_printf(out,
               "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
               "{\"stop_reason\":\"%s\",\"stop_sequence\":null},"
               "\"usage\":{\"output_tokens\":%u}}\n\n",
               stop_reason(g), g->token_count);
    buf_text(out, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

const struct dialect dialect_messages = {messages_whole, messages_begin, messages_token,
                                         messages_end};

static void put_llama_result(const struct generation *g, const char *text, struct buf *out)
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

static void llama_begin(const struct generation *g, struct buf *out)
{
    (void)g;
    (void)out;
}

static void llama_token(const struct generation *g, const char *text, struct buf *out)
{
    (void)g;
    buf_text(out, "data: {\"index\":0,\"stop\":false,\"content\":");
    buf_json_text(out, text);
    buf_text(out, "}\n\n");
}

/* llama-server ends its own streams with the result, not with [DONE]. */
static void llama_end(const struct generation *g, const char *text, struct buf *out)
{
    (void)text;
    buf_text(out, "data: ");
    put_llama_result(g, "", out);
    buf_text(out, "\n\n");
}

const struct dialect dialect_llama = {put_llama_result, llama_begin, llama_token, llama_end};
