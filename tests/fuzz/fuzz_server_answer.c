/* What a model's server answers, through the whole proxy. The first byte chooses the request, and
 * whether the server closes its connection in the end; the second says how the answer is cut (0:
 * not at all); the rest is the answer. The client must get what another reader makes of it, or an
 * error of wharf's, or see that it is cut; and the next request on its connection its own answer,
 * over a connection that nothing was left on. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "proxy_world.h"
#include "simple_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define CLOSES 0x80

#define CHAT "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static const struct request {
    const char *line, *fields;
    const char *body; /* NULL: none */
    bool is_head, http10, translated;
} requests[] = {
    {.line = "GET /upstream/m/x HTTP/1.1"},
    {.line = "HEAD /upstream/m/x HTTP/1.1", .is_head = true},
    {.line = "GET /upstream/m/x HTTP/1.0", .http10 = true},
    {.line = "GET /upstream/m/x HTTP/1.0", .fields = "Connection: keep-alive\r\n", .http10 = true},
    {.line = "GET /upstream/m/x HTTP/1.1",
     .fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
    {.line = "POST /v1/chat/completions HTTP/1.1", .body = CHAT ",\"stream\":true}"},
    {.line = "POST /v1/messages HTTP/1.1", .body = CHAT "}"},
    {.line = "POST /api/chat HTTP/1.1", .body = CHAT "}", .translated = true},
    {.line = "POST /api/chat HTTP/1.1", .body = CHAT ",\"stream\":false}", .translated = true},
    {.line = "POST /api/generate HTTP/1.1",
     .body = "{\"model\":\"m\",\"prompt\":\"a\"}",
     .translated = true},
    {.line = "POST /api/embed HTTP/1.1",
     .body = "{\"model\":\"m\",\"input\":[\"a\",\"b\"]}",
     .translated = true},
};

static const char second[] = "GET /upstream/m/second HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char second_answer[] = "HTTP/1.1 299 OK\r\nContent-Length: 6\r\n\r\nsecond";

/* What the model's server has said, as the simple reader has it. */
struct said {
    enum reading reading;
    struct message answer;
    size_t bytes; /* that are the answer's, and those of interim ones before */
};

static void read_said(const struct request *rq, bool closes, const char *data, size_t n,
                      struct said *ret)
{
    const struct simple_how how = {.no_body = rq->is_head, .ended = closes};
    ret->bytes = 0;
    do {
        ret->reading = simple_read(&how, data + ret->bytes, n - ret->bytes, &ret->answer);
        ret->bytes += ret->answer.used;
    } while (ret->reading == READING_WHOLE && ret->answer.status < 200 &&
             ret->answer.status != 101);
}

static void ask(struct proxy_world *w, const char *text)
{
    proxy_send(w, &w->clients[0], text, strlen(text), 0);
}

static void ask_first(struct proxy_world *w, const struct request *rq)
{
    char text[1024];
    const char *fields = rq->fields ? rq->fields : "";
    if (rq->body)
        snprintf(text, sizeof(text),
                 "%s\r\nHost: localhost\r\n%sContent-Type: application/json\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
                 rq->line, fields, strlen(rq->body), rq->body);
    else
        snprintf(text, sizeof(text), "%s\r\nHost: localhost\r\n%s\r\n", rq->line, fields);
    ask(w, text);
}

/* The model's server has the whole request. */
static void check_asked(const struct side *up)
{
    static const struct simple_how how = {.is_request = true};
    static struct message m;
    must(simple_read(&how, up->in.data, up->in.len, &m) == READING_WHOLE && m.used == up->in.len);
}

static bool is_own_error(const struct message *m)
{
    return m->status == 502 && m->body.len > 0 && m->body.data[0] == '{';
}

/* A tunnel: whatever was sent comes out at the other end. */
static void check_tunnel(struct proxy_world *w, const struct said *said, const char *data, size_t n,
                         const struct message *got)
{
    const struct buf *in = &w->clients[0].in;
    struct side *up = &w->upstreams[0];
    size_t behind = n - said->bytes;
    must(said->reading == READING_WHOLE && said->answer.status == 101);
    must(in->len == got->head + behind);
    must(behind == 0 || memcmp(in->data + got->head, data + said->bytes, behind) == 0);
    if (up->fd < 0)
        return;
    buf_clear(&up->in);
    ask(w, "ping");
    must(up->in.len == 4 && memcmp(up->in.data, "ping", 4) == 0);
}

/* What the client got for its first request. True: another one may follow. */
static bool check_first(struct proxy_world *w, const struct request *rq, const struct said *said,
                        bool closes, struct message *got)
{
    const struct buf *in = &w->clients[0].in;
    const struct simple_how how = {.no_body = rq->is_head, .ended = w->clients[0].ended};
    enum reading r = simple_read(&how, in->data, in->len, got);
    must(r != READING_BAD);
    if (r == READING_CUT) /* it sees so, or waits with reason */
        must(w->clients[0].ended || (said->reading == READING_CUT && !closes));
    if (r == READING_CUT || got->status == 101)
        return false;
    must(got->used == in->len);
    bool same =
        said->reading == READING_WHOLE && got->status == said->answer.status &&
        got->body.len == said->answer.body.len &&
        (got->body.len == 0 || memcmp(got->body.data, said->answer.body.data, got->body.len) == 0);
    /* Nobody can tell whether an answer in HTTP/1.0 was cut; see docs/reliability.md. */
    bool blind = rq->http10 && got->until_close && said->answer.status == got->status;
    must(same || blind || rq->translated || is_own_error(got) ||
         (rq->is_head && got->status == 502));
    return !w->clients[0].ended;
}

/* The next request on the client's connection. */
static void check_second(struct proxy_world *w, const struct said *said, size_t sent, bool closed)
{
    static struct message m;
    static const struct simple_how how = {.is_request = true}, answer = {.is_request = false};
    size_t before = w->upstreams[0].in.len;
    buf_clear(&w->clients[0].in);
    ask(w, second);
    bool reused = w->upstreams[0].in.len > before;
    if (reused)
        must(said->reading == READING_WHOLE && said->bytes == sent && !closed &&
             !said->answer.until_close);
    else
        must(w->upstream_count == 2);
    struct side *up = &w->upstreams[reused ? 0 : 1];
    size_t at = reused ? before : 0;
    must(simple_read(&how, up->in.data + at, up->in.len - at, &m) == READING_WHOLE);
    must(strcmp(m.target.data, "/second") == 0);
    proxy_send(w, up, second_answer, sizeof(second_answer) - 1, 0);
    must(simple_read(&answer, w->clients[0].in.data, w->clients[0].in.len, &m) == READING_WHOLE);
    must(m.status == 299 && m.body.len == 6 && m.used == w->clients[0].in.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct said said;
    static struct message got;
    struct proxy_world *w = proxy_world();
    if (size < 2)
        return 0;
    const struct request *rq = &requests[(input[0] & (CLOSES - 1)) % countof(requests)];
    bool closes = input[0] & CLOSES;
    const char *data = (const char *)input + 2;
    size_t n = size - 2;
    read_said(rq, closes, data, n, &said);
    proxy_connect(w);
    ask_first(w, rq);
    must(w->upstream_count == 1);
    check_asked(&w->upstreams[0]);
    proxy_send(w, &w->upstreams[0], data, n, input[1]);
    if (closes)
        proxy_close(w, &w->upstreams[0]);
    if (check_first(w, rq, &said, closes, &got))
        check_second(w, &said, n, closes);
    else if (got.status == 101)
        check_tunnel(w, &said, data, n, &got);
    proxy_over(w);
    return 0;
}
