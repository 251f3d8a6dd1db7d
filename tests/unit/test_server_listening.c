/* Which process takes connections at an address, and which descend from one: as /proc tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/pure/check.h"
#include "server/process/listening.h"
#include "server/process/proctree.h"

static struct sockaddr_storage address_of(const char *text, uint16_t port)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *in4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
    if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
    }
    return a;
}

/* Listens there, at a port of the kernel's choice; -1: this machine cannot. */
static int listen_at(const char *text, uint16_t *ret_port)
{
    struct sockaddr_storage a = address_of(text, 0);
    socklen_t n = sizeof(a);
    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return -1;
    *ret_port = ntohs(((struct sockaddr_in *)&a)->sin_port);
    return fd;
}

static void test_who_listens(void **state)
{
    (void)state;
    static const struct {
        const char *listens, *asked;
        bool found;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1", true},
        {"0.0.0.0", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"::1", "::1", true},
        {"::", "::1", true},
        {"::", "127.0.0.1", true},
        {"::ffff:127.0.0.1", "127.0.0.1", true},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        uint16_t port = 0;
        int fd = listen_at(rows[i].listens, &port);
        if (fd < 0 && strchr(rows[i].listens, ':'))
            continue; /* without IPv6 */
        assert_true(fd >= 0);
        struct sockaddr_storage asked = address_of(rows[i].asked, port);
        pid_t is = listening_process(&asked);
        if (is != (rows[i].found ? getpid() : 0))
            fail_msg("%s, asked for %s: process %d", rows[i].listens, rows[i].asked, (int)is);
        close(fd);
        assert_int_equal(listening_process(&asked), 0);
    }
}

static void test_who_listens_at_a_path(void **state)
{
    (void)state;
    struct sockaddr_storage a = {0};
    struct sockaddr_un *un = (struct sockaddr_un *)&a;
    un->sun_family = AF_UNIX;
    snprintf(un->sun_path, sizeof(un->sun_path), "/tmp/wharf-listening-%d", (int)getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)un, sizeof(*un)), 0);
    assert_int_equal(listening_process(&a), 0); /* bound, and no more */
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(listening_process(&a), getpid());
    assert_true(listening_is_here(&a));
    unlink(un->sun_path);
    close(fd);
}

static void test_whose_address_it_is(void **state)
{
    (void)state;
    struct sockaddr_storage here = address_of("127.0.0.1", 11434);
    struct sockaddr_storage there = address_of("198.51.100.7", 11434);
    assert_true(listening_is_here(&here));
    assert_false(listening_is_here(&there));
}

static bool has(const struct proc_list *l, pid_t pid)
{
    bool there = false;
    for (size_t i = 0; i < l->count; i++)
        there |= l->items[i].pid == pid;
    return there;
}

static void test_who_descends(void **state)
{
    (void)state;
    int ready[2];
    struct proc_list l = {0};
    pid_t grandchild = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        pid_t below = fork();
        if (below > 0 && write(ready[1], &below, sizeof(below)) != sizeof(below))
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
    assert_true(proctree_below(child, &l));
    assert_int_equal(l.count, 2);
    assert_true(has(&l, child) && has(&l, grandchild));
    assert_true(proctree_below(getpid(), &l));
    assert_true(has(&l, getpid()) && has(&l, child) && has(&l, grandchild));
    kill(grandchild, SIGKILL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(proctree_below(child, &l));
    assert_int_equal(l.count, 0);
    proc_list_fini(&l);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_listens),
        cmocka_unit_test(test_who_listens_at_a_path),
        cmocka_unit_test(test_whose_address_it_is),
        cmocka_unit_test(test_who_descends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
