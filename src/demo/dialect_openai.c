/* OpenAI's wording: chat completions and text completions. */
#include <inttypes.h>

#include "generate.h"

static const char *finish_reason(const struct generation *g)
{
    return g->cut ? "length" : g->tools.count > 0 ? "tool_calls" : "stop";
}

static void put_usage(const struct generation *g, struct buf *out)
{
    buf_printf(out, "\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u}",
               g->prompt_tokens, g->token_count, g->prompt_tokens + g->token_count);
}

/* llama-server's own addition to OpenAI's answers, from which proxies take speeds. */
static void put_timings(const struct generation *g, struct buf *out)
{
    double ms = generate_elapsed_ms(g);
    buf_printf(out,
               ",\"timings\":{\"cache_n\":0,\"prompt_n\":%u,\"prompt_ms\":0.1,"
               "\"prompt_per_second\":%.1f,\"predicted_n\":%u,\"predicted_ms\":%.3f,"
               "\"predicted_per_second\":%.1f}",
               g->prompt_tokens, g->prompt_tokens * 10000.0, g->token_count, ms,
               g->token_count * 1000.0 / ms);
}

static void put_start(const struct generation *g, const char *id, const char *object,
                      struct buf *out)
{
    buf_printf(
        out, "{\"id\":\"%s-%" PRIu64 "\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":", id,
        g->number, object, g->created_s);
    buf_json_text(out, g->model);
    buf_char(out, ',');
}

/* A call, up to its arguments. */
static void put_call(const struct generation *g, uint32_t index, struct buf *out)
{
    buf_printf(out, "\"id\":\"call_%" PRIu64 "_%u\",\"type\":\"function\",\"function\":{\"name\":",
               g->number, index);
    buf_json_text(out, g->tools.calls[index].name);
    buf_text(out, ",\"arguments\":");
}

static void put_calls(const struct generation *g, struct buf *out)
{
    buf_text(out, "null,\"tool_calls\":[");
    for (uint32_t i = 0; i < g->tools.count && g->tools.calls[i].said.len > 0; i++) {
        buf_text(out, i ? ",{" : "{");
        put_call(g, i, out);
        buf_json_text(out, g->tools.calls[i].said.data);
        buf_text(out, "}}");
    }
    buf_char(out, ']');
}

static void chat_whole(struct generation *g, const char *text, struct buf *out)
{
    put_start(g, "chatcmpl", "chat.completion", out);
    buf_text(out, "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (g->tools.count > 0)
        put_calls(g, out);
    else
        buf_json_text(out, text);
    buf_printf(out, "},\"finish_reason\":\"%s\"}],", finish_reason(g));
    put_usage(g, out);
    put_timings(g, out);
    buf_char(out, '}');
}

static void chat_chunk(const struct generation *g, const char *role, const char *text,
                       struct buf *out)
{
    buf_text(out, "data: ");
    put_start(g, "chatcmpl", "chat.completion.chunk", out);
    buf_printf(out, "\"choices\":[{\"index\":0,\"delta\":{%s\"content\":", role);
    buf_json_text(out, text);
    buf_text(out, "},\"finish_reason\":null}]}\n\n");
}

static void begin_call_delta(const struct generation *g, uint32_t index, struct buf *out)
{
    buf_text(out, "data: ");
    put_start(g, "chatcmpl", "chat.completion.chunk", out);
    buf_printf(out, "\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%u,", index);
}

static void chat_call_begin(struct generation *g, uint32_t index, struct buf *out)
{
    begin_call_delta(g, index, out);
    put_call(g, index, out);
    buf_text(out, "\"\"}}]},\"finish_reason\":null}]}\n\n");
}

static void chat_call_token(struct generation *g, uint32_t index, const char *text, struct buf *out)
{
    begin_call_delta(g, index, out);
    buf_text(out, "\"function\":{\"arguments\":");
    buf_json_text(out, text);
    buf_text(out, "}}]},\"finish_reason\":null}]}\n\n");
}

static void chat_call_end(struct generation *g, uint32_t index, struct buf *out)
{
    (void)g;
    (void)index;
    (void)out;
}

static void chat_begin(struct generation *g, struct buf *out)
{
    chat_chunk(g, "\"role\":\"assistant\",", "", out);
}

static void chat_token(struct generation *g, const char *text, struct buf *out)
{
    chat_chunk(g, "", text, out);
}

static void chat_end(struct generation *g, const char *text, struct buf *out)
{
    (void)text;
    buf_text(out, "data: ");
    put_start(g, "chatcmpl", "chat.completion.chunk", out);
    buf_printf(out, "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"%s\"}]",
               finish_reason(g));
    put_timings(g, out);
    buf_text(out, "}\n\n");
    if (g->include_usage) {
        buf_text(out, "data: ");
        put_start(g, "chatcmpl", "chat.completion.chunk", out);
        buf_text(out, "\"choices\":[],");
        put_usage(g, out);
        buf_text(out, "}\n\n");
    }
    buf_text(out, "data: [DONE]\n\n");
}

const struct dialect dialect_chat = {
    .whole = chat_whole,
    .begin = chat_begin,
    .token = chat_token,
    .end = chat_end,
    .call_begin = chat_call_begin,
    .call_token = chat_call_token,
    .call_end = chat_call_end,
};

static void text_whole(struct generation *g, const char *text, struct buf *out)
{
    put_start(g, "cmpl", "text_completion", out);
    buf_text(out, "\"choices\":[{\"index\":0,\"logprobs\":null,\"text\":");
    buf_json_text(out, text);
    buf_printf(out, ",\"finish_reason\":\"%s\"}],", finish_reason(g));
    put_usage(g, out);
    put_timings(g, out);
    buf_char(out, '}');
}

static void text_begin(struct generation *g, struct buf *out)
{
    (void)g;
    (void)out;
}

static void text_token(struct generation *g, const char *text, struct buf *out)
{
    buf_text(out, "data: ");
    put_start(g, "cmpl", "text_completion", out);
    buf_text(out, "\"choices\":[{\"index\":0,\"logprobs\":null,\"finish_reason\":null,\"text\":");
    buf_json_text(out, text);
    buf_text(out, "}]}\n\n");
}

static void text_end(struct generation *g, const char *text, struct buf *out)
{
    (void)text;
    buf_text(out, "data: ");
    put_start(g, "cmpl", "text_completion", out);
    buf_printf(out,
               "\"choices\":[{\"index\":0,\"logprobs\":null,\"text\":\"\","
               "\"finish_reason\":\"%s\"}]",
               finish_reason(g));
    if (g->include_usage) {
        buf_char(out, ',');
        put_usage(g, out);
    }
    buf_text(out, "}\n\ndata: [DONE]\n\n");
}

const struct dialect dialect_text = {
    .whole = text_whole, .begin = text_begin, .token = text_token, .end = text_end};
