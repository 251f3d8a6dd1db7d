/* Wrong keys, by where they come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/pure/check.h"
#include "base/pure/units.h"
#include "server/proxy/guesses.h"

#define WINDOW_NS (GUESSES_WINDOW_S * NS_PER_S)
#define NOW (1000 * NS_PER_S)

static void test_sources(void **state)
{
    (void)state;
    static const struct {
        const char *address, *source;
    } cases[] = {{"127.0.0.1", "127.0.0.1"},
                 {"::1", "::1"},
                 {"::ffff:10.0.0.7", "10.0.0.7"},
                 {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
                 {"2001:db8:1:2::9", "2001:db8:1:2::/64"},
                 {"2001:db8:1:3::9", "2001:db8:1:3::/64"}};
    for (size_t i = 0; i < countof(cases); i++) {
        char source[GUESSES_SOURCE_TEXT_MAX];
        guesses_name_source(cases[i].address, source);
        assert_string_equal(source, cases[i].source);
    }
}

static void test_a_window(void **state)
{
    (void)state;
    static struct guesses g;
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(guesses_add(&g, "a", 3, NOW + i), 0);
    assert_int_equal(guesses_add(&g, "a", 3, NOW + 1), GUESSES_WINDOW_S);
    assert_int_equal(guesses_add(&g, "a", 3, NOW + 30 * NS_PER_S), 30);
    assert_int_equal(guesses_add(&g, "b", 3, NOW + 30 * NS_PER_S), 0);
    assert_int_equal(guesses_add(&g, "a", 3, NOW + WINDOW_NS - 1), 1);
    assert_int_equal(guesses_add(&g, "a", 3, NOW + WINDOW_NS), 0);
}

/* However many there are: who guesses most is not forgotten for those that come once. */
static void test_many_sources(void **state)
{
    (void)state;
    static struct guesses g;
    for (uint32_t i = 0; i < 5; i++)
        (void)guesses_add(&g, "worst", 3, NOW);
    for (uint32_t i = 0; i < 3 * GUESSES_SOURCES_MAX; i++) {
        char source[GUESSES_SOURCE_TEXT_MAX];
        snprintf(source, sizeof(source), "10.0.%u.%u", i / 256, i % 256);
        assert_int_equal(guesses_add(&g, source, 3, NOW + i), 0);
    }
    assert_true(guesses_add(&g, "worst", 3, NOW + NS_PER_S) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sources),
                                       cmocka_unit_test(test_a_window),
                                       cmocka_unit_test(test_many_sources)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
