#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/logout.h"

#define PIECE 1000

struct ends {
    int read, write;
};

static struct ends open_pipe(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    return (struct ends){fds[0], fds[1]};
}

static struct ends open_socket(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    return (struct ends){fds[0], fds[1]};
}

/* All that there is now. */
static void drain(struct ends e, struct buf *got)
{
    char data[65536];
    ssize_t n;
    assert_int_equal(fcntl(e.read, F_SETFL, O_NONBLOCK), 0);
    while ((n = read(e.read, data, sizeof(data))) > 0)
        buf_append(got, data, (size_t)n);
}

/* Nobody reads: whole pieces wait, then they are dropped; the first that were taken all come. */
static void check_nobody_reads(struct ends e, bool asks)
{
    struct logout o;
    struct buf got = {0};
    char piece[PIECE];
    uint64_t taken = 0, dropped = 0;
    logout_init(&o, e.write);
    assert_true(logout_write(&o, "first\n", 6));
    if (asks && o.own_fd >= 0) { /* as where /proc leads nowhere */
        close(o.own_fd);
        o.own_fd = -1;
    }
    for (int i = 0; i < 3000; i++) {
        memset(piece, 'a' + i % 26, sizeof(piece));
        if (logout_write(&o, piece, sizeof(piece)))
            taken++;
        else
            dropped++;
    }
    assert_int_equal(fcntl(e.write, F_GETFL) & O_NONBLOCK, 0);
    assert_true(taken > LOG_WAITING_BYTES_MAX / PIECE && dropped > 0);
    assert_int_equal(o.dropped, dropped);
    assert_true(logout_waiting(&o) <= LOG_WAITING_BYTES_MAX);
    drain(e, &got);
    while (logout_waiting(&o)) {
        logout_flush(&o);
        drain(e, &got);
    }
    assert_true(logout_write(&o, "last\n", 5));
    drain(e, &got);
    assert_int_equal(got.len, 6 + taken * PIECE + 5);
    for (uint64_t i = 0; i < taken; i++)
        assert_int_equal(got.data[6 + i * PIECE], 'a' + (int)(i % 26));
    assert_memory_equal(got.data + got.len - 5, "last\n", 5);
    buf_fini(&got);
    logout_fini(&o);
    close(e.read);
    close(e.write);
}

static void test_a_pipe_that_nobody_reads(void **state)
{
    (void)state;
    check_nobody_reads(open_pipe(), false);
}

static void test_a_pipe_that_cannot_be_opened_again(void **state)
{
    (void)state;
    check_nobody_reads(open_pipe(), true);
}

static void test_a_socket_that_nobody_reads(void **state)
{
    (void)state;
    check_nobody_reads(open_socket(), false);
}

/* As a shell's > log: what others have written to the open file stays, and so does its end. */
static void test_a_file_is_written_where_it_stands(void **state)
{
    (void)state;
    char path[] = "/tmp/wharf-logout-XXXXXX", got[32] = "";
    int fd = mkstemp(path);
    struct logout o;
    assert_true(fd >= 0 && write(fd, "before\n", 7) == 7);
    logout_init(&o, fd);
    assert_true(logout_write(&o, "one\n", 4));
    assert_int_equal(write(fd, "between\n", 8), 8);
    assert_true(logout_write(&o, "two\n", 4));
    assert_int_equal(pread(fd, got, sizeof(got) - 1, 0), 23);
    assert_string_equal(got, "before\none\nbetween\ntwo\n");
    assert_false(logout_is_terminal(&o));
    logout_fini(&o);
    close(fd);
    unlink(path);
}

static void test_what_cannot_be_written_is_counted(void **state)
{
    (void)state;
    struct logout o;
    int fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    logout_init(&o, fd);
    assert_false(logout_write(&o, "x\n", 2));
    assert_int_equal(o.dropped, 1);
    assert_int_equal(logout_waiting(&o), 0);
    logout_fini(&o);
    close(fd);
}

/* As on a disk that is full for a while. */
static void test_a_line_that_was_cut_is_ended_before_the_next(void **state)
{
    (void)state;
    struct logout o;
    struct rlimit before, small;
    char path[] = "/tmp/wharf-test-logout-XXXXXX", text[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){10, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    logout_init(&o, fd);
    assert_true(logout_write(&o, "first\n", 6));
    assert_false(logout_write(&o, "second\n", 7));
    assert_false(logout_write(&o, "third\n", 6));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(logout_write(&o, "fourth\n", 7));
    assert_int_equal(o.dropped, 2);
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal(text, "first\nseco\nfourth\n");
    logout_fini(&o);
    close(fd);
    unlink(path);
    signal(SIGXFSZ, SIG_DFL);
}

static void test_one_that_is_never_read_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    struct ends e = open_pipe();
    struct logout o;
    static char much[200 * 1000];
    memset(much, 'x', sizeof(much));
    logout_init(&o, e.write);
    assert_true(logout_write(&o, much, sizeof(much)));
    logout_finish(&o, 20);
    assert_true(logout_waiting(&o) > 0);
    logout_forget(&o);
    assert_int_equal(logout_waiting(&o), 0);
    logout_fini(&o);
    close(e.read);
    close(e.write);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pipe_that_nobody_reads),
        cmocka_unit_test(test_a_pipe_that_cannot_be_opened_again),
        cmocka_unit_test(test_a_socket_that_nobody_reads),
        cmocka_unit_test(test_a_file_is_written_where_it_stands),
        cmocka_unit_test(test_what_cannot_be_written_is_counted),
        cmocka_unit_test(test_a_line_that_was_cut_is_ended_before_the_next),
        cmocka_unit_test(test_one_that_is_never_read_is_not_waited_for_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
