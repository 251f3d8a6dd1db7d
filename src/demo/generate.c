#include "generate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"

#define BLANKS " \t\r\n"
#define TOKENS_MAX 1000000
/* "demo-model", the name, "says:" */
#define OPENING_TOKENS 3

void generate_gather_text(const json_t *value, struct buf *out)
{
    static const char *const keys[] = {"content", "text", "parts", "output"};
    size_t i;
    const json_t *item;
    if (json_is_string(value)) {
        buf_append(out, json_string_value(value), json_string_length(value));
        buf_char(out, ' ');
    }
    json_array_foreach(value, i, item) generate_gather_text(item, out);
    for (i = 0; json_is_object(value) && i < countof(keys); i++)
        generate_gather_text(json_object_get(value, keys[i]), out);
}

uint32_t generate_count_words(const char *text)
{
    uint32_t count = 0;
    for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS)) {
        text += strcspn(text, BLANKS);
        count++;
    }
    return count;
}

double generate_elapsed_ms(const struct generation *g)
{
    return (double)(engine_now().ns - g->started.ns + 1) / (double)NS_PER_MS;
}

/* The conversation, under whichever name the dialect has for it. */
static const json_t *find_conversation(const json_t *request)
{
    static const char *const keys[] = {"messages", "input", "prompt", "input_prefix"};
    for (size_t i = 0; i < countof(keys); i++) {
        const json_t *found = json_object_get(request, keys[i]);
        if (found)
            return found;
    }
    return NULL;
}

static bool has_text(const json_t *item, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(item, key));
    return text && strcmp(text, wanted) == 0;
}

/* The last message of the user, or of a tool, where there are roles, else everything. */
static const json_t *find_last_message(const json_t *conversation)
{
    for (size_t i = json_array_size(conversation); i > 0; i--) {
        const json_t *item = json_array_get(conversation, i - 1);
        if (has_text(item, "role", "user") || has_text(item, "role", "tool") ||
            has_text(item, "type", "function_call_output"))
            return item;
    }
    return conversation;
}

static void cut_words(struct generation *g)
{
    g->words = alloc_zeroed(g->prompt_tokens, sizeof(*g->words));
    char *save = NULL;
    for (char *word = g->prompt.data ? strtok_r(g->prompt.data, BLANKS, &save) : NULL; word;
         word = strtok_r(NULL, BLANKS, &save))
        g->words[g->word_count++] = word;
}

static void read_prompt(struct generation *g)
{
    const json_t *conversation = find_conversation(g->request);
    const json_t *system = json_object_get(g->request, "system");
    struct buf all = {0};
    generate_gather_text(system, &all);
    generate_gather_text(conversation, &all);
    g->prompt_tokens = all.data ? generate_count_words(all.data) : 0;
    buf_fini(&all);
    generate_gather_text(find_last_message(conversation), &g->prompt);
    cut_words(g);
}

/* UINT32_MAX when the client sets no limit; llama.cpp's -1 is none either. */
static uint32_t read_limit(const json_t *request)
{
    static const char *const keys[] = {"max_tokens", "max_completion_tokens", "max_output_tokens",
                                       "n_predict"};
    for (size_t i = 0; i < countof(keys); i++) {
        const json_t *value = json_object_get(request, keys[i]);
        if (json_is_integer(value) && json_integer_value(value) >= 0)
            return json_integer_value(value) < TOKENS_MAX ? (uint32_t)json_integer_value(value)
                                                          : TOKENS_MAX;
    }
    return UINT32_MAX;
}

static void plan_tokens(struct generation *g)
{
    uint64_t wanted = g->engine->flags->tokens;
    uint32_t limit = read_limit(g->request);
    if (g->dialect->call_begin)
        tools_plan(g->request, g->words, g->word_count, &g->tools);
    if (g->tools.count > 0)
        wanted = tools_count_tokens(&g->tools);
    else if (wanted == 0)
        wanted = OPENING_TOKENS + (uint64_t)g->word_count;
    if (wanted > TOKENS_MAX)
        wanted = TOKENS_MAX;
    g->cut = limit < wanted;
    g->token_count = g->cut ? limit : (uint32_t)wanted;
}

static void put_token(const struct generation *g, uint32_t i, struct buf *out)
{
    if (i == 0)
        buf_text(out, "demo-model");
    else if (i == 1)
        buf_printf(out, " %s", g->engine->flags->name);
    else if (i == 2)
        buf_text(out, " says:");
    else
        buf_printf(out, " %s",
                   g->word_count ? g->words[(i - OPENING_TOKENS) % g->word_count] : "...");
}

/* The client has gone; returns false. */
static bool cancel(const struct generation *g, uint32_t tokens)
{
    engine_say("slot 0: request %llu cancelled after %u tokens: the client has gone",
               (unsigned long long)g->number, tokens);
    return false;
}

/* Waits for token i to be due. False when the client has gone. */
static bool wait_for_token(const struct generation *g, uint32_t i)
{
    const struct flags *f = g->engine->flags;
    struct mono due = {g->started.ns + (i + 1) * f->token_delay};
    return f->token_delay == 0 || http_wait_until(g->conn, due) || cancel(g, i);
}

static void crash_after_token(const struct generation *g, uint32_t i)
{
    if (g->engine->flags->crash_after_tokens == (uint64_t)i + 1)
        engine_crash("crashed in the middle of an answer, as told");
}

/* Adds token i to the answer's text, or to its tool calls, and to out where that is a stream. */
static void say_token(struct generation *g, uint32_t i, struct buf *text, struct buf *out)
{
    size_t from = text->len;
    put_token(g, i, text);
    if (out)
        g->dialect->token(g, text->data + from, out);
}

static void say_call_token(struct generation *g, uint32_t i, struct buf *out)
{
    uint32_t index = g->tools.now;
    if (out && g->tools.calls[index].said.len == 0)
        g->dialect->call_begin(g, index, out);
    char *token = tools_say_token(&g->tools);
    if (out)
        g->dialect->call_token(g, index, token, out);
    if (out && (g->tools.now > index || i + 1 == g->token_count))
        g->dialect->call_end(g, index, out);
    free(token);
}

static void say(struct generation *g, uint32_t i, struct buf *text, struct buf *out)
{
    if (g->tools.count > 0)
        say_call_token(g, i, out);
    else
        say_token(g, i, text, out);
}

static bool answer_whole(struct generation *g, struct buf *text, struct buf *out)
{
    for (uint32_t i = 0; i < g->token_count; i++) {
        if (!wait_for_token(g, i))
            return false;
        say(g, i, text, NULL);
        crash_after_token(g, i);
    }
    g->dialect->whole(g, text->data ? text->data : "", out);
    return http_send_whole(g->conn, 200, "application/json", out);
}

/* Comment lines (WHATWG HTML, section 9.2.6), which clients of event streams skip. */
static void put_padding(const struct generation *g, struct buf *out)
{
    uint64_t want = g->engine->flags->response_bytes;
    if (want == 0)
        return;
    buf_text(out, ": ");
    char *at = buf_reserve(out, (size_t)want);
    memset(at, 'x', (size_t)want);
    buf_commit(out, (size_t)want);
    buf_text(out, "\n\n");
}

static bool answer_stream(struct generation *g, struct buf *text, struct buf *out)
{
    bool ok = true;
    http_stream_begin(g->conn, "text/event-stream");
    g->dialect->begin(g, out);
    put_padding(g, out);
    ok = http_stream_part(g->conn, out->data, out->len) || cancel(g, 0);
    for (uint32_t i = 0; ok && i < g->token_count; i++) {
        ok = wait_for_token(g, i);
        buf_clear(out);
        say(g, i, text, out);
        ok = ok && (http_stream_part(g->conn, out->data, out->len) || cancel(g, i));
        crash_after_token(g, i);
    }
    buf_clear(out);
    g->dialect->end(g, text->data ? text->data : "", out);
    return ok && http_stream_part(g->conn, out->data, out->len) && http_stream_end(g->conn);
}

static void init_generation(struct generation *g)
{
    const json_t *model = json_object_get(g->request, "model");
    const json_t *options = json_object_get(g->request, "stream_options");
    g->started = engine_now();
    g->created_s = (int64_t)time(NULL);
    g->model = json_is_string(model) ? json_string_value(model) : g->engine->flags->name;
    g->stream = json_is_true(json_object_get(g->request, "stream"));
    g->include_usage = json_is_true(json_object_get(options, "include_usage"));
    read_prompt(g);
    plan_tokens(g);
}

static void fini_generation(struct generation *g)
{
    buf_fini(&g->prompt);
    free(g->words);
    tools_fini(&g->tools);
    json_decref(g->request);
}

bool generate_answer(struct engine *e, struct http_conn *c, const struct dialect *dialect)
{
    struct generation g = {.engine = e, .conn = c, .dialect = dialect};
    struct buf text = {0}, out = {0};
    g.request = json_loadb(c->req.body.data ? c->req.body.data : "", c->req.body.len, 0, NULL);
    if (!json_is_object(g.request)) {
        json_decref(g.request);
        return http_send_json(c, 400, "{\"error\":{\"message\":\"the body is no JSON object\"}}");
    }
    g.number = engine_request_begin(e);
    engine_grow(e);
    init_generation(&g);
    bool ok = g.stream ? answer_stream(&g, &text, &out) : answer_whole(&g, &text, &out);
    engine_say("slot 0: request %llu %s, %u prompt tokens, %u tokens planned, %.1f ms",
               (unsigned long long)g.number, c->req.path, g.prompt_tokens, g.token_count,
               generate_elapsed_ms(&g));
    engine_request_end(e);
    fini_generation(&g);
    buf_fini(&text);
    buf_fini(&out);
    return ok;
}
