/* Where a proxy of the configuration is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#include "server/net/origin.h"

static const struct {
    const char *url;
    const char *host, *path, *query;
    const char *addrs; /* what is known without asking anybody */
    bool named;
} good[] = {
    {"http://127.0.0.1:5800", "127.0.0.1:5800", "", "", "127.0.0.1:5800", false},
    {"http://127.0.0.1", "127.0.0.1", "", "", "127.0.0.1:80", false},
    {"http://127.0.0.1:80/", "127.0.0.1", "", "", "127.0.0.1:80", false},
    {"http://localhost:9", "localhost:9", "", "", "127.0.0.1:9 ::1:9", false},
    {"http://[::1]:7/a", "[::1]:7", "/a", "", "::1:7", false},
    {"http://h:7/a/b/", "h:7", "/a/b", "", "", true},
    {"http://h.example//", "h.example", "", "", "", true},
    {"http://h/a?k=v&l=%20", "h", "/a", "k=v&l=%20", "", true},
    {"http://h?k=v", "h", "", "k=v", "", true},
    {"http://h/?", "h", "", "", "", true},
    {"unix:/run/m.sock", "localhost", "", "", "/run/m.sock", false},
};

static void describe(const struct origin *o, char *out, size_t n)
{
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < o->addr_count; i++) {
        const struct sockaddr_storage *a = &o->addrs[i];
        char ip[64] = "";
        const char *sep = i ? " " : "";
        if (a->ss_family == AF_UNIX) {
            snprintf(out, n, "%s", ((const struct sockaddr_un *)a)->sun_path);
            return;
        }
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
        bool four = a->ss_family == AF_INET;
        inet_ntop(a->ss_family, four ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr,
                  ip, sizeof(ip));
        at += (size_t)snprintf(out + at, n - at, "%s%s:%u", sep, ip,
                               ntohs(four ? v4->sin_port : v6->sin6_port));
    }
}

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(good); i++) {
        struct origin *o = origin_new(NULL);
        struct err err = {0};
        char addrs[256];
        if (origin_locate(o, good[i].url, &err) < 0)
            fail_msg("%s: %s", good[i].url, err.text);
        describe(o, addrs, sizeof(addrs));
        if (strcmp(o->host, good[i].host) != 0 || strcmp(o->base_path, good[i].path) != 0 ||
            strcmp(o->base_query, good[i].query) != 0 || strcmp(addrs, good[i].addrs) != 0 ||
            o->named != good[i].named)
            fail_msg("%s: host '%s' path '%s' query '%s' addresses '%s' named %d", good[i].url,
                     o->host, o->base_path, o->base_query, addrs, o->named);
        assert_int_equal(origin_located(o), !good[i].named);
        origin_put(o);
    }
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "",
        "h:1",
        "ftp://h",
        "http://",
        "http://h:0",
        "http://h/a b",
        "http://h?a b",
        "unix:m.sock",
        "http://u:p@h/",
    };
    char longest[400], path[256] = "unix:/";
    (void)state;
    memset(longest, 'h', sizeof(longest));
    memcpy(longest, "http://", 7);
    longest[7 + 254] = '\0';
    memset(path + 6, 'p', 200);
    for (size_t i = 0; i < countof(bad) + 2; i++) {
        struct origin *o = origin_new(NULL);
        struct err err = {0};
        const char *url = i < countof(bad) ? bad[i] : i == countof(bad) ? longest : path;
        if (origin_locate(o, url, &err) == 0)
            fail_msg("'%s' was taken", url);
        assert_true(err.text[0] != '\0');
        origin_put(o);
    }
    longest[7 + 253] = '\0';
    struct origin *o = origin_new(NULL);
    struct err err = {0};
    assert_int_equal(origin_locate(o, longest, &err), 0);
    origin_put(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
