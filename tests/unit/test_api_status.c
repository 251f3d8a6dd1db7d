/* The servers that models are left to, as the status shows them: by the numbers that the core knows
 * them by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/json.h"
#include "server_world.h"

/* Two servers, with a gap between their numbers. */
static bool numbered(struct server *s, uint32_t number, struct resident_backend *ret)
{
    static const uint32_t models[] = {1, 0};
    (void)s;
    if (number == 1)
        *ret = (struct resident_backend){"http://near:1", "it hangs", models, 2, false};
    if (number == 8)
        *ret = (struct resident_backend){"http://far:2", "it hangs", NULL, 0, false};
    if (number == 3)
        *ret = (struct resident_backend){.name = "http://left:3", .unused = true};
    return number == 1 || number == 3 || number == 8;
}

static void say_more(const struct server *s, uint32_t number, struct buf *b)
{
    (void)s;
    buf_printf(b, ",\"token\":%u", number);
}

static const struct resident_ops plain = {.word = "plain"},
                                 by_number = {.word = "number", .backend = numbered},
                                 with_more = {
                                     .word = "more", .backend = numbered, .status = say_more};

static void expect(struct server *s, const struct resident_ops *const *kinds, uint32_t count,
                   const char *wanted)
{
    struct buf got = {0};
    s->residents.kinds = kinds;
    s->residents.kind_count = count;
    api_put_backends(s, &got);
    assert_string_equal(got.data, wanted);
    buf_fini(&got);
}

static void test_backends(void **state)
{
    static const struct resident_ops *const none[] = {NULL, &plain},
                                            *const numbers[] = {&by_number},
                                            *const all[] = {&plain, &with_more, NULL};
    (void)state;
    struct server *s = server_world_new("models: {a: {cmd: 'x ${PORT}'}, b: {cmd: 'x ${PORT}'}}");
    expect(s, none, 2, "\"backends\":[]");
#define NEAR(up, reason)                                                                           \
    "{\"kind\":\"number\",\"name\":\"http://near:1\",\"up\":" up ",\"reason\":" reason             \
    ",\"models\":[\"b\",\"a\"]}"
#define FAR                                                                                        \
    "{\"kind\":\"number\",\"name\":\"http://far:2\",\"up\":true,\"reason\":null,\"models\":[]}"
    expect(s, numbers, 1, "\"backends\":[" NEAR("true", "null") "," FAR "]");
    degraded_set(s, DEGRADED_BACKEND, "http://near:1", "no route", NULL, 0);
    expect(s, numbers, 1, "\"backends\":[" NEAR("false", "\"no route\"") "," FAR "]");
    expect(s, all, 3,
           "\"backends\":[{\"kind\":\"more\",\"name\":\"http://near:1\",\"up\":false,\"reason\":"
           "\"no route\",\"models\":[\"b\",\"a\"],\"token\":1},{\"kind\":\"more\",\"name\":"
           "\"http://far:2\",\"up\":true,\"reason\":null,\"models\":[],\"token\":8}]");
    degraded_clear(s, DEGRADED_BACKEND, "http://near:1");
    expect(s, numbers, 1, "\"backends\":[" NEAR("true", "null") "," FAR "]");
    server_world_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_backends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
