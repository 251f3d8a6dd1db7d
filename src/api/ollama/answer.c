#include "api/ollama/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/ollama/calls.h"
#include "api/ollama/piece.h"
#include "api/ollama/tools.h"
#include "api/ollama/vectors.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/errors.h"
#include "server/proxy/answer.h"
#include "server/proxy/relay.h"
#include "server/server.h"

#define ERROR_MAX (64 * 1024)

/* exchange->filtering. */
struct answer {
    struct ollama_ask ask; /* without its body */
    unsigned status;
    bool events;                 /* what comes is a stream of events */
    bool finished;               /* the model has said all */
    bool over;                   /* nothing more is to be said to the client */
    uint64_t began_ns, first_ns; /* first_ns: of the first word of a stream; 0: none yet */
    struct buf line;             /* of a stream, as far as it has come */
    struct buf text; /* the data of an event, or an answer that is kept until it is whole */
    struct ollama_tools tools;
    struct vectors vectors;
    char finish[24];
    double prompt_tokens, tokens, prompt_ms, tokens_ms; /* -1: not said */
};

/* ---- writing ---- */

static bool is_chat(const struct answer *a)
{
    return a->ask.call == OLLAMA_CHAT;
}

/* A line break between the tokens of what is put into a line would end it. */
static void put_span(struct buf *out, struct ollama_span span)
{
    for (size_t i = 0; i < span.n; i++)
        buf_char(out, span.text[i] == '\n' || span.text[i] == '\r' ? ' ' : span.text[i]);
}

static void put_named(struct buf *out, const char *name, struct ollama_span span)
{
    if (span.n == 0)
        return;
    buf_printf(out, ",\"%s\":", name);
    put_span(out, span);
}

static void put_begin(const struct answer *a, struct buf *out)
{
    char now[32];
    buf_text(out, "{\"model\":");
    buf_json_text(out, a->ask.model);
    buf_printf(out, ",\"created_at\":\"%s\"", server_time(now));
}

/* The part of an answer that the model has said. tools: a list, or empty. */
static void put_said(const struct answer *a, const struct ollama_piece *p, const struct buf *tools,
                     struct buf *out)
{
    static const struct ollama_span nothing = {"\"\"", 2};
    struct ollama_span content = p->content.n ? p->content : nothing;
    buf_text(out,
             is_chat(a) ? ",\"message\":{\"role\":\"assistant\",\"content\":" : ",\"response\":");
    put_span(out, content);
    if (p->thinking.n > 2)
        put_named(out, "thinking", p->thinking);
    if (tools && tools->len)
        buf_printf(out, ",\"tool_calls\":%s", tools->data);
    if (is_chat(a))
        buf_char(out, '}');
    put_named(out, "logprobs", p->logprobs);
}

static void put_ns(struct buf *out, const char *name, double ns)
{
    buf_printf(out, ",\"%s\":%.0f", name, ns > 0 ? ns : 0);
}

/* Until the model's server had it. The two clocks differ by some milliseconds. */
static double waited_ns(const struct exchange *ex, const struct answer *a)
{
    const struct waiting *w = &ex->waiting;
    double since = (double)(uv_hrtime() - a->began_ns);
    double waited = w->position ? (double)(w->over_ms - w->since_ms) * 1e6 : 0;
    return waited < since ? waited : since;
}

static void put_durations(const struct exchange *ex, const struct answer *a, struct buf *out)
{
    double waited = waited_ns(ex, a);
    put_ns(out, "total_duration", (double)(uv_hrtime() - a->began_ns));
    put_ns(out, "load_duration", waited);
}

/* What it took. The model's server knows best; else by the clock here, where the first word of a
 * stream tells the prompt from the rest. */
static void put_end(struct exchange *ex, const struct answer *a, struct buf *out)
{
    double began = (double)a->began_ns + waited_ns(ex, a), now = (double)uv_hrtime();
    double first = a->first_ns ? (double)a->first_ns : began;
    double prompt = a->prompt_ms >= 0 ? a->prompt_ms * 1e6 : first - began;
    double tokens = a->tokens_ms >= 0 ? a->tokens_ms * 1e6 : now - first;
    const char *why = strcmp(a->finish, "length") == 0 ? "length" : "stop";
    buf_printf(out, ",\"done\":true,\"done_reason\":\"%s\"", why);
    put_durations(ex, a, out);
    if (a->prompt_tokens >= 0)
        buf_printf(out, ",\"prompt_eval_count\":%.0f", a->prompt_tokens);
    put_ns(out, "prompt_eval_duration", prompt);
    if (a->tokens >= 0)
        buf_printf(out, ",\"eval_count\":%.0f", a->tokens);
    put_ns(out, "eval_duration", tokens);
    buf_text(out, "}\n");
}

static void put_error(const char *message, struct buf *out)
{
    buf_text(out, "{\"error\":");
    buf_json_text(out, message);
    buf_text(out, "}\n");
}

static void fail(struct exchange *ex, struct answer *a, const char *what, struct buf *out)
{
    struct buf text = {0};
    buf_printf(&text, "model %s: %s", exchange_target(ex), what);
    log_warn_with(exchange_model(ex), LOG_WITH(EXCHANGE_LOG_FIELDS(ex)),
                  "answer could not be translated: %s", what);
    put_error(text.data, out);
    buf_fini(&text);
    a->over = true;
}

/* ---- pieces ---- */

static void count(struct answer *a, const struct ollama_piece *p)
{
    if (p->prompt_tokens >= 0)
        a->prompt_tokens = p->prompt_tokens;
    if (p->tokens >= 0)
        a->tokens = p->tokens;
    if (p->prompt_ms >= 0)
        a->prompt_ms = p->prompt_ms;
    if (p->tokens_ms >= 0)
        a->tokens_ms = p->tokens_ms;
    if (p->finish[0])
        memcpy(a->finish, p->finish, sizeof(a->finish));
    a->finished = a->finished || p->finished;
}

/* Reads one; false, and said, when it is an error or cannot be understood. */
static bool read_piece(struct exchange *ex, struct answer *a, const struct buf *json,
                       struct ollama_piece *ret, struct buf *out)
{
    struct buf why = {0};
    if (ollama_piece_read(json->data ? json->data : "", json->len, ret) < 0) {
        fail(ex, a, "its server sent what is no JSON object", out);
        return false;
    }
    if (ret->failed) {
        ollama_piece_error(json->data, json->len, &why);
        put_error(why.len ? why.data : "", out);
        buf_fini(&why);
        a->over = true;
        return false;
    }
    count(a, ret);
    if (ret->tool_calls.n &&
        ollama_tools_add(&a->tools, ret->tool_calls.text, ret->tool_calls.n) < 0) {
        fail(ex, a, "its server sent calls of tools that are none, or too many", out);
        return false;
    }
    return true;
}

/* The calls as a list; false, and said, when they are not what they should be. */
static bool take_tools(struct exchange *ex, struct answer *a, struct buf *list, struct buf *out)
{
    if (a->tools.count == 0)
        return true;
    if (ollama_tools_put(&a->tools, list) < 0) {
        fail(ex, a, "it called a tool with arguments that are no JSON object", out);
        return false;
    }
    ollama_tools_fini(&a->tools);
    return true;
}

static void put_line(const struct answer *a, const struct ollama_piece *p, const struct buf *tools,
                     struct buf *out)
{
    if (p->content.n <= 2 && p->thinking.n <= 2 && p->logprobs.n == 0 && tools->len == 0)
        return;
    put_begin(a, out);
    put_said(a, p, tools, out);
    buf_text(out, ",\"done\":false}\n");
}

/* Behind the calls of tools that a server has not said the end of. */
static void put_last_line(struct exchange *ex, struct answer *a, struct buf *out)
{
    static const struct ollama_piece nothing;
    struct buf tools = {0};
    if (take_tools(ex, a, &tools, out)) {
        put_line(a, &nothing, &tools, out);
        put_begin(a, out);
        put_said(a, &nothing, NULL, out);
        put_end(ex, a, out);
    }
    a->over = true;
    buf_fini(&tools);
}

static void take_event(struct exchange *ex, struct answer *a, struct buf *out)
{
    struct ollama_piece p;
    struct buf tools = {0};
    if (strcmp(a->text.data, "[DONE]") == 0) {
        a->finished = true;
        put_last_line(ex, a, out);
        return;
    }
    if (!read_piece(ex, a, &a->text, &p, out))
        return;
    if (!a->first_ns && p.content.n + p.thinking.n + p.tool_calls.n > 2)
        a->first_ns = uv_hrtime();
    /* Calls of tools are whole once the model has said all. */
    if (!a->finished || take_tools(ex, a, &tools, out))
        put_line(a, &p, &tools, out);
    buf_fini(&tools);
}

/* ---- streams of events ---- */

static void take_line(struct exchange *ex, struct answer *a, struct buf *out)
{
    static const char name[] = "data:", error[] = "error:";
    const char *line = a->line.data ? a->line.data : "";
    size_t n = a->line.len;
    if (n && line[n - 1] == '\r')
        n--;
    if (n == 0 && a->text.len) {
        take_event(ex, a, out);
        buf_clear(&a->text);
    } else if (n >= sizeof(name) - 1 && memcmp(line, name, sizeof(name) - 1) == 0) {
        size_t from = sizeof(name) - 1;
        from += from < n && line[from] == ' ';
        if (a->text.len)
            buf_char(&a->text, '\n');
        buf_append(&a->text, line + from, n - from);
    } else if (n >= sizeof(error) - 1 && memcmp(line, error, sizeof(error) - 1) == 0) {
        struct buf why = {0}; /* as older llama-servers have it */
        ollama_piece_error(line + sizeof(error) - 1, n - sizeof(error) + 1, &why);
        put_error(why.data, out);
        buf_fini(&why);
        a->over = true;
    }
    buf_clear(&a->line);
}

static void feed_events(struct exchange *ex, struct answer *a, const char *data, size_t n,
                        struct buf *out)
{
    while (n && !a->over) {
        const char *end = memchr(data, '\n', n);
        size_t part = end ? (size_t)(end - data) : n;
        buf_append(&a->line, data, part);
        if (a->line.len + a->text.len > OLLAMA_EVENT_MAX) {
            fail(ex, a, "its server sent an event that is too large", out);
            return;
        }
        if (end)
            take_line(ex, a, out);
        part += end != NULL;
        data += part;
        n -= part;
    }
}

static void end_events(struct exchange *ex, struct answer *a, struct buf *out)
{
    if (!a->over && a->line.len)
        take_line(ex, a, out);
    if (!a->over && a->text.len)
        take_line(ex, a, out);
    if (a->over)
        return;
    if (a->finished)
        put_last_line(ex, a, out);
    else
        fail(ex, a, "its server ended the answer before its end", out);
}

/* ---- whole answers ---- */

static void end_whole(struct exchange *ex, struct answer *a, struct buf *out)
{
    struct ollama_piece p;
    struct buf tools = {0};
    if (a->text.overflow) {
        fail(ex, a, "its server's answer is too large", out);
        return;
    }
    if (read_piece(ex, a, &a->text, &p, out) && take_tools(ex, a, &tools, out)) {
        put_begin(a, out);
        put_said(a, &p, &tools, out);
        put_end(ex, a, out);
    }
    buf_fini(&tools);
}

static void end_failed(struct exchange *ex, struct answer *a, struct buf *out)
{
    struct buf why = {0};
    ollama_piece_error(a->text.data ? a->text.data : "", a->text.len, &why);
    if (why.len == 0)
        buf_printf(&why, "model %s: its server answered %u", exchange_target(ex), a->status);
    put_error(why.data, out);
    buf_fini(&why);
}

/* ---- embeddings ---- */

static bool is_embedding(const struct answer *a)
{
    return a->ask.call == OLLAMA_EMBED || a->ask.call == OLLAMA_EMBEDDINGS;
}

static void begin_vectors(struct answer *a, struct buf *out)
{
    bool one = a->ask.call == OLLAMA_EMBEDDINGS;
    vectors_init(&a->vectors, one);
    if (one) {
        buf_text(out, "{\"embedding\":");
        return;
    }
    buf_text(out, "{\"model\":");
    buf_json_text(out, a->ask.model);
    buf_text(out, ",\"embeddings\":[");
}

static void end_vectors(struct exchange *ex, struct answer *a, struct buf *out)
{
    if (!vectors_end(&a->vectors)) {
        log_warn_with(exchange_model(ex), LOG_WITH(EXCHANGE_LOG_FIELDS(ex)),
                      "answer could not be translated: no embeddings");
        return; /* what the client has is no JSON, so it cannot be taken for an answer */
    }
    if (a->ask.call == OLLAMA_EMBEDDINGS) {
        buf_text(out, "}\n");
        return;
    }
    buf_char(out, ']');
    put_durations(ex, a, out);
    if (a->vectors.prompt_tokens >= 0)
        buf_printf(out, ",\"prompt_eval_count\":%.0f", a->vectors.prompt_tokens);
    buf_text(out, "}\n");
}

/* ---- the filter ---- */

static void on_head(struct exchange *ex, const struct http_head *h, const char *bytes,
                    struct buf *out)
{
    struct answer *a = ex->filtering;
    a->status = h->status;
    a->events = h->status == 200 && http_head_is_event_stream(h, bytes);
    a->text.max = h->status != 200 ? ERROR_MAX : OLLAMA_WHOLE_MAX;
    bool lines = h->status == 200 && a->ask.stream;
    buf_printf(out, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\n%s", h->status,
               http_reason((int)h->status),
               lines ? "application/x-ndjson" : "application/json; charset=utf-8",
               lines ? "X-Accel-Buffering: no\r\n" : "");
    ollama_keep(ex, &a->ask);
}

static void on_data(struct exchange *ex, const char *data, size_t n, struct buf *out)
{
    struct answer *a = ex->filtering;
    if (a->status == 200 && is_embedding(a)) {
        if (!a->vectors.begun)
            begin_vectors(a, out);
        vectors_feed(&a->vectors, data, n, out);
    } else if (a->events && a->ask.stream) {
        feed_events(ex, a, data, n, out);
    } else {
        buf_append(&a->text, data, n);
    }
}

static void on_end(struct exchange *ex, const struct problem *problem, struct buf *out)
{
    struct answer *a = ex->filtering;
    if (problem) {
        /* Lines can say so; what should have been one object is cut. */
        if (a->status == 200 && a->ask.stream && !a->over)
            put_error(problem->detail ? problem->detail : error_info(problem->error)->text, out);
        a->over = true;
    } else if (a->status != 200) {
        end_failed(ex, a, out);
    } else if (is_embedding(a)) {
        if (!a->vectors.begun)
            begin_vectors(a, out);
        end_vectors(ex, a, out);
    } else if (a->events && a->ask.stream) {
        end_events(ex, a, out);
    } else {
        end_whole(ex, a, out);
    }
}

static void on_fini(struct exchange *ex)
{
    struct answer *a = ex->filtering;
    ollama_ask_fini(&a->ask);
    buf_fini(&a->line);
    buf_fini(&a->text);
    ollama_tools_fini(&a->tools);
    vectors_fini(&a->vectors);
    free(a);
}

static const struct relay_filter filter = {
    .head = on_head, .data = on_data, .end = on_end, .fini = on_fini};

void ollama_answer_begin(struct exchange *ex, struct ollama_ask *ask)
{
    struct answer *a = alloc_zeroed(1, sizeof(*a));
    a->ask = *ask;
    *ask = (struct ollama_ask){.call = ask->call};
    a->began_ns = uv_hrtime();
    a->prompt_tokens = a->tokens = a->prompt_ms = a->tokens_ms = -1;
    ex->filter = &filter;
    ex->filtering = a;
}

const struct ollama_ask *ollama_answer_ask(const struct exchange *ex)
{
    const struct answer *a = ex->filtering;
    return &a->ask;
}

void ollama_answer_nothing(struct exchange *ex, const char *why)
{
    struct answer *a = ex->filtering;
    struct buf out = {0};
    if (a->ask.call == OLLAMA_EMBEDDINGS) {
        buf_text(&out, "{\"embedding\":[]}\n");
    } else if (a->ask.call == OLLAMA_EMBED) {
        buf_text(&out, "{\"model\":");
        buf_json_text(&out, a->ask.model);
        buf_text(&out, ",\"embeddings\":[]}\n");
    } else {
        put_begin(a, &out);
        put_said(a, &(struct ollama_piece){0}, NULL, &out);
        buf_printf(&out, ",\"done\":true,\"done_reason\":\"%s\"}\n", why);
    }
    exchange_reply(ex, 200, "application/json; charset=utf-8", NULL, out.data, out.len);
    buf_fini(&out);
}
