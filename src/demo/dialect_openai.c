/* OpenAI's wording: chat completions, text completions, responses. */
#include <inttypes.h>

#include "generate.h"

static const char *finish_reason(const struct generation *g)
{
    return g->cut ? "length" : "stop";
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

static void chat_whole(const struct generation *g, const char *text, struct buf *out)
{
    put_start(g, "chatcmpl", "chat.completion", out);
    buf_text(out, "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
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

static void chat_begin(const struct generation *g, struct buf *out)
{
    chat_chunk(g, "\"role\":\"assistant\",", "", out);
}

static void chat_token(const struct generation *g, const char *text, struct buf *out)
{
    chat_chunk(g, "", text, out);
}

static void chat_end(const struct generation *g, const char *text, struct buf *out)
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

const struct dialect dialect_chat = {chat_whole, chat_begin, chat_token, chat_end};

static void text_whole(const struct generation *g, const char *text, struct buf *out)
{
    put_start(g, "cmpl", "text_completion", out);
    buf_text(out, "\"choices\":[{\"index\":0,\"logprobs\":null,\"text\":");
    buf_json_text(out, text);
    buf_printf(out, ",\"finish_reason\":\"%s\"}],", finish_reason(g));
    put_usage(g, out);
    put_timings(g, out);
    buf_char(out, '}');
}

static void text_begin(const struct generation *g, struct buf *out)
{
    (void)g;
    (void)out;
}

static void text_token(const struct generation *g, const char *text, struct buf *out)
{
    buf_text(out, "data: ");
    put_start(g, "cmpl", "text_completion", out);
    buf_text(out, "\"choices\":[{\"index\":0,\"logprobs\":null,\"finish_reason\":null,\"text\":");
    buf_json_text(out, text);
    buf_text(out, "}]}\n\n");
}

static void text_end(const struct generation *g, const char *text, struct buf *out)
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

const struct dialect dialect_text = {text_whole, text_begin, text_token, text_end};

static void put_response(const struct generation *g, const char *status, const char *text,
                         struct buf *out)
{
    buf_printf(out,
               "{\"id\":\"resp_%" PRIu64 "\",\"object\":\"response\",\"created_at\":%" PRId64
               ",\"status\":\"%s\",\"model\":",
               g->number, g->created_s, status);
    buf_json_text(out, g->model);
    buf_text(out, ",\"output\":[");
    if (text) {
        buf_printf(out,
                   "{\"type\":\"message\",\"id\":\"msg_%" PRIu64
                   "\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":"
                   "[{\"type\":\"output_text\",\"annotations\":[],\"text\":",
                   g->number);
        buf_json_text(out, text);
        buf_text(out, "}]}");
    }
    buf_printf(out, "],\"usage\":{\"input_tokens\":%u,\"output_tokens\":%u,\"total_tokens\":%u}}",
               g->prompt_tokens, text ? g->token_count : 0,
               g->prompt_tokens + (text ? g->token_count : 0));
}

static void responses_whole(const struct generation *g, const char *text, struct buf *out)
{
    put_response(g, g->cut ? "incomplete" : "completed", text, out);
}

static void responses_begin(const struct generation *g, struct buf *out)
{
    buf_text(out, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":");
    put_response(g, "in_progress", NULL, out);
    buf_text(out, "}\n\n");
}

static void responses_token(const struct generation *g, const char *text, struct buf *out)
{
    buf_printf(out,
               "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
               "\"item_id\":\"msg_%" PRIu64 "\",\"output_index\":0,\"content_index\":0,\"delta\":",
               g->number);
    buf_json_text(out, text);
    buf_text(out, "}\n\n");
}

static void responses_end(const struct generation *g, const char *text, struct buf *out)
{
    const char *type = g->cut ? "response.incomplete" : "response.completed";
    buf_printf(out, "event: %s\ndata: {\"type\":\"%s\",\"response\":", type, type);
    responses_whole(g, text, out);
    buf_text(out, "}\n\n");
}

const struct dialect dialect_responses = {responses_whole, responses_begin, responses_token,
                                          responses_end};
