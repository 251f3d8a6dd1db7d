#include "canned.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/rng.h"
#include "generate.h"

#define DIMENSIONS 16
#define BLANKS " \t\r\n"
/* A 1x1 transparent PNG. */
#define IMAGE_BASE64                                                                               \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg" \
    "gg=="

static json_t *parse_body(const struct http_request *r)
{
    json_t *request = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, NULL);
    if (json_is_object(request))
        return request;
    json_decref(request);
    return NULL;
}

static bool refuse_body(struct http_conn *c)
{
    return http_send_json(c, 400,
                          "{\"error\":{\"message\":\"the body is not what it should be\"}}");
}

static bool send_buf(struct http_conn *c, struct buf *body)
{
    bool ok = http_send_whole(c, 200, "application/json", body);
    buf_fini(body);
    return ok;
}

static uint64_t hash_text(const char *text, size_t n)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void put_model(const struct engine *e, const json_t *request, struct buf *out)
{
    const char *model = json_string_value(json_object_get(request, "model"));
    buf_text(out, "\"model\":");
    buf_json_text(out, model ? model : e->flags->name);
}

static void put_embedding(const char *text, size_t index, struct buf *out)
{
    struct rng rng = {hash_text(text, strlen(text))};
    buf_printf(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":[", index ? "," : "",
               index);
    for (int i = 0; i < DIMENSIONS; i++)
        buf_printf(out, "%s%.4f", i ? "," : "", (double)rng_below(&rng, 20001) / 10000.0 - 1.0);
    buf_text(out, "]}");
}

static uint32_t put_embeddings(const json_t *input, struct buf *out)
{
    uint32_t tokens = 0;
    bool many = json_is_array(input) && json_is_string(json_array_get(input, 0));
    for (size_t i = 0; i < (many ? json_array_size(input) : 1); i++) {
        struct buf text = {0};
        generate_gather_text(many ? json_array_get(input, i) : input, &text);
        buf_char(&text, ' ');
        tokens += generate_count_words(text.data);
        put_embedding(text.data, i, out);
        buf_fini(&text);
    }
    return tokens;
}

bool canned_embeddings(struct engine *e, struct http_conn *c)
{
    struct buf out = {0};
    json_t *request = parse_body(&c->req);
    const json_t *input = json_object_get(request, "input");
    if (!input) {
        json_decref(request);
        return refuse_body(c);
    }
    buf_text(&out, "{\"object\":\"list\",\"data\":[");
    uint32_t tokens = put_embeddings(input, &out);
    buf_text(&out, "],");
    put_model(e, request, &out);
    buf_printf(&out, ",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}", tokens, tokens);
    json_decref(request);
    return send_buf(c, &out);
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
    json_t *request = parse_body(&c->req);
    const char *query = json_string_value(json_object_get(request, "query"));
    const json_t *documents = json_object_get(request, "documents");
    if (!documents)
        documents = json_object_get(request, "texts");
    if (!query || !json_is_array(documents)) {
        json_decref(request);
        return refuse_body(c);
    }
    buf_text(&out, "{\"object\":\"list\",");
    put_model(e, request, &out);
    buf_text(&out, ",\"results\":[");
    put_scores(query, documents, &out);
    buf_printf(&out, "],\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}",
               generate_count_words(query), generate_count_words(query));
    json_decref(request);
    return send_buf(c, &out);
}

bool canned_tokenize(struct engine *e, struct http_conn *c)
{
    struct buf out = {0};
    char *save = NULL;
    json_t *request = parse_body(&c->req);
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
    return send_buf(c, &out);
}

bool canned_count_tokens(struct engine *e, struct http_conn *c)
{
    struct buf text = {0}, out = {0};
    json_t *request = parse_body(&c->req);
    (void)e;
    generate_gather_text(json_object_get(request, "system"), &text);
    generate_gather_text(json_object_get(request, "messages"), &text);
    buf_printf(&out, "{\"input_tokens\":%u}", text.data ? generate_count_words(text.data) : 0);
    buf_fini(&text);
    json_decref(request);
    return send_buf(c, &out);
}

/* The value of name="..." in a part's head, into out; "" when it is missing. */
static void read_parameter(const char *head, size_t n, const char *name, char *out, size_t out_size)
{
    const char *at = memmem(head, n, name, strlen(name));
    out[0] = '\0';
    if (!at)
        return;
    at += strlen(name);
    const char *end = memchr(at, '"', n - (size_t)(at - head));
    if (end && (size_t)(end - at) < out_size) {
        memcpy(out, at, (size_t)(end - at));
        out[end - at] = '\0';
    }
}

struct part {
    const char *head, *data;
    size_t head_bytes, data_bytes;
};

/* Cuts the next part off a multipart body (RFC 2046, section 5.1.1). */
static bool next_part(const char **at, const char *end, const char *boundary, struct part *ret)
{
    size_t n = strlen(boundary);
    const char *head = memmem(*at, (size_t)(end - *at), boundary, n);
    if (!head)
        return false;
    head += n;
    const char *data = memmem(head, (size_t)(end - head), "\r\n\r\n", 4);
    if (!data)
        return false;
    data += 4;
    const char *stop = memmem(data, (size_t)(end - data), boundary, n);
    if (!stop || stop - data < 2)
        return false;
    *ret = (struct part){head, data, (size_t)(data - head), (size_t)(stop - data) - 2};
    *at = stop;
    return true;
}

static void put_transcription(const struct engine *e, const struct http_request *r,
                              const char *boundary, struct buf *out)
{
    const char *at = r->body.data ? r->body.data : "", *end = at + r->body.len;
    char name[64], file[256] = "", model[256] = "";
    struct part part;
    size_t bytes = 0;
    while (next_part(&at, end, boundary, &part)) {
        read_parameter(part.head, part.head_bytes, " name=\"", name, sizeof(name));
        if (strcmp(name, "file") == 0) {
            read_parameter(part.head, part.head_bytes, "filename=\"", file, sizeof(file));
            bytes = part.data_bytes;
        } else if (strcmp(name, "model") == 0 && part.data_bytes < sizeof(model)) {
            memcpy(model, part.data, part.data_bytes);
            model[part.data_bytes] = '\0';
        }
    }
    char *text = alloc_printf("demo-model %s heard %s of %zu bytes", e->flags->name, file, bytes);
    buf_text(out, "{\"text\":");
    buf_json_text(out, text);
    buf_text(out, ",\"model\":");
    buf_json_text(out, model);
    buf_printf(out, ",\"file_bytes\":%zu,\"body_bytes\":%zu}", bytes, r->body.len);
    free(text);
}

bool canned_transcription(struct engine *e, struct http_conn *c)
{
    static const char key[] = "boundary=";
    struct buf out = {0};
    const char *type = http_find_header(&c->req, "content-type");
    const char *found = type ? strcasestr(type, key) : NULL;
    if (!found)
        return refuse_body(c);
    found += sizeof(key) - 1;
    found += *found == '"';
    char *boundary = alloc_printf("--%.*s", (int)strcspn(found, "\"; "), found);
    put_transcription(e, &c->req, boundary, &out);
    free(boundary);
    return send_buf(c, &out);
}

/* A quarter of a second of silence: 8 kHz, mono, 8 bits. */
bool canned_speech(struct engine *e, struct http_conn *c)
{
    static const unsigned char head[44] = {
        'R', 'I', 'F', 'F', 0xf4, 0x07, 0,   0,   'W', 'A',  'V',  'E',  'f', 'm',  't',
        ' ', 16,  0,   0,   0,    1,    0,   1,   0,   0x40, 0x1f, 0,    0,   0x40, 0x1f,
        0,   0,   1,   0,   8,    0,    'd', 'a', 't', 'a',  0xd0, 0x07, 0,   0};
    struct buf out = {0};
    (void)e;
    buf_append(&out, head, sizeof(head));
    char *at = buf_reserve(&out, 2000);
    memset(at, 0x80, 2000);
    buf_commit(&out, 2000);
    bool ok = http_send_whole(c, 200, "audio/wav", &out);
    buf_fini(&out);
    return ok;
}

bool canned_image(struct engine *e, struct http_conn *c)
{
    (void)e;
    return http_send_json(c, 200, "{\"created\":0,\"data\":[{\"b64_json\":\"" IMAGE_BASE64 "\"}]}");
}
