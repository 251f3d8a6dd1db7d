#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/pure/check.h"
#include "base/pure/units.h"

#define REFUSED UINT64_MAX
#define LARGEST (UINT64_MAX >> 1)

static const struct {
    const char *text;
    uint64_t want;
} sizes[] = {
    {"0", 0},
    {"512", 512},
    {"512B", 512},
    {"1K", KIB},
    {"1k", KIB},
    {"1KiB", KIB},
    {"1kib", KIB},
    {"1Ki", KIB},
    {"1KB", 1000},
    {"1kb", 1000},
    {"500MiB", 500 * MIB},
    {"500 MiB", 500 * MIB},
    {"10.5GiB", 10 * GIB + GIB / 2},
    {"24GB", UINT64_C(24000000000)},
    {"24G", 24 * GIB},
    {"0.5TiB", 512 * GIB},
    {"1.0000000009GiB", GIB},
    {"9223372036854775807", LARGEST},
    {"9223372036854775808", REFUSED},
    {"8388607TiB", UINT64_C(8388607) * 1024 * GIB},
    {"8388608TiB", REFUSED},
    {"8388607.9999999999TiB", LARGEST - 1024 * GIB + 1 + UINT64_C(1099511626676)},
    {"99999999999999999999", REFUSED},
    {"", REFUSED},
    {" 1", REFUSED},
    {"1 ", 1},
    {"-1", REFUSED},
    {"+1", REFUSED},
    {"1.", REFUSED},
    {".5", REFUSED},
    {"1.5.5", REFUSED},
    {"1e3", REFUSED},
    {"0x10", REFUSED},
    {"GiB", REFUSED},
    {"1PiB", REFUSED},
    {"1GiBs", REFUSED},
    {"1GG", REFUSED},
    {"1 G iB", REFUSED},
    {"1\n", REFUSED},
    {"inf", REFUSED},
};

static void test_parse_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(sizes); i++) {
        uint64_t got = REFUSED;
        if (units_parse_bytes(sizes[i].text, &got) != (sizes[i].want != REFUSED) ||
            got != sizes[i].want)
            fail_msg("'%s': %llu, not %llu", sizes[i].text, (unsigned long long)got,
                     (unsigned long long)sizes[i].want);
    }
}

static const struct {
    const char *text;
    uint64_t bare_ns, want;
} durations[] = {
    {"300ms", 0, 300 * NS_PER_MS},
    {"10s", 0, 10 * NS_PER_S},
    {"1m30s", 0, 90 * NS_PER_S},
    {"1h1m1s1ms1us1ns", 0, 3661 * NS_PER_S + NS_PER_MS + NS_PER_US + 1},
    {"2h", 0, 7200 * NS_PER_S},
    {"1d", 0, 86400 * NS_PER_S},
    {"1.5s", 0, 1500 * NS_PER_MS},
    {"0s", 0, 0},
    {"0", NS_PER_S, 0},
    {"10", NS_PER_S, 10 * NS_PER_S},
    {"0.25", NS_PER_S, 250 * NS_PER_MS},
    {"10", NS_PER_MS, 10 * NS_PER_MS},
    {"10", 0, REFUSED},
    {"1m30", NS_PER_S, REFUSED},
    {"30 s", 0, REFUSED},
    {"", NS_PER_S, REFUSED},
    {"s", NS_PER_S, REFUSED},
    {"-1s", 0, REFUSED},
    {"1w", 0, REFUSED},
    {"1msx", 0, REFUSED},
    {"1mss", 0, REFUSED},
    {"106751d", 0, UINT64_C(106751) * 86400 * NS_PER_S},
    {"106752d", 0, REFUSED},
    {"106751d24h", 0, REFUSED},
};

static void test_parse_duration(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(durations); i++) {
        uint64_t got = REFUSED;
        bool ok = units_parse_duration(durations[i].text, durations[i].bare_ns, &got);
        if (ok != (durations[i].want != REFUSED) || got != durations[i].want)
            fail_msg("'%s': %llu, not %llu", durations[i].text, (unsigned long long)got,
                     (unsigned long long)durations[i].want);
    }
}

static const struct {
    uint64_t value;
    const char *want;
} size_texts[] = {
    {0, "0B"},           {1023, "1023B"},        {1024, "1KiB"},
    {1536, "1.5KiB"},    {GIB - 1, "1023.9MiB"}, {10 * GIB + GIB / 2, "10.5GiB"},
    {24 * GIB, "24GiB"}, {1024 * GIB, "1TiB"},   {UINT64_MAX, "16383.9PiB"},
};

static void test_format_bytes(void **state)
{
    (void)state;
    char text[UNITS_TEXT_MAX];
    for (size_t i = 0; i < countof(size_texts); i++)
        assert_string_equal(units_format_bytes(size_texts[i].value, text), size_texts[i].want);
}

static const struct {
    uint64_t ns;
    const char *want;
} duration_texts[] = {
    {0, "0us"},
    {999, "0us"},
    {NS_PER_US, "1us"},
    {NS_PER_MS, "1ms"},
    {350 * NS_PER_MS, "350ms"},
    {NS_PER_S - 1, "999ms"},
    {NS_PER_S, "1s"},
    {1500 * NS_PER_MS, "1.5s"},
    {59999 * NS_PER_MS, "59.9s"},
    {60 * NS_PER_S, "1m"},
    {125 * NS_PER_S, "2m5s"},
    {3600 * NS_PER_S, "1h"},
    {3661 * NS_PER_S, "1h1m"},
    {UINT64_MAX, "5124095h34m"},
};

static void test_format_duration(void **state)
{
    (void)state;
    char text[UNITS_TEXT_MAX];
    for (size_t i = 0; i < countof(duration_texts); i++)
        assert_string_equal(units_format_duration(duration_texts[i].ns, text),
                            duration_texts[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_bytes),
        cmocka_unit_test(test_parse_duration),
        cmocka_unit_test(test_format_bytes),
        cmocka_unit_test(test_format_duration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
