/* cmd and cmdStop: comments, continued lines, quotes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <string.h>

#include "config/command.h"

#define ARGS_MAX 6

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *args[ARGS_MAX];
    } cases[] = {
        {"a", {"a"}},
        {" a  b\tc\nd\n", {"a", "b", "c", "d"}},
        {"a\rb", {"a\rb"}},
        {"'a b' \"c d\"", {"a b", "c d"}},
        {"a'b'\"c\"d", {"abcd"}},
        {"a '' \"\" b", {"a", "", "", "b"}},
        {"a''", {"a"}},
        {"'a\"b' \"c'd\"", {"a\"b", "c'd"}},
        {"a\\ b \\'c \\\\", {"a b", "'c", "\\"}},
        {"a\\\nb", {"ab"}},
        {"a \\\n b", {"a", "b"}},
        {"a \\", {"a"}},
        {"a\\", {"a"}},
        {"'a\\b' '\\'", {"a\\b", "\\"}},
        {"\"\\$ \\` \\\" \\\\ \\a\"", {"$ ` \" \\ \\a"}},
        {"\"a\\\nb\"", {"ab"}},
        {"'a\nb'", {"a\nb"}},
        {"a # b", {"a", "#", "b"}},
        {"a | b > $C ~ *", {"a", "|", "b", ">", "$C", "~"}},
        {"x --port ${PORT}", {"x", "--port", "${PORT}"}},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct arena arena = {0};
        struct config_strings argv = {0};
        bool open = false;
        const char *problem = config_split_command(&arena, cases[i].text, &argv, &open);
        if (problem)
            fail_msg("'%s': %s", cases[i].text, problem);
        assert_false(open);
        for (uint32_t k = 0; k < ARGS_MAX && cases[i].args[k]; k++)
            if (k >= argv.count || strcmp(argv.items[k], cases[i].args[k]) != 0)
                fail_msg("'%s': argument %u is '%s', not '%s'", cases[i].text, k,
                         k < argv.count ? argv.items[k] : "(none)", cases[i].args[k]);
        arena_fini(&arena);
    }
}

/* Closed at the end of the text, as in llama-swap. */
static void test_split_open_quotes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *last;
        uint32_t count;
    } cases[] = {
        {"a 'b", "b", 2}, {"a \"b'", "b'", 2},      {"\"\\\"", "\"", 1},
        {"'", "", 1},     {"a 'b c\n", "b c\n", 2},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct arena arena = {0};
        struct config_strings argv = {0};
        bool open = false;
        assert_null(config_split_command(&arena, cases[i].text, &argv, &open));
        assert_true(open);
        assert_int_equal(argv.count, cases[i].count);
        assert_string_equal(argv.items[argv.count - 1], cases[i].last);
        arena_fini(&arena);
    }
}

static void test_split_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"", "the command is empty"},
        {" \t\n", "the command is empty"},
        {"\\\n", "the command is empty"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct arena arena = {0};
        struct config_strings argv = {.count = 7};
        bool open = false;
        const char *problem = config_split_command(&arena, cases[i].text, &argv, &open);
        if (!problem || strcmp(problem, cases[i].problem) != 0)
            fail_msg("'%s': %s", cases[i].text, problem ? problem : "accepted");
        assert_int_equal(argv.count, 7);
        arena_fini(&arena);
    }
}

static void test_comments(void **state)
{
    (void)state;
    static const struct {
        const char *text, *left;
    } cases[] = {
        {"a b", "a b"},
        {"a\n# b\nc\n", "a\nc\n"},
        {"  # a\nb", "b"},
        {"# a", ""},
        {"a # b", "a # b"},
        {"a \\\n  b", "a  \n  b"},
        {"  a \\  \nb", "a  \nb"},
        {"a\\\nb", "a \nb"},
        {"\\\nb", " \nb"},
        {"a\n\nb", "a\n\nb"},
        {"a \\\n# b \\\nc", "a  \nc"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf out = {0};
        command_strip_comments(cases[i].text, &out);
        const char *left = out.data ? out.data : "";
        if (strcmp(left, cases[i].left) != 0)
            fail_msg("'%s' becomes '%s', not '%s'", cases[i].text, left, cases[i].left);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_open_quotes),
        cmocka_unit_test(test_split_refused),
        cmocka_unit_test(test_comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
