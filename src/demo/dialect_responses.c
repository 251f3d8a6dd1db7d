/* OpenAI's responses, whose streams tell of each part's begin and end. */
#include <inttypes.h>

#include "generate.h"

/* An event, up to where its own members follow. */
static void begin_event(struct generation *g, const char *type, struct buf *out)
{
    buf_printf(out, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%u", type, type,
               g->events++);
}

static void end_event(struct buf *out)
{
    buf_text(out, "}\n\n");
}

static void put_part(const char *text, struct buf *out)
{
    buf_text(out, "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":");
    buf_json_text(out, text);
    buf_char(out, '}');
}

/* The message, without text while it has none. */
static void put_message(const struct generation *g, const char *text, struct buf *out)
{
    buf_printf(out,
               "{\"type\":\"message\",\"id\":\"msg_%" PRIu64
               "\",\"status\":\"%s\",\"role\":\"assistant\",\"content\":[",
               g->number,
               !text    ? "in_progress"
               : g->cut ? "incomplete"
                        : "completed");
    if (text)
        put_part(text, out);
    buf_text(out, "]}");
}

static void put_call(const struct generation *g, uint32_t index, struct buf *out)
{
    const struct tool_call *call = &g->tools.calls[index];
    buf_printf(out,
               "{\"type\":\"function_call\",\"id\":\"fc_%" PRIu64
               "_%u\",\"call_id\":\"call_%" PRIu64 "_%u\",\"status\":\"%s\",\"name\":",
               g->number, index, g->number, index,
               tools_all_said(call) ? "completed" : "in_progress");
    buf_json_text(out, call->name);
    buf_text(out, ",\"arguments\":");
    buf_json_text(out, call->said.data ? call->said.data : "");
    buf_char(out, '}');
}

static void put_output(const struct generation *g, const char *text, struct buf *out)
{
    if (g->tools.count == 0)
        put_message(g, text, out);
    for (uint32_t i = 0; i < g->tools.count && g->tools.calls[i].said.len > 0; i++) {
        buf_text(out, i ? "," : "");
        put_call(g, i, out);
    }
}

/* text: NULL while there is no answer yet. */
static void put_response(const struct generation *g, const char *text, struct buf *out)
{
    uint32_t tokens = text ? g->token_count : 0;
    buf_printf(out,
               "{\"id\":\"resp_%" PRIu64 "\",\"object\":\"response\",\"created_at\":%" PRId64
               ",\"status\":\"%s\",\"error\":null,\"incomplete_details\":%s,\"instructions\":null,"
               "\"metadata\":{},\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],"
               "\"temperature\":1,\"top_p\":1,\"model\":",
               g->number, g->created_s,
               !text    ? "in_progress"
               : g->cut ? "incomplete"
                        : "completed",
               text && g->cut ? "{\"reason\":\"max_output_tokens\"}" : "null");
    buf_json_text(out, g->model);
    buf_text(out, ",\"output\":[");
    if (text)
        put_output(g, text, out);
    buf_printf(out,
               "],\"usage\":{\"input_tokens\":%u,\"input_tokens_details\":{\"cached_tokens\":0},"
               "\"output_tokens\":%u,\"output_tokens_details\":{\"reasoning_tokens\":0},"
               "\"total_tokens\":%u}}",
               g->prompt_tokens, tokens, g->prompt_tokens + tokens);
}

static void put_response_event(struct generation *g, const char *type, const char *text,
                               struct buf *out)
{
    begin_event(g, type, out);
    buf_text(out, ",\"response\":");
    put_response(g, text, out);
    end_event(out);
}

/* An event about the message, up to its own members. */
static void begin_text_event(struct generation *g, const char *type, struct buf *out)
{
    begin_event(g, type, out);
    buf_printf(out, ",\"item_id\":\"msg_%" PRIu64 "\",\"output_index\":0,\"content_index\":0",
               g->number);
}

static void put_text_event(struct generation *g, const char *type, const char *key,
                           const char *text, struct buf *out)
{
    begin_text_event(g, type, out);
    buf_printf(out, ",\"logprobs\":[],\"%s\":", key);
    buf_json_text(out, text);
    end_event(out);
}

static void put_part_event(struct generation *g, const char *type, const char *text,
                           struct buf *out)
{
    begin_text_event(g, type, out);
    buf_text(out, ",\"part\":");
    put_part(text, out);
    end_event(out);
}

/* text: NULL where the message begins. */
static void put_message_event(struct generation *g, const char *type, const char *text,
                              struct buf *out)
{
    begin_event(g, type, out);
    buf_text(out, ",\"output_index\":0,\"item\":");
    put_message(g, text, out);
    end_event(out);
}

static void responses_whole(struct generation *g, const char *text, struct buf *out)
{
    put_response(g, text, out);
}

static void responses_begin(struct generation *g, struct buf *out)
{
    put_response_event(g, "response.created", NULL, out);
    put_response_event(g, "response.in_progress", NULL, out);
    if (g->tools.count > 0)
        return;
    put_message_event(g, "response.output_item.added", NULL, out);
    put_part_event(g, "response.content_part.added", "", out);
}

static void responses_token(struct generation *g, const char *text, struct buf *out)
{
    put_text_event(g, "response.output_text.delta", "delta", text, out);
}

static void responses_end(struct generation *g, const char *text, struct buf *out)
{
    if (g->tools.count == 0) {
        put_text_event(g, "response.output_text.done", "text", text, out);
        put_part_event(g, "response.content_part.done", text, out);
        put_message_event(g, "response.output_item.done", text, out);
    }
    put_response_event(g, g->cut ? "response.incomplete" : "response.completed", text, out);
}

static void put_call_event(struct generation *g, const char *type, uint32_t index, struct buf *out)
{
    begin_event(g, type, out);
    buf_printf(out, ",\"output_index\":%u,\"item\":", index);
    put_call(g, index, out);
    end_event(out);
}

static void put_arguments_event(struct generation *g, const char *step, uint32_t index,
                                const char *key, const char *text, struct buf *out)
{
    char type[64];
    snprintf(type, sizeof(type), "response.function_call_arguments.%s", step);
    begin_event(g, type, out);
    buf_printf(out, ",\"item_id\":\"fc_%" PRIu64 "_%u\",\"output_index\":%u,\"name\":", g->number,
               index, index);
    buf_json_text(out, g->tools.calls[index].name);
    buf_printf(out, ",\"%s\":", key);
    buf_json_text(out, text);
    end_event(out);
}

static void responses_call_begin(struct generation *g, uint32_t index, struct buf *out)
{
    put_call_event(g, "response.output_item.added", index, out);
}

static void responses_call_token(struct generation *g, uint32_t index, const char *text,
                                 struct buf *out)
{
    put_arguments_event(g, "delta", index, "delta", text, out);
}

static void responses_call_end(struct generation *g, uint32_t index, struct buf *out)
{
    put_arguments_event(g, "done", index, "arguments", g->tools.calls[index].said.data, out);
    put_call_event(g, "response.output_item.done", index, out);
}

const struct dialect dialect_responses = {
    .whole = responses_whole,
    .begin = responses_begin,
    .token = responses_token,
    .end = responses_end,
    .call_begin = responses_call_begin,
    .call_token = responses_call_token,
    .call_end = responses_call_end,
};
