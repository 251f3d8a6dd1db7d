/* What is not as it should be: told once for each reason, and gone when it is well again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server_world.h"

static void test_life(void **state)
{
    static const uint32_t models[] = {1, 0};
    (void)state;
    struct server *s = server_world_new("models: {a: {cmd: 'x ${PORT}'}, b: {cmd: 'x ${PORT}'}}");
    degraded_clear(s, DEGRADED_GPU, "left"); /* it was well all the time */
    assert_int_equal(s->events.next, 1);
    degraded_set(s, DEGRADED_GPU, "left", "lost", models, 2);
    assert_true(server_world_told(s, "degraded",
                                  "{\"what\":\"gpu\",\"name\":\"left\",\"reason\":\"lost\","
                                  "\"models\":[\"b\",\"a\"]"));
    degraded_set(s, DEGRADED_GPU, "right", "lost", NULL, 0);
    degraded_set(s, DEGRADED_STORE, "left", "full", NULL, 0);
    assert_int_equal(s->degraded.count, 3);
    assert_int_equal(s->events.next, 4);
    degraded_set(s, DEGRADED_GPU, "left", "lost", NULL, 0); /* the same */
    assert_int_equal(s->events.next, 4);
    assert_int_equal(s->degraded.items[0].model_count, 0);
    /* Another reason, out of its own. */
    uint64_t since = s->degraded.items[0].since_ns;
    degraded_set(s, DEGRADED_GPU, "left", s->degraded.items[0].reason + 1, NULL, 0);
    assert_true(server_world_told(s, "degraded", "\"reason\":\"ost\""));
    assert_int_equal(s->degraded.items[0].since_ns, since);
    degraded_clear(s, DEGRADED_GPU, "left");
    assert_true(server_world_told(s, "recovered", "\"name\":\"left\""));
    assert_int_equal(s->degraded.count, 2);
    assert_string_equal(s->degraded.items[0].name, "right");
    assert_int_equal(s->degraded.items[1].what, DEGRADED_STORE);
    server_world_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_life)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
