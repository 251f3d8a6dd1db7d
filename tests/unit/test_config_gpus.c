/* The GPUs of a configuration, and those that the machine turns out to have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/pure/check.h"
#include "base/pure/units.h"
#include "config/config.h"
#include "config_text.h"

static const struct config_gpu_found found[] = {
    {.name = "Fake A",
     .uuid = "GPU-aaaa1111",
     .pci = "0000:01:00.0",
     .memory_bytes = 8 * GIB,
     .number = 0,
     .usable = true},
    {.name = "Fake A",
     .uuid = "GPU-bbbb2222",
     .pci = "0000:41:00.0",
     .memory_bytes = 16 * GIB,
     .number = 1,
     .usable = true},
    {.name = "Other", .uuid = "", .pci = "0001:03:00.0", .memory_bytes = 4 * GIB, .number = 0},
};

/* The places of the entries: a digit each, '-' for none, 's' for a simulated one. */
static const char *places(const struct config *c)
{
    static char text[16];
    for (uint32_t i = 0; i < c->gpu_count; i++)
        text[i] = c->gpus[i].sim                  ? 's'
                  : c->gpus[i].place < UINT32_MAX ? (char)('0' + c->gpus[i].place)
                                                  : '-';
    text[c->gpu_count] = '\0';
    return text;
}

static void test_places(void **state)
{
    static const struct {
        const char *text, *places;
    } cases[] = {
        {"{}", "01"},
        {"gpus: auto", "01"},
        {"gpus: cuda", "01"},
        {"gpus: cpu", ""},
        {"gpus: []", ""},
        {"gpus: [{}]", "0"},
        {"gpus: [{}, {}, {}]", "01-"},
        {"gpus: [{device: 1}, {}]", "10"},
        {"gpus: [{}, {device: 0}]", "10"},
        {"gpus: [{device: gpu-BBBB2222}]", "1"},
        {"gpus: [{device: GPU-bbbb}]", "1"},
        {"gpus: [{device: GPU-bbb}]", "-"},
        {"gpus: [{device: '0000:41:00.0'}]", "1"},
        {"gpus: [{device: '00000000:41:00.0'}]", "1"},
        {"gpus: [{device: '10000000:41:00.0'}]", "-"},
        {"gpus: [{device: '41:00.0'}]", "1"},
        {"gpus: [{device: '0001:03:00.0'}]", "2"},
        {"gpus: [{device: Other}]", "2"},
        {"gpus: [{device: Fake A}, {device: Fake A}]", "01"},
        {"gpus: [{device: 7}, {device: 00000}]", "--"},
        {"gpus: [{sim: {memory: 1GiB}}]", "s"},
        {"gpus: [{sim: {memory: 1GiB}}, {}]", "s0"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct config *c = config_of(cases[i].text);
        config_place_gpus(c, found, countof(found));
        if (strcmp(places(c), cases[i].places) != 0)
            fail_msg("%s: '%s', not '%s'", cases[i].text, places(c), cases[i].places);
        config_free(c);
    }
}

static void test_what_is_filled_in(void **state)
{
    struct config *c = config_of("{}");
    (void)state;
    config_place_gpus(c, found, 1);
    assert_int_equal(c->gpu_count, 1);
    config_place_gpus(c, found, 3);
    assert_int_equal(c->gpu_count, 2);
    assert_string_equal(c->gpus[0].name, "Fake A");
    assert_string_equal(c->gpus[1].name, "Fake A #2");
    assert_int_equal(c->gpus[1].memory_bytes, 16 * GIB);
    assert_int_equal(c->gpus[1].limit_permille, 1000);
    assert_true(c->gpus[1].found);
    assert_int_equal(config_find_gpu(c, "1"), 1);
    assert_int_equal(config_find_gpu(c, "GPU-bbbb2222"), 1);
    assert_int_equal(config_find_gpu(c, "0000:01:00.0"), 0);
    assert_int_equal(config_find_gpu(c, "Fake A #2"), 1);
    assert_int_equal(config_find_gpu(c, "Fake B"), UINT32_MAX);
    config_free(c);
}

/* One whose memory is not known yet does not make bytes count. */
static void test_memory_that_is_not_known(void **state)
{
    struct config_gpu_found one = found[0];
    struct config *c = config_of("{}");
    (void)state;
    one.memory_bytes = 0;
    config_place_gpus(c, &one, 1);
    assert_false(c->gpus[0].found);
    config_place_gpus(c, found, 1);
    assert_true(c->gpus[0].found);
    config_free(c);
}

static void test_wanted(void **state)
{
    static const struct {
        const char *text;
        bool gpus, cuda;
    } cases[] = {
        {"{}", true, false},         {"gpus: cuda", true, true},
        {"gpus: cpu", false, false}, {"gpus: [{sim: {memory: 1GiB}}]", false, false},
        {"gpus: [{}]", true, false}, {"gpus: [{sim: {memory: 1GiB}}, {}]", true, false},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct config *c = config_of(cases[i].text);
        if (config_wants_gpus(c) != cases[i].gpus || config_wants_cuda(c) != cases[i].cuda)
            fail_msg("%s", cases[i].text);
        config_free(c);
    }
}

static void test_a_reload_keeps_them(void **state)
{
    static const struct {
        const char *before, *after;
        bool alike;
    } cases[] = {
        {"{}", "gpus: auto", true},
        {"{}", "gpus: cuda", false},
        {"{}", "gpus: [{}]", false},
        {"gpus: [{device: 1}]", "gpus: [{device: 1, reserve: 1GiB}]", true},
        {"gpus: [{device: 1}]", "gpus: [{device: 0}]", false},
        {"gpus: [{device: 1}]", "gpus: [{device: 1}, {}]", false},
        {"gpus: [{sim: {memory: 1GiB}}]", "gpus: [{sim: {memory: 2GiB}}]", false},
        {"gpus: [{sim: {memory: 1GiB}}]", "gpus: [{sim: {memory: 1GiB}, limit: 0.5}]", true},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct config *old = config_of(cases[i].before), *c = config_of(cases[i].after);
        config_place_gpus(old, found, countof(found));
        char before[16];
        snprintf(before, sizeof(before), "%s", places(old));
        bool alike = config_keep_gpus(c, old);
        config_place_gpus(c, found, countof(found));
        if (alike != cases[i].alike || strcmp(before, places(c)) != 0)
            fail_msg("%s, then %s: alike %d, places %s", cases[i].before, cases[i].after, alike,
                     places(c));
        config_free(old);
        config_free(c);
    }
    struct config *old = config_of("gpus: [{}]"),
                  *c = config_of("gpus: [{reserve: 1GiB, sample: 2s}]");
    assert_true(config_keep_gpus(c, old));
    config_free(old);
    assert_int_equal(c->gpus[0].reserve_bytes, GIB);
    assert_int_equal(c->gpus[0].sample_ns, 2 * NS_PER_S);
    config_free(c);
}

static void test_errors(void **state)
{
    static const char *const texts[] = {"gpus: rocm", "gpus: 3", "gpus: {a: 1}",
                                        "gpus: [{device: 0, sim: {memory: 1GiB}}]",
                                        "gpus: [{},{},{},{},{},{},{},{},{}]"};
    (void)state;
    for (size_t i = 0; i < countof(texts); i++) {
        struct config_report report = {0};
        struct config *c = config_load_text("test", texts[i], strlen(texts[i]), &report);
        if (c || !report.errors)
            fail_msg("%s is taken", texts[i]);
        config_report_fini(&report);
    }
}

static void test_what_is_printed_is_read_again(void **state)
{
    static const char *const texts[] = {"gpus: cuda", "gpus: cpu",
                                        "gpus: [{device: GPU-aaaa1111}]"};
    (void)state;
    for (size_t i = 0; i < countof(texts); i++) {
        struct config *c = config_of(texts[i]);
        struct buf out = {0};
        config_print(c, &out);
        struct config *again = config_of(out.data);
        config_place_gpus(c, found, countof(found));
        config_place_gpus(again, found, countof(found));
        assert_int_equal(again->gpu_choice, c->gpu_choice);
        assert_int_equal(again->gpu_count, c->gpu_count);
        assert_true(c->gpu_count == 0 || again->gpus[0].place == c->gpus[0].place);
        config_free(again);
        config_free(c);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_what_is_filled_in),
        cmocka_unit_test(test_memory_that_is_not_known),
        cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_a_reload_keeps_them),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_what_is_printed_is_read_again),
    };
    return cmocka_run_group_tests_name("config_gpus", tests, NULL, NULL);
}
