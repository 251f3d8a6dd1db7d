/* What a client sends, through the whole proxy: the first byte says how it is cut (0: not at all),
 * the rest are the bytes of a connection. However wharf takes them, another reader must agree: each
 * request that its model's server sees is one that stands there, with the same method, target and
 * body, and the client gets its answers in the order of its requests. What nobody can tell the end
 * of, and everything behind it, goes nowhere. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "proxy_world.h"
#include "simple_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define MESSAGES_MAX 256

static struct message sent[MESSAGES_MAX]; /* by the client, as the simple reader has it */
static struct message seen[MESSAGES_MAX]; /* by the model's server */
static uint32_t sent_count, seen_count;
static size_t answered[PROXY_UPSTREAMS_MAX]; /* bytes of each connection that were requests */

/* The model's server: each request is answered once it is there, with its number. */
static void serve(struct proxy_world *w)
{
    static const struct simple_how how = {.is_request = true};
    w->on_piece = NULL; /* nor while it sends */
    for (uint32_t i = 0; i < w->upstream_count; i++) {
        struct side *s = &w->upstreams[i];
        enum reading r;
        while (answered[i] < s->in.len && seen_count < MESSAGES_MAX &&
               (r = simple_read(&how, s->in.data + answered[i], s->in.len - answered[i],
                                &seen[seen_count])) != READING_CUT) {
            char text[128];
            must(r == READING_WHOLE); /* what wharf writes is never in doubt */
            answered[i] += seen[seen_count].used;
            int n = snprintf(text, sizeof(text), "HTTP/1.1 299 OK\r\nContent-Length: 4\r\n\r\n%04u",
                             seen_count++);
            proxy_send(w, s, text, (size_t)n, 0);
        }
    }
    w->on_piece = serve;
}

static void read_sent(const char *data, size_t n)
{
    static const struct simple_how how = {.is_request = true};
    sent_count = 0;
    for (size_t at = 0; at < n && sent_count < MESSAGES_MAX; at += sent[sent_count++].used)
        if (simple_read(&how, data + at, n - at, &sent[sent_count]) != READING_WHOLE)
            return;
}

static bool is_text(const struct buf *b, const char *text)
{
    return b->len == strlen(text) && memcmp(b->data, text, b->len) == 0;
}

static bool is_same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* Of a target, what goes upstream is its end; a path that is empty becomes "/", and a question mark
 * with nothing behind it is dropped. */
static bool is_end(const struct buf *asked, const struct buf *got)
{
    size_t n = asked->len - (asked->len && asked->data[asked->len - 1] == '?');
    if (got->data[0] != '/' || got->len == 1 || got->data[1] == '?')
        return got->data[0] == '/';
    return n >= got->len && memcmp(asked->data + n - got->len, got->data, got->len) == 0;
}

/* Some of Ollama's paths are put in other words for a model's server that does not know them. */
static bool is_translated(const struct message *m)
{
    return strstr(m->target.data, "/api/") != NULL;
}

static void check_same(const struct message *asked, const struct message *got)
{
    if (is_translated(asked))
        return;
    must(is_same(&asked->method, &got->method) && is_same(&asked->body, &got->body));
    must(is_end(&asked->target, &got->target));
}

/* One answer of those that the client got. Of a request that is refused as a message, after which
 * the connection ends, it cannot be told whether wharf took it for a HEAD. */
static void read_answer(const struct side *client, size_t at, bool to_head, struct message *ret)
{
    struct simple_how how = {.no_body = to_head, .ended = client->ended};
    size_t n = client->in.len - at;
    const char *data = client->in.data + at;
    enum reading r = simple_read(&how, data, n, ret);
    must(r != READING_BAD);
    if (r == READING_WHOLE && (ret->used == n || memcmp(data + ret->used, "HTTP/", 5) == 0))
        return;
    must(client->ended && ret->status >= 400);
    how.no_body = !to_head;
    must(simple_read(&how, data, n, ret) == READING_WHOLE && ret->used == n);
}

/* Answers come in the order of the requests; those of the model's server say to which. */
static void check_answers(const struct side *client)
{
    static struct message answer;
    uint32_t count = 0, next = 0;
    for (size_t at = 0; at < client->in.len; at += answer.used) {
        bool known = count < sent_count;
        bool to_head = known && is_text(&sent[count].method, "HEAD");
        read_answer(client, at, to_head, &answer);
        if (answer.status < 200)
            continue;
        must(count <= sent_count); /* and one for what could not be read */
        if (answer.status == 299) {
            must(known && next < seen_count);
            if (!to_head && !is_translated(&sent[count]))
                must(answer.body.len == 4 && (uint32_t)strtoul(answer.body.data, NULL, 10) == next);
            check_same(&sent[count], &seen[next++]);
        }
        count++;
    }
    must(next == seen_count); /* a server that has seen it has answered */
    must(count >= sent_count || client->ended);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct proxy_world *w = proxy_world();
    if (size == 0)
        return 0;
    const char *data = (const char *)input + 1;
    seen_count = 0;
    memset(answered, 0, sizeof(answered));
    read_sent(data, size - 1);
    proxy_connect(w);
    w->on_piece = serve;
    proxy_send(w, &w->clients[0], data, size - 1, input[0]);
    w->on_piece = NULL;
    check_answers(&w->clients[0]);
    proxy_over(w);
    return 0;
}
