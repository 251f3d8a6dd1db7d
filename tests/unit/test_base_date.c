#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/date.h"
#include "base/pure/check.h"

#define S 1000000000ULL

static const struct {
    const char *text;
    uint64_t want;
} good[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"2026-03-04T15:06:07Z", 1772636767 * S},
    {"2026-03-04T15:06:07.5Z", 1772636767 * S + S / 2},
    {"2026-03-04T15:06:07.123456789Z", 1772636767 * S + 123456789},
    {"2026-03-04T15:06:07.1234567891234Z", 1772636767 * S + 123456789},
    {"2026-03-04T15:06:07+00:00", 1772636767 * S},
    {"2026-03-04T11:36:07-03:30", 1772636767 * S},
    {"2026-03-04T17:06:07.25+02:00", 1772636767 * S + S / 4},
    {"2024-02-29T00:00:00Z", 1709164800 * S},
};

static const char *const bad[] = {
    "",
    "yesterday",
    "2026-03-04",
    "2026-03-04T15:06:07",
    "2026-03-04 15:06:07Z",
    "2026-03-04T15:06:07z",
    "2026-03-04T15:06:07.Z",
    "2026-03-04T15:06:07Z ",
    "2026-03-04T15:06:07+2:00",
    "2026-03-04T15:06:07+24:00",
    "2026-03-04T24:06:07Z",
    "2026-13-04T15:06:07Z",
    "2026-02-29T15:06:07Z",
    "2026-04-31T15:06:07Z",
    "2026-00-04T15:06:07Z",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00+01:00",
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(good); i++) {
        uint64_t ns = 1;
        if (!date_parse(good[i].text, &ns) || ns != good[i].want)
            fail_msg("%s: %llu, not %llu", good[i].text, (unsigned long long)ns,
                     (unsigned long long)good[i].want);
    }
    for (size_t i = 0; i < countof(bad); i++) {
        uint64_t ns = 77;
        if (date_parse(bad[i], &ns) || ns != 77)
            fail_msg("'%s' was taken as %llu", bad[i], (unsigned long long)ns);
    }
}

static void test_seconds(void **state)
{
    int64_t s = 77;
    (void)state;
    for (size_t i = 0; i < countof(good); i++) {
        assert_true(date_parse_seconds(good[i].text, &s));
        assert_int_equal(s, good[i].want / S);
    }
    assert_true(date_parse_seconds("1969-12-31T23:59:58.9Z", &s));
    assert_int_equal(s, -2);
    /* What Go's programs send for no time at all. */
    assert_true(date_parse_seconds("0001-01-01T00:00:00Z", &s));
    assert_int_equal(s, -62135596800);
    assert_false(date_parse_seconds("yesterday", &s));
    assert_int_equal(s, -62135596800);
}

static void test_format(void **state)
{
    char text[DATE_TEXT_MAX];
    uint64_t ns;
    (void)state;
    assert_string_equal(date_format(1772636767 * S + 80900000, text),
                        "2026-03-04T15:06:07.080900000Z");
    assert_true(date_parse(text, &ns));
    assert_int_equal(ns, 1772636767 * S + 80900000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
