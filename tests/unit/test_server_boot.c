/* The gate between the parts that find out what there is and those that act on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server_world.h"

static char started[64];
static uint64_t one_ns, two_ns; /* for how long they hold it */

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
    boot_hold(s, "one", one_ns);
    note("1");
    return 0;
}

static int hold_two(struct server *s, struct err *err)
{
    (void)err;
    boot_hold(s, "two", two_ns);
    boot_hold(s, "three", NS_PER_MS);
    boot_release(s, "three");
    note("2");
    return 0;
}

static int start_z(struct server *s, struct err *err)
{
    (void)err;
    boot_hold(s, "too late", NS_PER_S);
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
    one_ns = two_ns = 3600 * NS_PER_S;
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

/* Each for as long as he said, whatever the others said. */
static void test_nobody_is_waited_for_for_long(void **state)
{
    static const struct {
        uint64_t one_ms, two_ms, wanted_ms;
        bool released; /* the first */
    } cases[] = {{3600000, 60, 60, true}, {60, 20, 60, false}, {20, 60, 60, false}};
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct server *s = world();
        one_ns = cases[i].one_ms * NS_PER_MS;
        two_ns = cases[i].two_ms * NS_PER_MS;
        uint64_t from = uv_hrtime();
        assert_int_equal(begin(s, held, countof(held)), 0);
        if (cases[i].released)
            boot_release(s, "one");
        run_until(s, "a12z");
        assert_true(uv_hrtime() - from >= cases[i].wanted_ms * NS_PER_MS);
        boot_release(s, "two");
        uv_run(s->loop, UV_RUN_NOWAIT);
        assert_string_equal(started, "a12z");
        server_world_free(s);
    }
}

/* Somebody finds, while others are waited for, that he has something to find out as well. */
static void test_held_meanwhile(void **state)
{
    (void)state;
    struct server *s = world();
    assert_int_equal(begin(s, held, countof(held)), 0);
    boot_release(s, "one");
    boot_hold(s, "four", 20 * NS_PER_MS);
    boot_release(s, "two");
    uint64_t from = uv_hrtime();
    run_until(s, "a12z");
    assert_true(uv_hrtime() - from >= 10 * NS_PER_MS);
    server_world_free(s);
    s = world(); /* after the last has let go, but before anything has started */
    assert_int_equal(begin(s, held, countof(held)), 0);
    boot_release(s, "one");
    boot_release(s, "two");
    boot_hold(s, "four", 3600 * NS_PER_S);
    uv_run(s->loop, UV_RUN_NOWAIT);
    assert_string_equal(started, "a12");
    boot_release(s, "four");
    run_until(s, "a12z");
    server_world_free(s);
}

/* What comes in before the gate waits behind it. */
static void test_the_daemons_own_gate(void **state)
{
    const char *const before[] = {"devices", "listeners", "probe"}, *const behind[] = {"preload"};
    uint32_t gate = server_part_count, found = 0;
    (void)state;
    for (uint32_t i = 0; i < server_part_count; i++) {
        if (server_parts[i].gate)
            gate = i;
        for (size_t k = 0; k < countof(before); k++)
            found += gate == server_part_count && strcmp(server_parts[i].name, before[k]) == 0;
        for (size_t k = 0; k < countof(behind); k++)
            found += gate < i && strcmp(server_parts[i].name, behind[k]) == 0;
    }
    assert_int_equal(found, countof(before) + countof(behind));
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
        cmocka_unit_test(test_held_meanwhile),
        cmocka_unit_test(test_the_daemons_own_gate),
        cmocka_unit_test(test_a_part_that_fails),
        cmocka_unit_test(test_stopped_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
