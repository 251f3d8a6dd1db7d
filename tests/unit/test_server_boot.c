/* The gate between the parts that find out what there is and those that act on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server_world.h"

static char started[64];

static void note(const char *what)
{
    size_t n = strlen(started);
    snprintf(started + n, sizeof(started) - n, "%s", what);
}

static int start_a(struct server *s, struct err *err)
{
    (void)s;
    (void)err;
    note("a");
    return 0;
}

static int hold_one(struct server *s, struct err *err)
{
    (void)err;
    boot_hold(s, "one");
    note("1");
    return 0;
}

static int hold_two(struct server *s, struct err *err)
{
    (void)err;
    boot_hold(s, "two");
    boot_hold(s, "three");
    boot_release(s, "three");
    note("2");
    return 0;
}

static int start_z(struct server *s, struct err *err)
{
    (void)err;
    boot_hold(s, "too late");
    note("z");
    return 0;
}

static int fail_start(struct server *s, struct err *err)
{
    (void)s;
    note("!");
    return err_set(err, "it will not");
}

static void on_failed(struct server *s)
{
    (void)s;
    note("failed");
}

static const struct part held[] = {{.name = "a", .start = start_a},
                                   {.name = "one", .start = hold_one},
                                   {.name = "two", .start = hold_two},
                                   {.name = "boot", .gate = true},
                                   {.name = "z", .start = start_z}};
static const struct part failing[] = {{.name = "one", .start = hold_one},
                                      {.name = "boot", .gate = true, .start = start_a},
                                      {.name = "f", .start = fail_start},
                                      {.name = "z", .start = start_z}};
static const struct part early[] = {{.name = "f", .start = fail_start},
                                    {.name = "boot", .gate = true},
                                    {.name = "z", .start = start_z}};

static struct server *world(void)
{
    started[0] = '\0';
    return server_world_new("models: {m: {cmd: 'x ${PORT}'}}");
}

static int begin(struct server *s, const struct part *parts, uint32_t count)
{
    struct err err = {0};
    return boot_start(s, parts, count, on_failed, &err);
}

static void run_until(struct server *s, const char *wanted)
{
    while (strcmp(started, wanted) != 0)
        if (!uv_run(s->loop, UV_RUN_ONCE))
            assert_string_equal(started, wanted);
}

static void test_nobody_holds_it(void **state)
{
    static const struct part free_parts[] = {{.name = "a", .start = start_a},
                                             {.name = "boot", .gate = true},
                                             {.name = "z", .start = start_z}};
    (void)state;
    struct server *s = world();
    assert_int_equal(begin(s, free_parts, countof(free_parts)), 0);
    assert_string_equal(started, "az");
    assert_true(s->boot.over);
    assert_int_equal(s->boot.hold_count, 0);
    server_world_free(s);
}

static void test_the_last_opens_it(void **state)
{
    (void)state;
    struct server *s = world();
    assert_int_equal(begin(s, held, countof(held)), 0);
    assert_string_equal(started, "a12");
    boot_release(s, "one");
    uv_run(s->loop, UV_RUN_NOWAIT);
    assert_string_equal(started, "a12");
    boot_release(s, "nobody");
    boot_release(s, "two");
    assert_string_equal(started, "a12"); /* from the loop, not from here */
    run_until(s, "a12z");
    boot_release(s, "two");
    server_world_free(s);
}

static void test_nobody_is_waited_for_for_long(void **state)
{
    (void)state;
    struct server *s = world();
    uint64_t from = uv_hrtime();
    assert_int_equal(begin(s, held, countof(held)), 0);
    boot_release(s, "one");
    run_until(s, "a12z");
    assert_true(uv_hrtime() - from >= BOOT_NS_MAX - 10 * NS_PER_MS);
    boot_release(s, "two");
    uv_run(s->loop, UV_RUN_NOWAIT);
    assert_string_equal(started, "a12z");
    server_world_free(s);
}

static void test_a_part_that_fails(void **state)
{
    (void)state;
    struct server *s = world();
    assert_int_equal(begin(s, failing, countof(failing)), 0);
    boot_release(s, "one");
    run_until(s, "1a!failed");
    assert_false(uv_run(s->loop, UV_RUN_NOWAIT));
    server_world_free(s);
    s = world();
    assert_int_equal(begin(s, early, countof(early)), -1);
    assert_string_equal(started, "!");
    server_world_free(s);
}

static void test_stopped_meanwhile(void **state)
{
    (void)state;
    struct server *s = world();
    assert_int_equal(begin(s, held, countof(held)), 0);
    boot_stop(s);
    boot_release(s, "one");
    boot_release(s, "two");
    assert_false(uv_run(s->loop, UV_RUN_DEFAULT));
    assert_string_equal(started, "a12");
    server_world_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_holds_it),
        cmocka_unit_test(test_the_last_opens_it),
        cmocka_unit_test(test_nobody_is_waited_for_for_long),
        cmocka_unit_test(test_a_part_that_fails),
        cmocka_unit_test(test_stopped_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
