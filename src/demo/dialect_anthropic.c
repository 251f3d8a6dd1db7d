/* Anthropic's messages. */
#include <inttypes.h>

#include "generate.h"

static const char *stop_reason(const struct generation *g)
{
    return g->cut ? "max_tokens" : g->tools.count > 0 ? "tool_use" : "end_turn";
}

static void put_message_start(const struct generation *g, struct buf *out)
{
    buf_printf(out,
               "{\"id\":\"msg_%" PRIu64 "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
               g->number);
    buf_json_text(out, g->model);
}

/* A call, up to its arguments. */
static void put_call(const struct generation *g, uint32_t index, struct buf *out)
{
    buf_printf(out, "{\"type\":\"tool_use\",\"id\":\"toolu_%" PRIu64 "_%u\",\"name\":", g->number,
               index);
    buf_json_text(out, g->tools.calls[index].name);
    buf_text(out, ",\"input\":");
}

/* Arguments that were cut are no JSON, and are left out. */
static void put_calls(const struct generation *g, struct buf *out)
{
    for (uint32_t i = 0; i < g->tools.count && g->tools.calls[i].said.len > 0; i++) {
        const struct tool_call *call = &g->tools.calls[i];
        buf_text(out, i ? "," : "");
        put_call(g, i, out);
        buf_text(out, tools_all_said(call) ? call->arguments : "{}");
        buf_char(out, '}');
    }
}

static void messages_whole(struct generation *g, const char *text, struct buf *out)
{
    put_message_start(g, out);
    buf_text(out, ",\"content\":[");
    if (g->tools.count > 0) {
        put_calls(g, out);
    } else {
        buf_text(out, "{\"type\":\"text\",\"text\":");
        buf_json_text(out, text);
        buf_char(out, '}');
    }
    buf_printf(out,
               "],\"stop_reason\":\"%s\",\"stop_sequence\":null,"
               "\"usage\":{\"input_tokens\":%u,\"output_tokens\":%u}}",
               stop_reason(g), g->prompt_tokens, g->token_count);
}

static void begin_block(uint32_t index, struct buf *out)
{
    buf_printf(out,
               "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":%u,"
               "\"content_block\":",
               index);
}

static void put_delta(uint32_t index, const char *type, const char *key, const char *text,
                      struct buf *out)
{
    buf_printf(out,
               "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":%u,"
               "\"delta\":{\"type\":\"%s\",\"%s\":",
               index, type, key);
    buf_json_text(out, text);
    buf_text(out, "}}\n\n");
}

static void end_block(uint32_t index, struct buf *out)
{
    buf_printf(out,
               "event: content_block_stop\n"
               "data: {\"type\":\"content_block_stop\",\"index\":%u}\n\n",
               index);
}

static void messages_call_begin(struct generation *g, uint32_t index, struct buf *out)
{
    begin_block(index, out);
    put_call(g, index, out);
    buf_text(out, "{}}}\n\n");
}

static void messages_call_token(struct generation *g, uint32_t index, const char *text,
                                struct buf *out)
{
    (void)g;
    put_delta(index, "input_json_delta", "partial_json", text, out);
}

static void messages_call_end(struct generation *g, uint32_t index, struct buf *out)
{
    (void)g;
    end_block(index, out);
}

static void messages_begin(struct generation *g, struct buf *out)
{
    buf_text(out, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    put_message_start(g, out);
    buf_printf(out,
               ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
               "\"usage\":{\"input_tokens\":%u,\"output_tokens\":0}}}\n\n",
               g->prompt_tokens);
    if (g->tools.count > 0)
        return;
    begin_block(0, out);
    buf_text(out, "{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

static void messages_token(struct generation *g, const char *text, struct buf *out)
{
    (void)g;
    put_delta(0, "text_delta", "text", text, out);
}

static void messages_end(struct generation *g, const char *text, struct buf *out)
{
    (void)text;
    if (g->tools.count == 0)
        end_block(0, out);
    buf_printf(out,
               "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
               "{\"stop_reason\":\"%s\",\"stop_sequence\":null},"
               "\"usage\":{\"output_tokens\":%u}}\n\n",
               stop_reason(g), g->token_count);
    buf_text(out, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

const struct dialect dialect_messages = {
    .whole = messages_whole,
    .begin = messages_begin,
    .token = messages_token,
    .end = messages_end,
    .call_begin = messages_call_begin,
    .call_token = messages_call_token,
    .call_end = messages_call_end,
};
