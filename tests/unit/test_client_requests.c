/* The client against a peer that speaks from a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/pure/check.h"
#include "client/client.h"
#include "client/reply.h"

#define PIECES_MAX 8

/* What the peer sends after it has read one request. Each piece is sent once the client has read
 * the one before, so that the client sees them apart. */
struct script {
    const char *pieces[PIECES_MAX];
    bool holds;  /* then waits until the client closes, instead of closing */
    bool resets; /* ends the connection with an error instead of an orderly close */
};

struct peer {
    struct script script;
    struct client_options options; /* how to reach it */
    int listener;
    pthread_t thread;
    char folder[64];
    struct buf request; /* what it has read; of use after peer_stop */
};

static void read_request(struct peer *p, int fd)
{
    char data[4096];
    while (!p->request.data || !strstr(p->request.data, "\r\n\r\n")) {
        ssize_t n = recv(fd, data, sizeof(data), 0);
        if (n <= 0)
            return;
        buf_append(&p->request, data, (size_t)n);
    }
}

/* On a unix socket the queue holds what the client has not read (unix(7)). False: it has left. */
static bool wait_until_read(int fd)
{
    int unread = 1;
    char byte;
    while (ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0) {
        if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
            return false;
        sched_yield();
    }
    return true;
}

static void *peer_main(void *arg)
{
    struct peer *p = arg;
    char byte;
    int fd = accept(p->listener, NULL, NULL);
    if (fd < 0)
        return NULL;
    read_request(p, fd);
    for (int i = 0; i < PIECES_MAX && p->script.pieces[i]; i++) {
        const char *piece = p->script.pieces[i];
        if (send(fd, piece, strlen(piece), MSG_NOSIGNAL) < 0 || !wait_until_read(fd))
            break;
    }
    if (p->script.holds)
        (void)!recv(fd, &byte, 1, 0);
    if (p->script.resets) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    close(fd);
    return NULL;
}

static void peer_start(struct peer *p, const struct script *script)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char url[160];
    struct err e = {.set = false};
    *p = (struct peer){.script = *script, .folder = "/tmp/wharf-test-XXXXXX"};
    assert_non_null(mkdtemp(p->folder));
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/s", p->folder);
    snprintf(url, sizeof(url), "unix:%s", sa.sun_path);
    assert_int_equal(client_address_parse(url, &p->options.address, &e), 0);
    p->options.stop_fd = -1;
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(p->listener, 1), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
}

static void peer_stop(struct peer *p)
{
    /* Wakes an accept that nobody came for. */
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
    unlink(p->options.address.socket_path);
    rmdir(p->folder);
    buf_fini(&p->request);
}

static const struct client_request get = {.method = "GET", .path = "/x", .silence_ms_max = 10000};

struct answer_case {
    const char *name;
    struct script script;
    int rc; /* of the whole exchange */
    int status;
    const char *body;
    const char *error; /* stands in the message */
};

#define OK "HTTP/1.1 200 OK\r\n"
#define OK_LENGTH(n) OK "Content-Length: " n "\r\n\r\n"
#define OK_CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static const struct answer_case answer_cases[] = {
    {.name = "length", .script.pieces = {OK_LENGTH("5") "hello"}, .status = 200, .body = "hello"},
    {.name = "length, connection kept",
     .script = {.pieces = {OK_LENGTH("5") "hello"}, .holds = true},
     .status = 200,
     .body = "hello"},
    {.name = "length of 0",
     .script = {.pieces = {OK_LENGTH("0")}, .holds = true},
     .status = 200,
     .body = ""},
    {.name = "head in pieces",
     .script.pieces = {"H", "TTP/1.1 404 Not ", "Found\r", "\nContent-Length: 2\r\n\r", "\nno"},
     .status = 404,
     .body = "no"},
    {.name = "no body",
     .script = {.pieces = {"HTTP/1.1 204 No Content\r\n\r\n"}, .holds = true},
     .status = 204,
     .body = ""},
    {.name = "chunks",
     .script = {.pieces = {OK_CHUNKED "5\r\nhe", "llo\r", "\n1\r\n \r\n",
                           "5;x=y\r\nworld\r\n0\r\n\r\n"},
                .holds = true},
     .status = 200,
     .body = "hello world"},
    {.name = "chunk sizes in pieces",
     .script.pieces = {OK_CHUNKED, "1", "0", "\r", "\n0123456789abcdef\r\n0\r\n\r", "\n"},
     .status = 200,
     .body = "0123456789abcdef"},
    {.name = "until close",
     .script.pieces = {OK "\r\n", "all ", "of it"},
     .status = 200,
     .body = "all of it"},
    {.name = "interim answers",
     .script.pieces = {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
                       OK_LENGTH("2") "ok"},
     .status = 200,
     .body = "ok"},
    {.name = "nothing", .rc = -CLIENT_BROKEN, .error = "closed the connection without an answer"},
    {.name = "half a head",
     .script.pieces = {"HTTP/1.1 200 O"},
     .rc = -CLIENT_BROKEN,
     .error = "without an answer"},
    {.name = "garbage",
     .script.pieces = {"SSH-2.0-OpenSSH_9.2\r\n\r\n"},
     .rc = -CLIENT_BROKEN,
     .error = "does not speak HTTP"},
    {.name = "another version",
     .script.pieces = {"HTTP/3.0 200 OK\r\n\r\n"},
     .rc = -CLIENT_BROKEN,
     .error = "does not speak HTTP"},
    {.name = "length cut off",
     .script.pieces = {OK_LENGTH("6") "hello"},
     .rc = -CLIENT_BROKEN,
     .error = "in the middle of its answer"},
    {.name = "chunks cut off",
     .script.pieces = {OK_CHUNKED "5\r\nhello\r\n"},
     .rc = -CLIENT_BROKEN,
     .error = "in the middle of its answer"},
    {.name = "chunks of nonsense",
     .script.pieces = {OK_CHUNKED "zz\r\nhello\r\n"},
     .rc = -CLIENT_BROKEN,
     .error = "does not speak HTTP"},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(answer_cases); i++) {
        const struct answer_case *c = &answer_cases[i];
        struct peer peer;
        struct client_reply reply;
        struct err e = {.set = false};
        peer_start(&peer, &c->script);
        int rc = client_fetch(&peer.options, &get, &reply, &e);
        if (rc != c->rc || reply.status != c->status)
            fail_msg("%s: rc %d, not %d; status %d, not %d; %s", c->name, rc, c->rc, reply.status,
                     c->status, e.text);
        if (c->body && strcmp(reply.body.len ? reply.body.data : "", c->body) != 0)
            fail_msg("%s: body '%s', not '%s'", c->name, reply.body.data, c->body);
        if (c->error && !strstr(e.text, c->error))
            fail_msg("%s: message '%s' without '%s'", c->name, e.text, c->error);
        client_reply_fini(&reply);
        peer_stop(&peer);
    }
}

static const char *fetch_request(struct peer *peer, struct client_request rq, const char *key,
                                 const char *base)
{
    static const struct script script = {.pieces = {"HTTP/1.1 204 No Content\r\n\r\n"}};
    struct client_reply reply;
    struct err e = {.set = false};
    peer_start(peer, &script);
    peer->options.key = key;
    snprintf(peer->options.address.base, sizeof(peer->options.address.base), "%s", base);
    rq.silence_ms_max = 10000;
    assert_int_equal(client_fetch(&peer->options, &rq, &reply, &e), 0);
    client_reply_fini(&reply);
    return peer->request.data;
}

static void test_request_bytes(void **state)
{
    (void)state;
    struct peer peer;
    const char *text = fetch_request(&peer,
                                     (struct client_request){.method = "GET",
                                                             .path = "/wharf/events",
                                                             .accept = "text/event-stream",
                                                             .last_event_id = "41"},
                                     "secret", "");
    assert_string_equal(text, "GET /wharf/events HTTP/1.1\r\nHost: localhost\r\n"
                              "Connection: close\r\nUser-Agent: wharf\r\n"
                              "Accept: text/event-stream\r\nAuthorization: Bearer secret\r\n"
                              "Last-Event-ID: 41\r\n\r\n");
    peer_stop(&peer);
    text = fetch_request(&peer, (struct client_request){.method = "POST", .path = "/y?force=1"},
                         NULL, "/base");
    assert_string_equal(text, "POST /base/y?force=1 HTTP/1.1\r\nHost: localhost\r\n"
                              "Connection: close\r\nUser-Agent: wharf\r\n"
                              "Content-Length: 0\r\n\r\n");
    peer_stop(&peer);
}

/* A daemon may answer and close before it has read a long request. */
static void test_answer_before_the_body_is_read(void **state)
{
    (void)state;
    static const struct script script = {
        .pieces = {"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"}};
    const size_t n = 8u << 20;
    char *body = calloc(n + 1, 1);
    struct peer peer;
    struct client_reply reply;
    struct err e = {.set = false};
    memset(body, 'x', n);
    peer_start(&peer, &script);
    const struct client_request rq = {
        .method = "POST", .path = "/x", .body = body, .body_len = n, .silence_ms_max = 10000};
    int rc = client_fetch(&peer.options, &rq, &reply, &e);
    if (rc != 0 || reply.status != 413)
        fail_msg("rc %d, status %d: %s", rc, reply.status, e.text);
    client_reply_fini(&reply);
    peer_stop(&peer);
    free(body);
}

static void test_silence(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {.holds = true},
        {.pieces = {OK}, .holds = true},
        {.pieces = {OK_LENGTH("3") "ab"}, .holds = true},
    };
    for (size_t i = 0; i < countof(scripts); i++) {
        struct peer peer;
        struct client_reply reply;
        struct err e = {.set = false};
        struct client_request rq = get;
        rq.silence_ms_max = 50;
        peer_start(&peer, &scripts[i]);
        assert_int_equal(client_fetch(&peer.options, &rq, &reply, &e), -CLIENT_TIMEOUT);
        assert_non_null(strstr(e.text, "has said nothing for 50ms"));
        peer_stop(&peer);
    }
}

static void test_stop(void **state)
{
    (void)state;
    static const struct script script = {.pieces = {OK}, .holds = true};
    struct peer peer;
    struct client_reply reply;
    struct err e = {.set = false};
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "", 1), 1);
    peer_start(&peer, &script);
    peer.options.stop_fd = fds[0];
    assert_int_equal(client_fetch(&peer.options, &get, &reply, &e), -CLIENT_STOPPED);
    peer_stop(&peer);
    close(fds[0]);
    close(fds[1]);
}

/* A bound socket that does not listen refuses, and nobody else can take its port. */
static void test_refused(void **state)
{
    (void)state;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sa);
    struct client_options options = {.stop_fd = -1, .connect_ms_max = 5000};
    struct client_reply reply;
    struct err e = {.set = false};
    char text[160];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    snprintf(text, sizeof(text), "http://127.0.0.1:%u", ntohs(sa.sin_port));
    assert_int_equal(client_address_parse(text, &options.address, &e), 0);
    assert_int_equal(client_fetch(&options, &get, &reply, &e), -CLIENT_UNREACHABLE);
    snprintf(text, sizeof(text),
             "cannot reach wharf at 127.0.0.1:%u: Connection refused "
             "(is `wharf serve` running? --url or $WHARF_URL says where)",
             ntohs(sa.sin_port));
    assert_string_equal(e.text, text);
    close(fd);
    assert_int_equal(client_address_parse("unix:/nonexistent/s", &options.address, &e), 0);
    assert_int_equal(client_fetch(&options, &get, &reply, &e), -CLIENT_UNREACHABLE);
    assert_non_null(strstr(e.text, "wharf at unix:/nonexistent/s: No such file or directory"));
}

/* A daemon that does not come round to accepting connections. */
static void test_full_queue(void **state)
{
    (void)state;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct client_options options = {.stop_fd = -1, .connect_ms_max = 30};
    struct client_reply reply;
    struct err e = {.set = false};
    char folder[] = "/tmp/wharf-test-XXXXXX", url[160];
    int waiting[8], count = 0, rc = 0;
    assert_non_null(mkdtemp(folder));
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/s", folder);
    snprintf(url, sizeof(url), "unix:%s", sa.sun_path);
    assert_int_equal(client_address_parse(url, &options.address, &e), 0);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(listener, 0), 0);
    while (rc == 0) {
        must((size_t)count < countof(waiting));
        waiting[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        rc = connect(waiting[count++], (struct sockaddr *)&sa, sizeof(sa));
    }
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(client_fetch(&options, &get, &reply, &e), -CLIENT_UNREACHABLE);
    while (count > 0)
        close(waiting[--count]);
    close(listener);
    unlink(sa.sun_path);
    rmdir(folder);
}

static int fetch_over_tcp(const struct script *script, struct client_reply *reply, struct err *e)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sa);
    struct peer peer = {.script = *script, .options = {.stop_fd = -1, .connect_ms_max = 5000}};
    char url[64], host[64];
    peer.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer.listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(getsockname(peer.listener, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(listen(peer.listener, 1), 0);
    snprintf(url, sizeof(url), "http://localhost:%u/", ntohs(sa.sin_port));
    snprintf(host, sizeof(host), "\r\nHost: localhost:%u\r\n", ntohs(sa.sin_port));
    assert_int_equal(client_address_parse(url, &peer.options.address, e), 0);
    assert_int_equal(pthread_create(&peer.thread, NULL, peer_main, &peer), 0);
    int rc = client_fetch(&peer.options, &get, reply, e);
    pthread_join(peer.thread, NULL);
    close(peer.listener);
    assert_non_null(strstr(peer.request.data, host));
    buf_fini(&peer.request);
    return rc;
}

static void test_tcp(void **state)
{
    (void)state;
    static const struct script whole = {.pieces = {OK_LENGTH("2"), "{}"}};
    static const struct script reset = {.pieces = {OK_LENGTH("5") "he"}, .resets = true};
    struct client_reply reply;
    struct err e = {.set = false};
    assert_int_equal(fetch_over_tcp(&whole, &reply, &e), 0);
    assert_non_null(reply.json);
    client_reply_fini(&reply);
    assert_int_equal(fetch_over_tcp(&reset, &reply, &e), -CLIENT_BROKEN);
    assert_non_null(strstr(e.text, "failed: Connection reset by peer"));
}

static void test_lines(void **state)
{
    (void)state;
    static const struct script script = {
        .pieces = {OK_CHUNKED, "c\r\none\r\ntwo\n\nth\r\n", "8\r\nree\nlast\r\n", "0\r\n\r\n"}};
    static const char *const expected[] = {"one", "two", "", "three", "last"};
    struct peer peer;
    struct client_answer *a;
    struct buf line = {0};
    struct err e = {.set = false};
    peer_start(&peer, &script);
    assert_int_equal(client_open(&peer.options, &get, &a, &e), 0);
    for (size_t i = 0; i < countof(expected); i++) {
        assert_int_equal(client_read_line(a, &line, &e), 1);
        assert_string_equal(line.data, expected[i]);
    }
    assert_int_equal(client_read_line(a, &line, &e), 0);
    assert_int_equal(client_read_line(a, &line, &e), 0);
    client_close(a);
    buf_fini(&line);
    peer_stop(&peer);
}

/* Nothing waits: a line comes in pieces, and is whole once. */
static void test_polled_lines(void **state)
{
    static const char *const lines[] = {"one", "two", "three"};
    const struct script script = {
        .pieces = {OK_CHUNKED, "2\r\non\r\n", "4\r\ne\ntw", "\r\n", "8\r\no\nthree\n\r\n0\r\n\r\n"},
        .holds = true};
    struct peer peer;
    struct client_answer *a;
    struct buf line = {0};
    struct err e = {.set = false};
    size_t count = 0;
    int rc;
    (void)state;
    peer_start(&peer, &script);
    assert_int_equal(client_open(&peer.options, &get, &a, &e), 0);
    client_set_silence(a, CLIENT_NO_WAIT);
    while ((rc = client_read_line(a, &line, &e)) != 0) {
        struct pollfd readable = {.fd = client_fd(a), .events = POLLIN};
        if (rc == -CLIENT_AGAIN) {
            assert_int_equal(poll(&readable, 1, -1), 1);
            continue;
        }
        assert_int_equal(rc, 1);
        assert_true(count < countof(lines));
        assert_string_equal(line.data, lines[count++]);
    }
    assert_int_equal(count, countof(lines));
    buf_fini(&line);
    client_close(a);
    peer_stop(&peer);
}

static void test_half_a_polled_line(void **state)
{
    const struct script script = {.pieces = {OK_CHUNKED "6\r\none\ntw\r\n"}, .holds = true};
    struct peer peer;
    struct client_answer *a;
    struct buf line = {0};
    struct err e = {.set = false};
    (void)state;
    peer_start(&peer, &script);
    assert_int_equal(client_open(&peer.options, &get, &a, &e), 0);
    assert_int_equal(client_read_line(a, &line, &e), 1);
    assert_string_equal(line.data, "one");
    client_set_silence(a, CLIENT_NO_WAIT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(client_read_line(a, &line, &e), -CLIENT_AGAIN);
    assert_string_equal(line.data, "tw");
    buf_fini(&line);
    client_close(a);
    peer_stop(&peer);
}

static void test_invalid_texts(void **state)
{
    (void)state;
    struct client_options options = {.stop_fd = -1, .key = "a\r\nX-Evil: 1"};
    struct client_request rq = get;
    struct client_reply reply;
    struct err e = {.set = false};
    assert_int_equal(client_address_parse("unix:/nonexistent/s", &options.address, &e), 0);
    assert_int_equal(client_fetch(&options, &rq, &reply, &e), -CLIENT_INVALID);
    assert_string_equal(e.text, "the key holds control bytes, which cannot be sent");
    options.key = NULL;
    rq.last_event_id = "1\n2";
    assert_int_equal(client_fetch(&options, &rq, &reply, &e), -CLIENT_INVALID);
}

static void test_explain(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        const char *body, *text;
    } cases[] = {
        {404, "{\"error\":{\"code\":\"model_not_found\",\"message\":\"no such model\"}}",
         "no such model"},
        {500, "{\"error\":\"bad\\n\"}", "bad"},
        {500, "{\"error\":{\"code\":\"x\"}}", "it answered 500 Internal Server Error"},
        {502, "upstream is gone\n", "upstream is gone"},
        {404, "", "it answered 404 Not Found"},
        {404, "[]", "it answered 404 Not Found"},
        {404, "\n \n", "it answered 404 Not Found"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct client_reply reply = {.status = cases[i].status};
        struct buf out = {0};
        buf_text(&reply.body, cases[i].body);
        reply.json = json_loads(cases[i].body, 0, NULL);
        client_reply_explain(&reply, &out);
        assert_string_equal(out.data, cases[i].text);
        buf_fini(&out);
        client_reply_fini(&reply);
    }
}

static void test_encode_segment(void **state)
{
    (void)state;
    struct buf path = {0};
    client_encode_segment(&path, "org/Qwen 2.5:7b~?#%\xc3\xa9");
    assert_string_equal(path.data, "org%2FQwen%202.5%3A7b~%3F%23%25%C3%A9");
    buf_fini(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_request_bytes),
        cmocka_unit_test(test_answer_before_the_body_is_read),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_polled_lines),
        cmocka_unit_test(test_half_a_polled_line),
        cmocka_unit_test(test_invalid_texts),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_encode_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
