#include "route.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/pure/units.h"
#include "canned.h"
#include "generate.h"
#include "media.h"
#include "reply.h"
#include "websocket.h"

#define BODY_KEPT_MAX (64 * MIB)
#define ECHO_KEPT_MAX (64 * KIB)
/* A multiple of 26, so that byte i of a big answer is 'a' + i % 26 whatever the blocks. */
#define BLOCK_BYTES (26 * 2520)

struct route {
    const char *method, *path;
    bool (*answer)(struct engine *e, struct http_conn *c);
    const struct dialect *dialect; /* for text generation, in place of answer */
};

static bool answer_health(struct engine *e, struct http_conn *c)
{
    if (e->flags->hang_health) {
        http_hang(c);
        return false;
    }
    if (engine_ready(e))
        return http_send_json(c, 200, "{\"status\":\"ok\"}");
    return http_send_json(c, 503, "{\"status\":\"loading\"}");
}

static bool answer_models(struct engine *e, struct http_conn *c)
{
    struct buf out = {0};
    buf_text(&out, "{\"object\":\"list\",\"data\":[{\"id\":");
    buf_json_text(&out, e->flags->name);
    buf_text(&out, ",\"object\":\"model\",\"created\":0,\"owned_by\":\"wharf-demo-model\"}]}");
    return reply_json(c, &out);
}

static bool answer_props(struct engine *e, struct http_conn *c)
{
    struct buf out = {0};
    buf_text(&out, "{\"default_generation_settings\":{\"n_ctx\":4096},\"total_slots\":1,"
                   "\"build_info\":\"wharf-demo-model\",\"model_path\":");
    buf_json_text(&out, e->flags->name);
    buf_char(&out, '}');
    return reply_json(c, &out);
}

static bool answer_slots(struct engine *e, struct http_conn *c)
{
    struct buf out = {0};
    uint32_t busy = engine_in_flight(e);
    buf_printf(&out, "[{\"id\":0,\"n_ctx\":4096,\"is_processing\":%s,\"in_flight\":%u}]",
               busy ? "true" : "false", busy);
    return reply_json(c, &out);
}

static void put_echo_headers(const struct http_request *r, struct buf *out)
{
    buf_text(out, ",\"headers\":{");
    for (uint32_t i = 0; i < r->header_count; i++) {
        char name[256];
        size_t n = 0;
        for (; n < sizeof(name) && r->headers[i].name[n]; n++)
            name[n] = (char)tolower((unsigned char)r->headers[i].name[n]);
        if (i)
            buf_char(out, ',');
        buf_json(out, name, n);
        buf_char(out, ':');
        buf_json_text(out, r->headers[i].value);
    }
    buf_text(out, "},\"raw_headers\":[");
    for (uint32_t i = 0; i < r->header_count; i++) {
        buf_text(out, i ? ",[" : "[");
        buf_json_text(out, r->headers[i].name);
        buf_char(out, ',');
        buf_json_text(out, r->headers[i].value);
        buf_char(out, ']');
    }
    buf_char(out, ']');
}

/* What arrived, for tests; "?status=N" picks the answer's status. */
static bool answer_echo(struct engine *e, struct http_conn *c)
{
    const struct http_request *r = &c->req;
    struct buf out = {0};
    (void)e;
    buf_text(&out, "{\"method\":");
    buf_json_text(&out, r->method);
    buf_text(&out, ",\"path\":");
    buf_json_text(&out, r->path);
    buf_text(&out, ",\"query\":");
    buf_json_text(&out, r->query);
    put_echo_headers(r, &out);
    buf_printf(&out, ",\"chunked\":%s,\"body_bytes\":%" PRIu64 ",\"body_fnv1a\":\"%016" PRIx64 "\"",
               r->chunked ? "true" : "false", r->body_bytes, r->body_fnv1a);
    if (r->body.len == r->body_bytes) {
        buf_text(&out, ",\"body\":");
        buf_json(&out, r->body.data ? r->body.data : "", r->body.len);
    }
    buf_char(&out, '}');
    uint64_t status = http_query_number(r, "status", 200);
    bool ok = http_send_whole(c, status >= 200 && status <= 599 ? (int)status : 200,
                              "application/json", &out);
    buf_fini(&out);
    return ok;
}

/* Sends the pattern in blocks, each through `part`. */
static bool send_pattern(struct http_conn *c, uint64_t bytes,
                         bool (*part)(struct http_conn *c, const void *data, size_t n))
{
    char block[BLOCK_BYTES];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (char)('a' + i % 26);
    for (uint64_t left = bytes; left > 0;) {
        size_t n = left < sizeof(block) ? (size_t)left : sizeof(block);
        if (!part(c, block, n))
            return false;
        left -= n;
    }
    return true;
}

static bool answer_big(struct engine *e, struct http_conn *c)
{
    uint64_t bytes = http_query_number(&c->req, "bytes", MIB);
    (void)e;
    return http_send_head(c, 200, "application/octet-stream", bytes) &&
           send_pattern(c, bytes, http_send_raw) && http_finish(c);
}

static bool answer_big_chunked(struct engine *e, struct http_conn *c)
{
    uint64_t bytes = http_query_number(&c->req, "bytes", MIB);
    (void)e;
    http_stream_begin(c, "application/octet-stream");
    return send_pattern(c, bytes, http_stream_part) && http_stream_end(c);
}

static const struct route routes[] = {
    {"GET", "/health", answer_health, NULL},
    {"GET", "/v1/models", answer_models, NULL},
    {"GET", "/props", answer_props, NULL},
    {"GET", "/slots", answer_slots, NULL},
    {"GET", "/big", answer_big, NULL},
    {"GET", "/bigchunked", answer_big_chunked, NULL},
    {"GET", "/ws", websocket_answer, NULL},
    {"POST", "/v1/chat/completions", NULL, &dialect_chat},
    {"POST", "/v1/completions", NULL, &dialect_text},
    {"POST", "/v1/responses", NULL, &dialect_responses},
    {"POST", "/v1/messages", NULL, &dialect_messages},
    {"POST", "/completion", NULL, &dialect_llama},
    {"POST", "/infill", NULL, &dialect_llama},
    {"POST", "/v1/messages/count_tokens", canned_count_tokens, NULL},
    {"POST", "/v1/embeddings", canned_embeddings, NULL},
    {"POST", "/v1/rerank", canned_rerank, NULL},
    {"POST", "/rerank", canned_rerank, NULL},
    {"POST", "/tokenize", canned_tokenize, NULL},
    {"POST", "/v1/moderations", canned_moderation, NULL},
    {"POST", "/v1/audio/transcriptions", media_transcription, NULL},
    {"POST", "/v1/audio/translations", media_transcription, NULL},
    {"POST", "/v1/audio/speech", media_speech, NULL},
    {"POST", "/v1/images/generations", media_image, NULL},
    {"POST", "/v1/images/edits", media_image_edit, NULL},
    {"POST", "/v1/images/variations", media_image_edit, NULL},
};
static const struct route echo = {NULL, NULL, answer_echo, NULL};

/* HEAD is answered as GET; http_send_whole leaves the body out. */
static const struct route *find_route(const struct http_request *r)
{
    const char *method = strcmp(r->method, "HEAD") == 0 ? "GET" : r->method;
    for (size_t i = 0; i < countof(routes); i++)
        if (strcmp(routes[i].path, r->path) == 0 && strcmp(routes[i].method, method) == 0)
            return &routes[i];
    return &echo;
}

static bool answer_plain(const struct route *route, struct engine *e, struct http_conn *c)
{
    engine_request_begin(e);
    bool ok = route->answer(e, c);
    engine_request_end(e);
    return ok;
}

bool route_answer(struct engine *e, struct http_conn *c)
{
    const struct route *route = find_route(&c->req);
    c->behaves = route->answer == answer_health;
    if (e->flags->hang && !c->behaves) {
        http_hang(c);
        return false;
    }
    size_t keep = route == &echo ? ECHO_KEPT_MAX : BODY_KEPT_MAX;
    if (!http_read_body(c, keep))
        return false;
    if (c->behaves)
        return answer_health(e, c);
    if (!engine_ready(e))
        return http_send_json(c, 503,
                              "{\"error\":{\"code\":503,\"message\":\"Loading model\","
                              "\"type\":\"unavailable_error\"}}");
    if (route != &echo && c->req.body.len < c->req.body_bytes)
        return http_send_json(c, 413, "{\"error\":{\"message\":\"the body is too large\"}}");
    return route->dialect ? generate_answer(e, c, route->dialect) : answer_plain(route, e, c);
}
