/* An answer that lasts as long as its connection is held, over a real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "config_folder.h"
#include "server/net/held.h"
#include "server/net/listener.h"
#include "server/proxy/answer.h"
#include "server_world.h"

static struct held *held;
static int left;
static uint64_t ping_ns;
static struct folder folder; /* the state folder */

static void on_left(void *arg)
{
    assert_ptr_equal(arg, &left);
    left++;
    held = NULL;
}

static void hold(struct server *s, struct exchange *ex)
{
    (void)s;
    held = held_begin(
        ex, &(struct held_spec){
                .ping = "{\"do\":\"ping\"}", .ping_ns = ping_ns, .on_left = on_left, .arg = &left});
}

static const struct route route = {
    .method = "GET", .path = "/hold", .kind = ROUTE_LOCAL, .right = RIGHT_NONE, .handle = hold};

static const struct route *find(const struct server_api *api, const struct route_request *want,
                                const char **ret_allow)
{
    (void)api;
    (void)want;
    *ret_allow = NULL;
    return &route;
}

static const struct server_api api = {.find = find};

/* The client's end, on the same loop. */
struct reader {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    char text[4096];
    size_t n;
    bool ended;
};

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
    struct reader *r = handle->data;
    (void)size;
    *ret = uv_buf_init(r->text + r->n, (unsigned)(sizeof(r->text) - 1 - r->n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct reader *r = stream->data;
    (void)buf;
    if (n < 0)
        r->ended = true;
    else
        r->n += (size_t)n;
    r->text[r->n] = '\0';
    if (n < 0)
        uv_read_stop(stream);
}

static void on_connected(uv_connect_t *connect, int status)
{
    static char text[] = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n";
    struct reader *r = connect->data;
    uv_buf_t out = uv_buf_init(text, sizeof(text) - 1);
    assert_int_equal(status, 0);
    assert_int_equal(uv_write(&r->write, (uv_stream_t *)&r->tcp, &out, 1, NULL), 0);
    uv_read_start((uv_stream_t *)&r->tcp, on_alloc, on_read);
}

static int listen_port(const struct server *s)
{
    char path[128], text[64] = "";
    snprintf(path, sizeof(path), "%s/listen", s->state_dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    return (int)strtoul(strrchr(text, ':') + 1, NULL, 10);
}

/* A daemon that accepts, and one who holds. */
static struct server *begin(struct reader *r, uint64_t every_ns)
{
    static const char *const listens[] = {"127.0.0.1:0"};
    struct server *s = server_world_new("models: {m: {cmd: 'x ${PORT}'}}");
    struct sockaddr_in addr;
    struct err err = {0};
    folder = folder_new();
    free(s->state_dir);
    s->state_dir = alloc_text(folder.path);
    s->options.api = &api;
    s->options.listens = listens;
    s->options.listen_count = 1;
    s->listeners = listeners_new(s);
    assert_int_equal(listeners_open(s->listeners, &err), 0);
    assert_int_equal(listeners_accept(s->listeners, &err), 0);
    assert_int_equal(listeners_announce(s->listeners, &err), 0);
    held = NULL;
    left = 0;
    ping_ns = every_ns;
    *r = (struct reader){.n = 0};
    uv_tcp_init(s->loop, &r->tcp);
    r->tcp.data = r->connect.data = r;
    uv_ip4_addr("127.0.0.1", listen_port(s), &addr);
    assert_int_equal(uv_tcp_connect(&r->connect, &r->tcp, (struct sockaddr *)&addr, on_connected),
                     0);
    return s;
}

static void end(struct server *s, struct reader *r)
{
    if (!uv_is_closing((uv_handle_t *)&r->tcp))
        uv_close((uv_handle_t *)&r->tcp, NULL);
    server_world_free(s);
    folder_remove(&folder);
}

static void run_until(struct server *s, const struct reader *r, const char *text)
{
    while (!strstr(r->text, text))
        assert_true(uv_run(s->loop, UV_RUN_ONCE));
}

static void test_lines_and_pings(void **state)
{
    struct reader r;
    (void)state;
    struct server *s = begin(&r, 5 * NS_PER_MS);
    run_until(s, &r, "{\"do\":\"ping\"}\n");
    assert_non_null(strstr(r.text, "200 OK"));
    assert_non_null(strstr(r.text, "Content-Type: application/x-ndjson\r\n"));
    assert_true(held_line(held, "{\"id\":1}"));
    run_until(s, &r, "{\"id\":1}\n");
    const char *line = strstr(r.text, "{\"id\":1}\n");
    while (!strstr(line, "ping"))
        assert_true(uv_run(s->loop, UV_RUN_ONCE)); /* they go on */
    assert_int_equal(left, 0);
    end(s, &r);
    assert_int_equal(left, 1);
}

static void test_he_leaves(void **state)
{
    struct reader r;
    (void)state;
    struct server *s = begin(&r, 0);
    run_until(s, &r, "\r\n\r\n");
    assert_non_null(held);
    uv_close((uv_handle_t *)&r.tcp, NULL);
    while (!left)
        assert_true(uv_run(s->loop, UV_RUN_ONCE));
    end(s, &r);
    assert_int_equal(left, 1);
}

/* Told only of what it did not do itself. */
static void test_it_is_ended(void **state)
{
    struct reader r;
    (void)state;
    struct server *s = begin(&r, 0);
    run_until(s, &r, "\r\n\r\n");
    held_line(held, "{\"do\":\"bye\"}");
    held_end(held);
    run_until(s, &r, "\r\n0\r\n\r\n");
    end(s, &r);
    assert_int_equal(left, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_and_pings),
        cmocka_unit_test(test_he_leaves),
        cmocka_unit_test(test_it_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
