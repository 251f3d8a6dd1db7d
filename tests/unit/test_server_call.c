/* One HTTP request of wharf's own, against a server whose every byte is scripted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/net/call.h"
#include "server/net/origin.h"
#include "server_world.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define LIMIT 16 /* bytes of an answer */

/* On the same loop: reads a request, writes its answer, and ends the connection or does not. */
struct scripted {
    uv_tcp_t listener, peer;
    uv_write_t write;
    const char *answer;
    bool closes, written, left; /* left: the other side has ended the connection */
    char request[1024];
    size_t n;
    int port;
};

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
    struct scripted *x = handle->data;
    (void)size;
    *ret = uv_buf_init(x->request + x->n, (unsigned)(sizeof(x->request) - 1 - x->n));
}

static void on_written(uv_write_t *write, int status)
{
    struct scripted *x = write->data;
    (void)status;
    x->written = true;
    if (x->closes)
        uv_close((uv_handle_t *)&x->peer, NULL);
}

static bool request_is_whole(const struct scripted *x)
{
    const char *end = strstr(x->request, "\r\n\r\n"),
               *length = strstr(x->request, "Content-Length: ");
    return end && strlen(end + 4) >= (length ? strtoul(length + 16, NULL, 10) : 0);
}

static void on_request(uv_stream_t *peer, ssize_t n, const uv_buf_t *buf)
{
    struct scripted *x = peer->data;
    (void)buf;
    if (n < 0) {
        x->left = true;
        uv_close((uv_handle_t *)peer, NULL);
        return;
    }
    x->n += (size_t)n;
    x->request[x->n] = '\0';
    if (!x->answer || x->written || !request_is_whole(x))
        return;
    union {
        const char *from;
        char *to;
    } text = {x->answer};
    uv_buf_t out = uv_buf_init(text.to, (unsigned)strlen(x->answer));
    x->write.data = x;
    assert_int_equal(uv_write(&x->write, peer, &out, 1, on_written), 0);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct scripted *x = listener->data;
    assert_int_equal(status, 0);
    uv_tcp_init(listener->loop, &x->peer);
    x->peer.data = x;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&x->peer), 0);
    uv_read_start((uv_stream_t *)&x->peer, on_alloc, on_request);
}

static void listen_on(struct server *s, struct scripted *x)
{
    struct sockaddr_in addr;
    int size = sizeof(addr);
    uv_tcp_init(s->loop, &x->listener);
    x->listener.data = x;
    uv_ip4_addr("127.0.0.1", 0, &addr);
    assert_int_equal(uv_tcp_bind(&x->listener, (struct sockaddr *)&addr, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&x->listener, 8, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&x->listener, (struct sockaddr *)&addr, &size), 0);
    x->port = ntohs(addr.sin_port);
}

static void unlisten(struct scripted *x)
{
    uv_close((uv_handle_t *)&x->listener, NULL);
    if (x->peer.data && !uv_is_closing((uv_handle_t *)&x->peer))
        uv_close((uv_handle_t *)&x->peer, NULL);
}

/* What a call came to. */
struct result {
    int calls, error, status;
    bool connected;
    char body[LIMIT + 1], why[128];
};

static void on_done(void *arg, const struct call_answer *a)
{
    struct result *o = arg;
    o->calls++;
    o->error = a->error;
    o->status = a->status;
    o->connected = a->connected;
    assert_int_equal(strlen(a->body), a->n);
    snprintf(o->body, sizeof(o->body), "%s", a->body);
    snprintf(o->why, sizeof(o->why), "%s", a->why ? a->why : "");
}

static struct server *world(void)
{
    return server_world_new("models: {m: {cmd: 'x ${PORT}'}}");
}

/* before and behind the port, which 0 leaves out. */
static struct origin *origin_at(struct server *s, const char *before, int port, const char *behind)
{
    char url[128];
    struct err err = {0};
    struct origin *o = origin_new(s);
    snprintf(url, sizeof(url), "%s", before);
    if (port)
        snprintf(url, sizeof(url), "%s:%d%s", before, port, behind);
    if (origin_locate(o, url, &err) < 0)
        fail_msg("%s: %s", url, err.text);
    return o;
}

static void run_until_done(struct server *s, const struct result *o)
{
    while (o->calls == 0) {
        int more = uv_run(s->loop, UV_RUN_ONCE);
        assert_true(more || o->calls);
        stream_hub_turn(&s->hub);
    }
}

static const struct {
    const char *what, *answer; /* NULL: never */
    bool closes;
    int error, status;
    const char *body;
} answers[] = {
    {"a length", OK "Content-Length: 3\r\n\r\nabc", false, 0, 200, "abc"},
    {"and more than that", OK "Content-Length: 3\r\n\r\nabcdef", false, 0, 200, "abc"},
    {"none", OK "Content-Length: 0\r\n\r\n", false, 0, 200, ""},
    {"no body", "HTTP/1.1 204 No Content\r\n\r\n", false, 0, 204, ""},
    {"chunks", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", false, 0, 200,
     "abc"},
    {"until the end", OK "\r\nabc", true, 0, 200, "abc"},
    {"another status", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", false, 0, 404,
     "no"},
    {"behind interim ones",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\n" OK "Content-Length: 1\r\n\r\nx",
     false, 0, 200, "x"},
    {"as much as there may be", OK "Content-Length: 16\r\n\r\n0123456789abcdef", false, 0, 200,
     "0123456789abcdef"},
    {"too long by its length", OK "Content-Length: 17\r\n\r\n", false, UV_EMSGSIZE, 200, ""},
    {"too long in chunks",
     OK "Transfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nx\r\n", false,
     UV_EMSGSIZE, 200, "0123456789abcdef"},
    {"too long without an end", OK "\r\n0123456789abcdefg", false, UV_EMSGSIZE, 200, ""},
    {"no HTTP", "SSH-2.0-x\r\n\r\n", false, UV_EPROTO, 0, ""},
    {"bad chunks", OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n", false, UV_EPROTO, 200, ""},
    {"cut before the head", "", true, UV_EOF, 0, ""},
    {"cut within the head", OK "Conte", true, UV_EOF, 0, ""},
    {"cut within the body", OK "Content-Length: 3\r\n\r\nab", true, UV_EOF, 200, "ab"},
    {"cut within the chunks", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", true, UV_EOF, 200,
     "ab"},
    {"nothing in time", NULL, false, UV_ETIMEDOUT, 0, ""},
    {"half a head in time", OK "Conte", false, UV_ETIMEDOUT, 0, ""},
    {"half a body in time", OK "Content-Length: 3\r\n\r\nab", false, UV_ETIMEDOUT, 200, "ab"},
    {"no end in time", OK "\r\nab", false, UV_ETIMEDOUT, 200, "ab"},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(answers); i++) {
        struct server *s = world();
        struct scripted x = {.answer = answers[i].answer, .closes = answers[i].closes};
        struct result got = {0};
        listen_on(s, &x);
        struct origin *o = origin_at(s, "http://127.0.0.1", x.port, "");
        bool late = answers[i].error == UV_ETIMEDOUT;
        call_start(o,
                   &(struct call_spec){.method = "GET",
                                       .path = "/",
                                       .timeout_ns = late ? 50 * NS_PER_MS : 20 * NS_PER_S,
                                       .answer_bytes_max = LIMIT},
                   on_done, &got);
        assert_int_equal(got.calls, 0);
        run_until_done(s, &got);
        if (got.error != answers[i].error || got.status != answers[i].status ||
            strcmp(got.body, answers[i].body) != 0 || !got.connected ||
            (got.error != 0) != (got.why[0] != '\0'))
            fail_msg("%s: error %d (%s) status %d body '%s' connected %d", answers[i].what,
                     got.error, got.why, got.status, got.body, got.connected);
        unlisten(&x);
        origin_put(o);
        server_world_free(s);
        assert_int_equal(got.calls, 1);
    }
}

/* The status alone is not held up by a body without an end. */
static void test_status_alone(void **state)
{
    (void)state;
    struct server *s = world();
    struct scripted x = {.answer = OK "\r\nand so on"};
    struct result got = {0};
    listen_on(s, &x);
    struct origin *o = origin_at(s, "http://127.0.0.1", x.port, "");
    call_start(o, &(struct call_spec){.method = "GET", .path = "/", .timeout_ns = 20 * NS_PER_S},
               on_done, &got);
    run_until_done(s, &got);
    assert_int_equal(got.error, 0);
    assert_int_equal(got.status, 200);
    assert_string_equal(got.body, "");
    unlisten(&x);
    origin_put(o);
    server_world_free(s);
}

static void test_requests(void **state)
{
    static const struct {
        const char *base;
        struct call_spec spec;
        const char *first, *last;
    } cases[] = {
        {"",
         {.method = "GET", .path = "/p"},
         "GET /p HTTP/1.1\r\nHost: 127.0.0.1:",
         "Connection: close\r\n\r\n"},
        {"/b", {.method = "GET", .path = "/p?a=1"}, "GET /b/p?a=1 HTTP/1.1\r\n", "\r\n\r\n"},
        {"/b?k=v", {.method = "GET", .path = "/p"}, "GET /b/p?k=v HTTP/1.1\r\n", "\r\n\r\n"},
        {"/b?k=v",
         {.method = "GET", .path = "/p?a=1"},
         "GET /b/p?a=1&k=v HTTP/1.1\r\n",
         "\r\n\r\n"},
        {"", {.method = "POST", .path = "/p"}, "POST /p HTTP/1.1\r\n", "Content-Length: 0\r\n\r\n"},
        {"",
         {.method = "POST", .path = "/p", .fields = "X-A: b\r\n", .body = "{\"m\":1}"},
         "POST /p HTTP/1.1\r\n",
         "X-A: b\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"m\":1}"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct server *s = world();
        struct scripted x = {.answer = OK "Content-Length: 0\r\n\r\n"};
        struct result got = {0};
        struct call_spec spec = cases[i].spec;
        listen_on(s, &x);
        struct origin *o = origin_at(s, "http://127.0.0.1", x.port, cases[i].base);
        spec.timeout_ns = 20 * NS_PER_S;
        call_start(o, &spec, on_done, &got);
        run_until_done(s, &got);
        size_t n = strlen(cases[i].last);
        if (strncmp(x.request, cases[i].first, strlen(cases[i].first)) != 0 || x.n < n ||
            strcmp(x.request + x.n - n, cases[i].last) != 0)
            fail_msg("case %zu: '%s'", i, x.request);
        unlisten(&x);
        origin_put(o);
        server_world_free(s);
    }
}

/* A port that was just free, and one whose queue of connections is full. */
static int raw_listener(int *ret_fd)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(addr);
    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(*ret_fd >= 0);
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)&addr, size), 0);
    assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&addr, &size), 0);
    return ntohs(addr.sin_port);
}

static void test_nobody_there(void **state)
{
    static const char *const urls[] = {"http://127.0.0.1", "unix:/nonexistent/socket"};
    static const int errors[] = {UV_ECONNREFUSED, UV_ENOENT};
    (void)state;
    for (size_t i = 0; i < countof(urls); i++) {
        struct server *s = world();
        struct result got = {0};
        int fd, port = raw_listener(&fd); /* bound, and does not listen */
        struct origin *o = origin_at(s, urls[i], i ? 0 : port, "");
        call_start(o,
                   &(struct call_spec){.method = "GET", .path = "/", .timeout_ns = 20 * NS_PER_S},
                   on_done, &got);
        assert_int_equal(got.calls, 0);
        run_until_done(s, &got);
        assert_int_equal(got.error, errors[i]);
        assert_false(got.connected);
        close(fd);
        origin_put(o);
        server_world_free(s);
    }
}

static void test_no_connection_in_time(void **state)
{
    (void)state;
    struct server *s = world();
    struct result got = {0};
    int fd, fillers[8], port = raw_listener(&fd);
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(listen(fd, 0), 0);
    for (size_t i = 0; i < countof(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(fillers[i], (struct sockaddr *)&addr, sizeof(addr)) < 0)
            assert_int_equal(errno, EINPROGRESS);
    }
    struct origin *o = origin_at(s, "http://127.0.0.1", port, "");
    call_start(o, &(struct call_spec){.method = "GET", .path = "/", .timeout_ns = 50 * NS_PER_MS},
               on_done, &got);
    run_until_done(s, &got);
    assert_int_equal(got.error, UV_ETIMEDOUT);
    assert_false(got.connected);
    for (size_t i = 0; i < countof(fillers); i++)
        close(fillers[i]);
    close(fd);
    origin_put(o);
    server_world_free(s);
}

/* TLS is begun, and never answered. */
static void test_no_handshake_in_time(void **state)
{
    (void)state;
    struct server *s = world();
    struct scripted x = {0};
    struct result got = {0};
    listen_on(s, &x);
    struct origin *o = origin_at(s, "https://127.0.0.1", x.port, "");
    call_start(o, &(struct call_spec){.method = "GET", .path = "/", .timeout_ns = NS_PER_S},
               on_done, &got);
    run_until_done(s, &got);
    assert_int_equal(got.error, UV_ETIMEDOUT);
    assert_false(got.connected);
    assert_true(x.n > 0); /* its greeting */
    unlisten(&x);
    origin_put(o);
    server_world_free(s);
}

/* The server that the call is with sees it end, and nobody is called back. */
static void test_cancelled(void **state)
{
    static const char *const answered[] = {NULL, OK "Conte", OK "Content-Length: 3\r\n\r\nab"};
    (void)state;
    for (size_t i = 0; i < countof(answered); i++) {
        struct server *s = world();
        struct scripted x = {.answer = answered[i]};
        struct result got = {0};
        listen_on(s, &x);
        struct origin *o = origin_at(s, "http://127.0.0.1", x.port, "");
        struct call *c = call_start(o,
                                    &(struct call_spec){.method = "GET",
                                                        .path = "/",
                                                        .timeout_ns = 20 * NS_PER_S,
                                                        .answer_bytes_max = LIMIT},
                                    on_done, &got);
        while (!request_is_whole(&x) || (x.answer && !x.written))
            assert_true(uv_run(s->loop, UV_RUN_ONCE));
        uv_run(s->loop, UV_RUN_NOWAIT); /* what was written arrives */
        call_cancel(c);
        while (!x.left)
            assert_true(uv_run(s->loop, UV_RUN_ONCE));
        unlisten(&x);
        origin_put(o);
        server_world_free(s);
        assert_int_equal(got.calls, 0);
    }
}

/* Before anything has come back to the loop: while it is looked up, while it is connected. */
static void test_cancelled_at_once(void **state)
{
    static const char *const urls[] = {"unix:/nonexistent/socket", "http://127.0.0.1",
                                       "https://127.0.0.1", "http://name.invalid"};
    (void)state;
    for (size_t i = 0; i < countof(urls); i++) {
        struct server *s = world();
        struct scripted x = {0};
        struct result got = {0};
        listen_on(s, &x);
        struct origin *o = origin_at(s, urls[i], i ? x.port : 0, "");
        call_cancel(call_start(
            o, &(struct call_spec){.method = "GET", .path = "/", .timeout_ns = 20 * NS_PER_S},
            on_done, &got));
        unlisten(&x);
        origin_put(o);
        server_world_free(s);
        assert_int_equal(got.calls, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_status_alone),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_no_connection_in_time),
        cmocka_unit_test(test_no_handshake_in_time),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_cancelled_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
