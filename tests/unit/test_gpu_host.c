/* What Linux says about the machine: each file's text, and a whole tree of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "gpu/host.h"

static struct host_reading reading, earlier;

static int clear(void **state)
{
    (void)state;
    memset(&reading, 0, sizeof(reading));
    memset(&earlier, 0, sizeof(earlier));
    return 0;
}

static void test_stat(void **state)
{
    (void)state;
    host_parse_stat("cpu  9 9 9 9 9 9 9 9 9 9\n"
                    "cpu0 100 10 20 700 30 5 6 7 50 4\n"
                    "cpu3 1 0 0 9\n"
                    "intr 12 cpu1 5\nctxt 5\ncpufreq 1 2 3 4\n",
                    &reading);
    assert_int_equal(reading.core_count, 2);
    assert_int_equal(reading.cores[0].total_ticks, 878);
    assert_int_equal(reading.cores[0].busy_ticks, 148);
    assert_int_equal(reading.cores[1].total_ticks, 10);
    assert_int_equal(reading.cores[1].busy_ticks, 1);
    host_parse_stat("", &reading);
    assert_int_equal(reading.core_count, 0);
}

static void test_busy(void **state)
{
    static const struct {
        struct host_core before, now;
        uint32_t want;
    } rows[] = {
        {{0, 0}, {1, 3}, 3333},         {{10, 100}, {60, 200}, 5000}, {{10, 100}, {10, 200}, 0},
        {{10, 100}, {110, 200}, 10000}, {{10, 100}, {10, 100}, 0},    {{50, 100}, {40, 200}, 0},
        {{50, 300}, {60, 200}, 0},
    };
    (void)state;
    earlier.core_count = reading.core_count = 1;
    for (size_t i = 0; i < countof(rows); i++) {
        earlier.cores[0] = rows[i].before;
        reading.cores[0] = rows[i].now;
        uint32_t got = host_core_busy(&earlier, &reading, 0);
        if (got != rows[i].want)
            fail_msg("row %zu: %u, not %u", i, got, rows[i].want);
    }
    /* Cores went or came: the earlier reading says nothing about them. */
    reading.cores[0] = (struct host_core){25, 100};
    earlier.core_count = 2;
    assert_int_equal(host_core_busy(&earlier, &reading, 0), 2500);
}

static void test_meminfo(void **state)
{
    (void)state;
    host_parse_meminfo("MemTotal:       1000 kB\nMemFree:         200 kB\n"
                       "MemAvailable:    600 kB\nBuffers:  5 kB\nSwapCached: 1 kB\n"
                       "SwapTotal:       50 kB\nSwapFree:        20 kB\n",
                       &reading);
    assert_true(reading.memory_known);
    assert_int_equal(reading.memory_total_bytes, 1000 * 1024);
    assert_int_equal(reading.memory_free_bytes, 200 * 1024);
    assert_int_equal(reading.memory_used_bytes, 400 * 1024);
    assert_int_equal(reading.swap_total_bytes, 50 * 1024);
    assert_int_equal(reading.swap_used_bytes, 30 * 1024);
    host_parse_meminfo("MemTotal: 10 kB\nMemFree: 4 kB\n", &reading);
    assert_int_equal(reading.memory_used_bytes, 6 * 1024);
    assert_int_equal(reading.swap_total_bytes, 0);
    host_parse_meminfo("MemTotal: much\nMemFree: 4 kB\n", &reading);
    assert_false(reading.memory_known);
}

static void test_loadavg(void **state)
{
    (void)state;
    host_parse_loadavg("4.71 17.06 0.15 3/99 14317\n", &reading);
    assert_true(reading.load_known);
    assert_int_equal(reading.load_hundredths[0], 471);
    assert_int_equal(reading.load_hundredths[1], 1706);
    assert_int_equal(reading.load_hundredths[2], 15);
    host_parse_loadavg("none", &reading);
    assert_false(reading.load_known);
}

static void test_net_dev(void **state)
{
    (void)state;
    host_parse_net_dev(
        "Inter-|   Receive                      |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
        "    lo: 7974 57 0 0 0 0 0 0 7974 57 0 0 0 0 0 0\n"
        "  eth0: 123456789012 2 3 4 5 6 7 8 42 10 11 12 13 14 15 16\n"
        "wlp0s20f3:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
        "broken: 1 2\n",
        &reading);
    assert_int_equal(reading.net_count, 2);
    assert_string_equal(reading.nets[0].name, "eth0");
    assert_int_equal(reading.nets[0].received_bytes, 123456789012);
    assert_int_equal(reading.nets[0].sent_bytes, 42);
    assert_string_equal(reading.nets[1].name, "wlp0s20f3");
    assert_int_equal(reading.nets[1].sent_bytes, 9);
}

static void test_nothing_there_is_unknown(void **state)
{
    (void)state;
    host_read("/nonexistent", &reading);
    assert_int_equal(reading.core_count, 0);
    assert_int_equal(reading.net_count, 0);
    assert_false(reading.memory_known);
    assert_false(reading.load_known);
}

static void test_this_machine(void **state)
{
    (void)state;
    host_read("", &reading);
    assert_true(reading.core_count > 0);
    assert_true(reading.memory_known);
    assert_true(reading.memory_used_bytes <= reading.memory_total_bytes);
    assert_true(reading.load_known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_stat, clear),
        cmocka_unit_test_setup(test_busy, clear),
        cmocka_unit_test_setup(test_meminfo, clear),
        cmocka_unit_test_setup(test_loadavg, clear),
        cmocka_unit_test_setup(test_net_dev, clear),
        cmocka_unit_test_setup(test_nothing_there_is_unknown, clear),
        cmocka_unit_test_setup(test_this_machine, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
