/* What Host, Origin and Sec-Fetch-Site say of a web page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/pure/check.h"
#include "config/access.h"
#include "server/net/sites.h"

static struct site_text text(const char *s)
{
    return s ? (struct site_text){s, strlen(s)} : (struct site_text){0};
}

static struct config_access access_of(char **hosts, uint32_t host_count, char **origins,
                                      uint32_t origin_count)
{
    return (struct config_access){.hosts = {.items = hosts, .count = host_count},
                                  .origins = {.items = origins, .count = origin_count},
                                  .origins_given = origins != NULL};
}

static void test_hosts(void **state)
{
    (void)state;
    char listed[] = "llm.example";
    char *hosts[] = {listed};
    const struct config_access a = access_of(hosts, 1, NULL, 0);
    static const struct {
        const char *host;
        bool known;
    } rows[] = {
        {NULL, true},
        {"", true},
        {"127.0.0.1", true},
        {"127.0.0.1:8080", true},
        {"192.168.1.2:8080", true},
        {"[::1]", true},
        {"[fe80::1]:80", true},
        {"localhost", true},
        {"LocalHost:8080", true},
        {"localhost.", true},
        {"a.localhost", true},
        {"llm.home", true},
        {"llm.LAN:9", true},
        {"box.local", true},
        {"llm.home.arpa", true},
        {"tower", true},
        {"tower:8080", true},
        {"my.machine.example", true},
        {"llm.example", true},
        {"LLM.Example:443", true},
        {"llm.example.", true},
        {"evil.example", false},
        {"xllm.example", false},
        {"llm.example.evil.example", false},
        {"localhost.evil.example", false},
        {"127.0.0.1.evil.example", false},
        {"127.1.evil", false},
        {"home.evil.example:8080", false},
        {"[::1].evil.example", false},
        {"[::1", false},
        {"[evil.example]", false},
        {".", false},
        {":8080", false},
        {"..", false},
    };
    for (size_t i = 0; i < countof(rows); i++)
        if (sites_know_host(&a, "my.machine.example", text(rows[i].host)) != rows[i].known)
            fail_msg("'%s' should be %s", rows[i].host, rows[i].known ? "known" : "unknown");
    char longer[400];
    memset(longer, 'a', sizeof(longer));
    assert_false(sites_know_host(&a, "", (struct site_text){longer, sizeof(longer)}));
}

static void test_origins(void **state)
{
    (void)state;
    char chat[] = "https://chat.example", all[] = "*";
    char *one[] = {chat}, *both[] = {all, chat}, *none[] = {NULL};
    const struct config_access any = access_of(NULL, 0, NULL, 0),
                               closed = access_of(NULL, 0, none, 0),
                               listed = access_of(NULL, 0, one, 1),
                               star = access_of(NULL, 0, both, 2);
    assert_int_equal(sites_trust(&any, text("https://x.example")), SITE_MODELS);
    assert_int_equal(sites_trust(&closed, text("https://x.example")), SITE_NONE);
    assert_int_equal(sites_trust(&listed, text("https://x.example")), SITE_NONE);
    assert_int_equal(sites_trust(&listed, text("https://CHAT.example")), SITE_ALL);
    assert_int_equal(sites_trust(&listed, text("https://chat.example:8443")), SITE_NONE);
    assert_int_equal(sites_trust(&listed, text("http://chat.example")), SITE_NONE);
    assert_int_equal(sites_trust(&listed, text(NULL)), SITE_NONE);
    assert_int_equal(sites_trust(&star, text("null")), SITE_MODELS);
    assert_int_equal(sites_trust(&star, text("https://chat.example")), SITE_ALL);
}

static void test_cross(void **state)
{
    (void)state;
    static const struct {
        const char *site, *origin, *host;
        bool cross;
    } rows[] = {
        {NULL, NULL, "h", false}, /* no browser, or a GET to a plain address */
        {"same-origin", "https://elsewhere", "h", false},
        {"none", NULL, "h", false},
        {"None", NULL, "h", false},
        {"cross-site", NULL, "h", true},
        {"same-site", NULL, "h", true},
        {"", NULL, "h", true},
        {NULL, "http://h:8080", "h:8080", false},
        {NULL, "http://H:8080", "h:8080", false},
        {NULL, "http://h", "h:8080", true},
        {NULL, "http://xh:8080", "h:8080", true},
        {NULL, "null", "h", true},
        {NULL, "", "h", true},
        {NULL, "://", "", true},
        {NULL, "http://h", NULL, true},
    };
    for (size_t i = 0; i < countof(rows); i++)
        if (sites_cross(text(rows[i].site), text(rows[i].origin), text(rows[i].host)) !=
            rows[i].cross)
            fail_msg("row %zu should be %d", i, rows[i].cross);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hosts), cmocka_unit_test(test_origins),
                                       cmocka_unit_test(test_cross)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
