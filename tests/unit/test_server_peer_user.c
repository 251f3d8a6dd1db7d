/* Whose connection it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pure/check.h"
#include "server/net/peer_user.h"

/* Two ends of a connection within this machine; false: it has no such addresses. */
static bool connect_at(int family, int ret_fds[2])
{
    struct sockaddr_storage a = {.ss_family = (sa_family_t)family};
    socklen_t n = sizeof(a);
    if (family == AF_INET6)
        ((struct sockaddr_in6 *)&a)->sin6_addr = in6addr_loopback;
    else
        ((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(family, SOCK_STREAM, 0);
    bool ok = listener >= 0 && bind(listener, (struct sockaddr *)&a, n) == 0 &&
              listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&a, &n) == 0;
    ret_fds[0] = socket(family, SOCK_STREAM, 0);
    ok = ok && connect(ret_fds[0], (struct sockaddr *)&a, n) == 0;
    ret_fds[1] = ok ? accept(listener, NULL, NULL) : -1;
    close(listener);
    return ret_fds[1] >= 0;
}

static void check_ends(int family)
{
    int fds[2];
    if (!connect_at(family, fds)) {
        assert_int_equal(family, AF_INET6);
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct peer_user u = peer_user_of_tcp(fds[i]);
        assert_true(u.known);
        assert_int_equal(u.uid, geteuid());
        assert_int_equal(u.pid, 0);
        struct stat st;
        assert_int_equal(fstat(fds[1 - i], &st), 0);
        assert_int_equal(u.inode, st.st_ino);
    }
    /* What is left of a socket that was closed is nobody's, and not root's. */
    close(fds[0]);
    assert_false(peer_user_of_tcp(fds[1]).known);
    close(fds[1]);
}

static void test_tcp(void **state)
{
    (void)state;
    check_ends(AF_INET);
    check_ends(AF_INET6);
}

static void test_unix(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct peer_user u = peer_user_of_unix(fds[0]);
    assert_true(u.known && peer_user_is_owner(u));
    assert_int_equal(u.uid, geteuid());
    assert_int_equal(u.pid, getpid());
    assert_false(peer_user_of_tcp(fds[0]).known);
    close(fds[0]);
    close(fds[1]);
    assert_false(peer_user_of_unix(-1).known);
}

static void test_table(void **state)
{
    (void)state;
    static const char lines[] =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        "
        "0 1\n"
        "   1: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        "
        "0 2\n"
        "   2: 0100007F:C001 0100007F:1F90 06 00000000:00000000 00:00000000 00000000     0        "
        "0 3\n"
        "   3: 0100007F:C001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        "
        "0 3\n";
    struct sockaddr_storage here = {0}, there = {0};
    struct sockaddr_in *a = (struct sockaddr_in *)&here, *b = (struct sockaddr_in *)&there;
    struct peer_user user = {.uid = 7};
    a->sin_family = b->sin_family = AF_INET;
    a->sin_addr.s_addr = b->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->sin_port = htons(0xC001);
    b->sin_port = htons(0x1F90);
    FILE *f = fmemopen((void *)(uintptr_t)lines, sizeof(lines) - 1, "r");
    assert_true(peer_user_scan(f, &here, &there, &user));
    assert_true(user.known);
    assert_int_equal(user.uid, 1000);
    assert_int_equal(user.inode, 3);
    rewind(f);
    a->sin_port = htons(0xC002);
    assert_false(peer_user_scan(f, &here, &there, &user));
    assert_int_equal(user.inode, 3);
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tcp), cmocka_unit_test(test_unix),
                                       cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
