#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/journal.h"

struct journal {
    char folder[32], path[64];
    int fd, sender;
};

static int setup(void **state)
{
    static struct journal j;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    j = (struct journal){.folder = "/tmp/wharf-journal-XXXXXX", .sender = -1};
    assert_non_null(mkdtemp(j.folder));
    snprintf(j.path, sizeof(j.path), "%s/socket", j.folder);
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", j.path);
    j.fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(j.fd, (struct sockaddr *)&name, sizeof(name)), 0);
    *state = &j;
    return 0;
}

static int teardown(void **state)
{
    struct journal *j = *state;
    close(j->fd);
    close(j->sender);
    unlink(j->path);
    rmdir(j->folder);
    return 0;
}

/* The descriptor that came with it; -1: none. */
static int receive(struct journal *j, char *data, size_t size, ssize_t *ret_n)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec piece = {data, size};
    struct msghdr m = {.msg_iov = &piece,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    int fd = -1;
    *ret_n = recvmsg(j->fd, &m, MSG_DONTWAIT);
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (*ret_n >= 0 && c)
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    return fd;
}

static void test_an_entry_is_a_datagram(void **state)
{
    struct journal *j = *state;
    char got[64];
    ssize_t n;
    assert_int_equal(journal_send(j->path, &j->sender, "MESSAGE=a\n", 10), 0);
    assert_int_equal(journal_send(j->path, &j->sender, "MESSAGE=b\n", 10), 0);
    assert_int_equal(receive(j, got, sizeof(got), &n), -1);
    assert_int_equal(n, 10);
    assert_memory_equal(got, "MESSAGE=a\n", 10);
    assert_int_equal(receive(j, got, sizeof(got), &n), -1);
    assert_memory_equal(got, "MESSAGE=b\n", 10);
}

static void test_what_is_too_large_comes_as_a_sealed_file(void **state)
{
    struct journal *j = *state;
    const size_t size = 4 * 1024 * 1024;
    char *entry = malloc(size), *got = malloc(size), small[8];
    ssize_t n;
    assert_true(entry && got);
    for (size_t i = 0; i < size; i++)
        entry[i] = (char)(i * 7 + i / 251);
    assert_int_equal(journal_send(j->path, &j->sender, entry, size), 0);
    int fd = receive(j, small, sizeof(small), &n);
    assert_int_equal(n, 0);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, got, size, 0), size);
    assert_memory_equal(got, entry, size);
    assert_int_equal(fcntl(fd, F_GET_SEALS),
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    close(fd);
    free(entry);
    free(got);
}

static void test_one_that_is_busy_is_not_waited_for(void **state)
{
    struct journal *j = *state;
    char got[64];
    ssize_t n;
    int rc = 0, sent = 0;
    while ((rc = journal_send(j->path, &j->sender, "MESSAGE=a\n", 10)) == 0)
        sent++;
    assert_int_equal(rc, -EAGAIN);
    assert_true(sent > 0);
    receive(j, got, sizeof(got), &n);
    assert_int_equal(n, 10);
    assert_int_equal(journal_send(j->path, &j->sender, "MESSAGE=b\n", 10), 0);
}

static void test_one_that_is_gone_and_comes_back(void **state)
{
    struct journal *j = *state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    assert_int_equal(journal_send(j->path, &j->sender, "MESSAGE=a\n", 10), 0);
    close(j->fd);
    assert_int_equal(journal_send(j->path, &j->sender, "MESSAGE=b\n", 10), -ECONNREFUSED);
    unlink(j->path);
    assert_int_equal(journal_send(j->path, &j->sender, "MESSAGE=c\n", 10), -ENOENT);
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", j->path);
    j->fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(j->fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(journal_send(j->path, &j->sender, "MESSAGE=d\n", 10), 0);
}

static void test_whether_a_descriptor_leads_there(void **state)
{
    struct journal *j = *state;
    struct stat st;
    char stream[64];
    assert_int_equal(fstat(j->fd, &st), 0);
    unsetenv("JOURNAL_STREAM");
    assert_false(journal_is(j->fd));
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_true(journal_is(j->fd));
    assert_false(journal_is(STDIN_FILENO));
    assert_false(journal_is(-1));
    static const char *const wrong[] = {"", "x", "1", "1:", ":", "1:2:3", "-1:x"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        setenv("JOURNAL_STREAM", wrong[i], 1);
        assert_false(journal_is(j->fd));
    }
    unsetenv("JOURNAL_STREAM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_entry_is_a_datagram, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_too_large_comes_as_a_sealed_file, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_one_that_is_busy_is_not_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_that_is_gone_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whether_a_descriptor_leads_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
