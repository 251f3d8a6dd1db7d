#include "canned.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/rng.h"
#include "generate.h"
#include "reply.h"
#include "weights.h"

#define DIMENSIONS 16
#define DIMENSIONS_MAX 4096
#define BLANKS " \t\r\n"

static uint64_t hash_text(const char *text, size_t n)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void put_floats(const float *values, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%.4f", i ? "," : "[", (double)values[i]);
    buf_char(out, ']');
}

/* base64 of little-endian floats, as OpenAI's clients ask for by themselves. */
static void put_encoded_floats(const float *values, size_t n, struct buf *out)
{
    buf_char(out, '"');
    buf_base64(out, values, n * sizeof(*values));
    buf_char(out, '"');
}

static void put_embedding(const char *text, size_t index, const json_t *request, struct buf *out)
{
    struct rng rng = {hash_text(text, strlen(text))};
    const char *format = json_string_value(json_object_get(request, "encoding_format"));
    json_int_t wanted = json_integer_value(json_object_get(request, "dimensions"));
    size_t n = wanted > 0 && wanted < DIMENSIONS_MAX ? (size_t)wanted : DIMENSIONS;
    float values[DIMENSIONS_MAX];
    bool held = weights_embed(text, strlen(text), values); /* by a worker */
    if (held)
        n = WEIGHTS_DIMENSIONS;
    for (size_t i = 0; !held && i < n; i++)
        values[i] = (float)rng_below(&rng, 20001) / 10000.0f - 1.0f;
    buf_printf(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", index ? "," : "",
               index);
    if (format && strcmp(format, "base64") == 0)
        put_encoded_floats(values, n, out);
    else
        put_floats(values, n, out);
    buf_char(out, '}');
}

static uint32_t put_embeddings(const json_t *request, struct buf *out)
{
    const json_t *input = json_object_get(request, "input");
    uint32_t tokens = 0;
    bool many = json_is_array(input) && json_is_string(json_array_get(input, 0));
    for (size_t i = 0; i < (many ? json_array_size(input) : 1); i++) {
        struct buf text = {0};
        generate_gather_text(many ? json_array_get(input, i) : input, &text);
        buf_char(&text, ' ');
        tokens += generate_count_words(text.data);
        put_embedding(text.data, i, request, out);
        buf_fini(&text);
    }
    return tokens;
}

bool canned_embeddings(struct engine *e, struct http_conn *c)
{
    struct buf out = {0};
    json_t *request = reply_parse_body(&c->req);
    if (!json_object_get(request, "input")) {
        json_decref(request);
        return reply_refuse(c);
    }
    buf_text(&out, "{\"object\":\"list\",\"data\":[");
    uint32_t tokens = put_embeddings(request, &out);
    buf_text(&out, "],");
    reply_put_model(e, request, &out);
    buf_printf(&out, ",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}", tokens, tokens);
    json_decref(request);
    return reply_json(c, &out);
}

struct score {
    size_t index;
    uint32_t shared; /* words of the document that stand in the query */
};

static int compare_scores(const void *a, const void *b)
{
    const struct score *x = a, *y = b;
    if (x->shared != y->shared)
        return x->shared < y->shared ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

static uint32_t count_shared(const char *query, const json_t *document)
{
    struct buf text = {0};
    uint32_t shared = 0;
    char *save = NULL;
    generate_gather_text(document, &text);
    for (char *word = text.data ? strtok_r(text.data, BLANKS, &save) : NULL; word;
         word = strtok_r(NULL, BLANKS, &save))
        shared += strcasestr(query, word) != NULL;
    buf_fini(&text);
    return shared;
}

static void put_scores(const char *query, const json_t *documents, struct buf *out)
{
    size_t count = json_array_size(documents);
    struct score *scores = alloc_zeroed(count, sizeof(*scores));
    for (size_t i = 0; i < count; i++)
        scores[i] = (struct score){i, count_shared(query, json_array_get(documents, i))};
    qsort(scores, count, sizeof(*scores), compare_scores);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s{\"index\":%zu,\"relevance_score\":%.4f}", i ? "," : "", scores[i].index,
                   1.0 - 1.0 / (1.0 + scores[i].shared));
    free(scores);
}

bool canned_rerank(struct engine *e, struct http_conn *c)
{
    struct buf out = {0};
    json_t *request = reply_parse_body(&c->req);
    const char *query = json_string_value(json_object_get(request, "query"));
    const json_t *documents = json_object_get(request, "documents");
    if (!documents)
        documents = json_object_get(request, "texts");
    if (!query || !json_is_array(documents)) {
        json_decref(request);
        return reply_refuse(c);
    }
    buf_text(&out, "{\"object\":\"list\",");
    reply_put_model(e, request, &out);
    buf_text(&out, ",\"results\":[");
    put_scores(query, documents, &out);
    buf_printf(&out, "],\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}",
               generate_count_words(query), generate_count_words(query));
    json_decref(request);
    return reply_json(c, &out);
}

bool canned_tokenize(struct engine *e, struct http_conn *c)
{
    struct buf out = {0};
    char *save = NULL;
    json_t *request = reply_parse_body(&c->req);
    const char *content = json_string_value(json_object_get(request, "content"));
    char *text = alloc_text(content ? content : "");
    (void)e;
    buf_text(&out, "{\"tokens\":[");
    for (char *word = strtok_r(text, BLANKS, &save); word; word = strtok_r(NULL, BLANKS, &save))
        buf_printf(&out, "%s%u", out.data[out.len - 1] == '[' ? "" : ",",
                   (unsigned)(hash_text(word, strlen(word)) & 0xffff));
    buf_text(&out, "]}");
    free(text);
    json_decref(request);
    return reply_json(c, &out);
}

bool canned_count_tokens(struct engine *e, struct http_conn *c)
{
    struct buf text = {0}, out = {0};
    json_t *request = reply_parse_body(&c->req);
    (void)e;
    generate_gather_text(json_object_get(request, "system"), &text);
    generate_gather_text(json_object_get(request, "messages"), &text);
    buf_printf(&out, "{\"input_tokens\":%u}", text.data ? generate_count_words(text.data) : 0);
    buf_fini(&text);
    json_decref(request);
    return reply_json(c, &out);
}

/* A text is of those categories that it names. */
static void put_categories(const char *text, struct buf *out)
{
    static const char *const categories[] = {"harassment", "hate", "self-harm", "sexual",
                                             "violence"};
    struct buf scores = {0};
    bool flagged = false;
    buf_text(out, "{\"categories\":{");
    for (size_t i = 0; i < countof(categories); i++) {
        bool found = strcasestr(text, categories[i]) != NULL;
        flagged = flagged || found;
        buf_printf(out, "%s\"%s\":%s", i ? "," : "", categories[i], found ? "true" : "false");
        buf_printf(&scores, "%s\"%s\":%d", i ? "," : "", categories[i], found);
    }
    buf_printf(out, "},\"category_scores\":{%s},\"flagged\":%s}", scores.data,
               flagged ? "true" : "false");
    buf_fini(&scores);
}

bool canned_moderation(struct engine *e, struct http_conn *c)
{
    struct buf out = {0};
    json_t *request = reply_parse_body(&c->req);
    const json_t *input = json_object_get(request, "input");
    if (!input) {
        json_decref(request);
        return reply_refuse(c);
    }
    buf_text(&out, "{\"id\":\"modr-1\",");
    reply_put_model(e, request, &out);
    buf_text(&out, ",\"results\":[");
    for (size_t i = 0; i < (json_is_array(input) ? json_array_size(input) : 1); i++) {
        struct buf text = {0};
        generate_gather_text(json_is_array(input) ? json_array_get(input, i) : input, &text);
        buf_text(&out, i ? "," : "");
        put_categories(text.data ? text.data : "", &out);
        buf_fini(&text);
    }
    buf_text(&out, "]}");
    json_decref(request);
    return reply_json(c, &out);
}
