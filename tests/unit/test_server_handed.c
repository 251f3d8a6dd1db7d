/* Listening sockets that a daemon was born with, and files that a stream reads before its socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include "config_folder.h"
#include "server/net/handed.h"
#include "server_world.h"

/* ---- sockets ---- */

static int listen_at(struct sockaddr *a, socklen_t n)
{
    int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, a, n) == 0 && listen(fd, 1) == 0);
    return fd;
}

static int listen_tcp(struct sockaddr_in *ret)
{
    socklen_t n = sizeof(*ret);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = listen_at((struct sockaddr *)ret, n);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &n), 0);
    return fd;
}

static void test_found_by_address(void **state)
{
    (void)state;
    struct server *s = server_world_new("models: {}");
    struct sockaddr_in one, two, other;
    enum handed_source source = HANDED_NOT;
    int a = listen_tcp(&one), b = listen_tcp(&two);
    handed_add(&s->handed, a, HANDED_UNIT);
    handed_add(&s->handed, b, HANDED_STORED);
    other = one;
    other.sin_addr.s_addr = htonl(INADDR_ANY);
    assert_int_equal(handed_take(s, (struct sockaddr *)&other, &source), -1);
    assert_int_equal(source, HANDED_NOT);
    assert_int_equal(handed_take(s, (struct sockaddr *)&two, &source), b);
    assert_int_equal(source, HANDED_STORED);
    assert_int_equal(handed_take(s, (struct sockaddr *)&two, &source), -1); /* it is taken */
    one.sin_port = 0;
    assert_int_equal(handed_take(s, (struct sockaddr *)&one, &source), a); /* with any port */
    assert_int_equal(source, HANDED_UNIT);
    close(a);
    close(b);
    server_world_free(s);
}

static void test_what_is_none_is_closed(void **state)
{
    (void)state;
    struct server *s = server_world_new("models: {}");
    int fds[3], pair[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    fds[2] = socket(AF_INET, SOCK_STREAM, 0);
    for (int i = 0; i < 3; i++)
        handed_add(&s->handed, fds[i], HANDED_STORED);
    handed_add(&s->handed, pair[0], HANDED_STORED);
    assert_int_equal(s->handed.count, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fcntl(fds[i], F_GETFD), -1);
    assert_int_equal(fcntl(pair[0], F_GETFD), -1);
    close(pair[1]);
    server_world_free(s);
}

static void test_more_than_are_kept(void **state)
{
    (void)state;
    struct server *s = server_world_new("models: {}");
    struct sockaddr_in addr;
    int last = -1;
    for (int i = 0; i <= HANDED_MAX; i++)
        handed_add(&s->handed, last = listen_tcp(&addr), HANDED_STORED);
    assert_int_equal(s->handed.count, HANDED_MAX);
    assert_int_equal(fcntl(last, F_GETFD), -1);
    handed_drop_rest(s);
    enum handed_source source;
    addr.sin_port = 0;
    assert_int_equal(handed_take(s, (struct sockaddr *)&addr, &source), -1);
    server_world_free(s);
}

/* A socket in the file system whose file has gone is found by nobody. */
static void test_a_file_that_has_gone(void **state)
{
    (void)state;
    struct server *s = server_world_new("models: {}");
    struct folder folder = folder_new();
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    enum handed_source source;
    for (int gone = 0; gone < 2; gone++) {
        snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s%d", folder.path, gone);
        int fd = listen_at((struct sockaddr *)&addr, sizeof(addr));
        handed_add(&s->handed, fd, HANDED_STORED);
        if (gone)
            unlink(addr.sun_path);
        assert_int_equal(handed_take(s, (struct sockaddr *)&addr, &source), gone ? -1 : fd);
        assert_int_equal(fcntl(fd, F_GETFD) < 0, gone);
        if (!gone)
            close(fd);
        unlink(addr.sun_path);
    }
    folder_remove(&folder);
    server_world_free(s);
}

/* ---- prefaces ---- */

#define FILE_BYTES (3 * STREAM_SLAB_BYTES + 17)

struct reader {
    struct stream stream;
    size_t got, stop_at; /* it pauses at each that many; 0: never */
    uint32_t paused;
    bool right, ended, closed;
};

static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i % 251);
}

static void on_data(struct stream *s, const char *data, size_t n)
{
    struct reader *r = container_of(s, struct reader, stream);
    for (size_t i = 0; i < n; i++)
        r->right &= (unsigned char)data[i] == byte_at(r->got + i);
    r->got += n;
    if (r->stop_at && r->got >= r->stop_at * (r->paused + 1)) {
        r->paused++;
        stream_read_stop(s);
    }
}

static void on_end(struct stream *s, int error)
{
    struct reader *r = container_of(s, struct reader, stream);
    assert_int_equal(error, 0);
    r->ended = true;
}

static void on_closed(struct stream *s)
{
    container_of(s, struct reader, stream)->closed = true;
}

static const struct stream_ops ops = {.on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static int write_preface(size_t n)
{
    int fd = memfd_create("preface", MFD_CLOEXEC);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = byte_at(i);
        assert_int_equal(write(fd, &c, 1), 1);
    }
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void open_reader(struct reader *r, struct server *s, int fd, size_t n)
{
    stream_init(&r->stream, &s->hub, true, &ops);
    assert_int_equal(stream_accept(&r->stream, fd), 0);
    stream_preface(&r->stream, write_preface(n));
    r->right = true;
    stream_read_start(&r->stream);
}

static void turn(struct server *s)
{
    uv_run(s->loop, UV_RUN_NOWAIT);
    stream_hub_turn(&s->hub);
}

/* First the file, to its end, then the socket; one after the other where there are several. */
static void test_the_file_comes_first(void **state)
{
    (void)state;
    struct server *s = server_world_new("models: {}");
    struct reader first = {.got = 0}, second = {.got = 0};
    int one[2], two[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, one), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, two), 0);
    unsigned char c = byte_at(FILE_BYTES);
    assert_int_equal(write(one[1], &c, 1), 1);
    open_reader(&first, s, one[0], FILE_BYTES);
    open_reader(&second, s, two[0], 5);
    assert_int_equal(s->hub.prefaces, 2);
    turn(s);
    assert_true(first.got >= FILE_BYTES && second.got == 5);
    assert_int_equal(s->hub.prefaces, 0);
    close(one[1]);
    while (!first.ended)
        turn(s);
    assert_true(first.right && first.got == FILE_BYTES + 1 && second.right && !second.ended);
    stream_close(&first.stream);
    stream_close(&second.stream);
    close(two[1]);
    server_world_free(s);
    assert_true(first.closed && second.closed);
}

/* One whose owner has had enough for now is not waited for. */
static void test_one_that_pauses(void **state)
{
    (void)state;
    struct server *s = server_world_new("models: {}");
    struct reader r = {.stop_at = STREAM_SLAB_BYTES};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    open_reader(&r, s, pair[0], FILE_BYTES);
    for (uint32_t i = 1; r.got < FILE_BYTES; i++) {
        assert_int_equal(s->hub.prefaces, 1);
        turn(s);
        if (r.got == FILE_BYTES)
            break;
        assert_int_equal(r.paused, i);
        assert_int_equal(s->hub.prefaces, 0);
        turn(s);
        assert_int_equal(r.paused, i);
        stream_read_start(&r.stream);
    }
    assert_true(r.right);
    stream_close(&r.stream); /* in its middle, as far as it knows */
    close(pair[1]);
    server_world_free(s);
    assert_true(r.closed);
}

static void test_closed_before_it_is_read(void **state)
{
    (void)state;
    struct server *s = server_world_new("models: {}");
    struct reader r = {.got = 0};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    open_reader(&r, s, pair[0], 100);
    stream_close(&r.stream);
    turn(s);
    turn(s);
    assert_true(r.closed && r.got == 0);
    assert_int_equal(s->hub.prefaces, 0);
    close(pair[1]);
    server_world_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_by_address),
        cmocka_unit_test(test_what_is_none_is_closed),
        cmocka_unit_test(test_more_than_are_kept),
        cmocka_unit_test(test_a_file_that_has_gone),
        cmocka_unit_test(test_the_file_comes_first),
        cmocka_unit_test(test_one_that_pauses),
        cmocka_unit_test(test_closed_before_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
