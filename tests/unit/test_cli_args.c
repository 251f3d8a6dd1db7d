/* Command lines taken apart, and the help made from the same rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "cli/args.h"
#include "cli/help.h"

static const struct cli_option options[] = {
    {.name = "force", .letter = 'f', .help = "Do it at once."},
    {.name = "all", .letter = 'a', .help = "All of them."},
    {.name = "count", .letter = 'n', .kind = CLI_NUMBER, .value = "N", .help = "End after N."},
    {.name = "listen",
     .kind = CLI_TEXT,
     .repeats = true,
     .value = "HOST:PORT",
     .help = "Where to listen."},
    {.name = "color",
     .kind = CLI_TEXT,
     .value = "NAME",
     .env = "WHARF_TEST_COLOR",
     .help = "Which color."},
};

static const struct cli_command paint = {
    .name = "paint",
    .summary = "paint a model",
    .description = "Paints one model.\n\nOr none.",
    .operand = "MODEL",
    .operands_min = 1,
    .operands_max = 1,
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf paint qwen", "paint it"}},
};

/* As `env` has it: what follows its first operand is not its own. */
static const struct cli_command wrap = {
    .name = "wrap",
    .summary = "run a command",
    .description = "Runs a command.",
    .operand = "CMD",
    .operands_min = 1,
    .operands_max = UINT32_MAX,
    .options = options,
    .option_count = countof(options),
    .first_operand_ends = true,
    .operand_takes = {CLI_A_PROGRAM},
    .statuses = "Otherwise it was so.",
    .examples = {{"wharf wrap true", "run it"}},
};

static const struct cli_option needed[] = {
    {.name = "config",
     .kind = CLI_TEXT,
     .is_required = true,
     .value = "FILE",
     .help = "The configuration."},
};

static const struct cli_command bare = {
    .name = "bare",
    .summary = "take a file",
    .description = "Takes a file.",
    .options = needed,
    .option_count = countof(needed),
    .examples = {{"wharf bare --config x.yaml", "take it"}},
};

static const struct cli_option swap_options[] = {
    {.name = "config", .letter = 'c', .kind = CLI_TEXT, .value = "FILE", .help = "The file."},
    {.name = "listen", .kind = CLI_TEXT, .value = "HOST:PORT", .help = "Where to listen."},
    {.name = "watch", .help = "Watch it."},
};

static const struct cli_command worded = {
    .name = "words",
    .options = swap_options,
    .option_count = countof(swap_options),
    .style = CLI_WORDS,
    .examples = {{"wharf words", "it"}},
};

static const struct cli_command go = {
    .name = "go",
    .options = swap_options,
    .option_count = countof(swap_options),
    .style = CLI_GO,
    .examples = {{"wharf go", "it"}},
};

#define WORDS_MAX 12
#define COPY_MAX 128

/* Writes what was understood: "force count=3 color=red | qwen". */
static void describe(const struct cli_args *args, struct buf *out)
{
    buf_text(out, "");
    for (uint32_t i = 0; i < args->value_count; i++) {
        const struct cli_value *v = &args->values[i];
        buf_printf(out, "%s", v->option->name);
        if (v->option->kind == CLI_NUMBER)
            buf_printf(out, "=%llu", (unsigned long long)v->number);
        else if (v->option->kind == CLI_FLAG && !v->number)
            buf_text(out, "=no");
        else if (v->option->kind != CLI_FLAG)
            buf_printf(out, "=%s", v->text);
        buf_char(out, ' ');
    }
    buf_char(out, '|');
    for (uint32_t i = 0; i < args->operand_count; i++)
        buf_printf(out, " %s", args->operands[i]);
}

/* words: parted by spaces; "''" is an empty one. */
static int parse(const struct cli_command *c, const char *words, struct cli_args *args,
                 struct err *e, char *copy)
{
    char *argv[WORDS_MAX];
    int argc = 0;
    char *save = NULL;
    snprintf(copy, COPY_MAX, "%s", words);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        must(argc < WORDS_MAX);
        argv[argc++] = strcmp(w, "''") == 0 ? w + 2 : w;
    }
    return cli_args_parse(c, argc, argv, args, e);
}

static void test_understood(void **state)
{
    (void)state;
    static const struct {
        const struct cli_command *command;
        const char *words, *understood;
    } cases[] = {
        {&paint, "qwen", "| qwen"},
        {&paint, "--force qwen", "force | qwen"},
        {&paint, "qwen --force", "force | qwen"},
        {&paint, "--count 3 qwen", "count=3 | qwen"},
        {&paint, "--count=3 qwen", "count=3 | qwen"},
        {&paint, "-n 3 qwen", "count=3 | qwen"},
        {&paint, "-n3 qwen", "count=3 | qwen"},
        {&paint, "-fan3 qwen", "force all count=3 | qwen"},
        {&paint, "--color=a=b qwen", "color=a=b | qwen"},
        {&paint, "--color=--x qwen", "color=--x | qwen"},
        {&paint, "--color -x qwen", "color=-x | qwen"},
        {&paint, "--listen a:1 --listen=b:2 qwen", "listen=a:1 listen=b:2 | qwen"},
        {&paint, "-- --force", "| --force"},
        {&paint, "--force -- -n", "force | -n"},
        {&paint, "-", "| -"},
        {&paint, "--json --url=unix:/s --key k qwen", "json url=unix:/s key=k | qwen"},
        {&paint, "--count 9223372036854775799 qwen", "count=9223372036854775799 | qwen"},
        /* One dash before a word, where a command takes it. */
        {&worded, "-config x", "config=x |"},
        {&worded, "-config=x", "config=x |"},
        {&worded, "--config x", "config=x |"},
        {&worded, "--config=x", "config=x |"},
        {&worded, "-c x", "config=x |"},
        {&worded, "-c=x", "config=x |"},
        {&worded, "-config -x", "config=-x |"},
        {&worded, "-watch -listen :80 -config x", "watch listen=:80 config=x |"},
        {&worded, "-watch=true --watch=1 -watch=T", "watch watch watch |"},
        {&worded, "-watch=false --watch=0 -watch=F", "watch=no watch=no watch=no |"},
        /* As Go reads it. */
        {&go, "-config x -watch", "config=x watch |"},
        {&go, "-config=x --watch=false", "config=x watch=no |"},
        {&go, "-config= -listen ''", "config= listen= |"},
        {&go, "-watch true -config x", "watch |"},
        {&go, "one -config x", "|"},
        {&go, "-watch -- -config x", "watch |"},
        /* As `env` reads it. */
        {&wrap, "-f -n 3 ls -l --all -f", "force count=3 | ls -l --all -f"},
        {&wrap, "--color=red -- ls -- -x", "color=red | ls -- -x"},
        {&wrap, "-- --force", "| --force"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct cli_args args;
        struct err e = {.set = false};
        struct buf got = {0};
        char copy[COPY_MAX];
        if (parse(cases[i].command, cases[i].words, &args, &e, copy) < 0)
            fail_msg("'%s': %s", cases[i].words, e.text);
        describe(&args, &got);
        if (strcmp(got.data, cases[i].understood) != 0)
            fail_msg("'%s': '%s', not '%s'", cases[i].words, got.data, cases[i].understood);
        buf_fini(&got);
        cli_args_fini(&args);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const struct cli_command *command;
        const char *words, *message;
    } cases[] = {
        {&paint, "", "MODEL is missing, as in `wharf paint qwen`"},
        {&paint, "a b", "unexpected 'b': it takes one MODEL"},
        {&bare, "--config x y", "unexpected 'y': it takes options only"},
        {&bare, "", "--config FILE is missing, as in `wharf bare --config x.yaml`"},
        {&paint, "--farce a", "unknown option '--farce'; did you mean '--force'?"},
        {&paint, "--jsn a", "unknown option '--jsn'; did you mean '--json'?"},
        {&paint, "--lissten=x a", "unknown option '--lissten'; did you mean '--listen'?"},
        {&paint, "--zebra a", "unknown option '--zebra'"},
        {&bare, "--url x", "unknown option '--url'"},
        {&paint, "-x a", "unknown option '-x'"},
        {&paint, "-fx a", "unknown option '-x'"},
        {&paint, "--force=yes a", "--force takes no value"},
        {&paint, "--force= a", "--force takes no value"},
        {&paint, "a --color", "--color needs a value: --color NAME"},
        {&paint, "a --color=", "--color needs a value: --color NAME"},
        {&paint, "a --color ''", "--color needs a value: --color NAME"},
        {&paint, "--color --force a", "--color needs a value: --color NAME"},
        {&paint, "a -n", "--count needs a value: --count N"},
        {&paint, "--count x a", "--count: 'x' is not a whole number"},
        {&paint, "--count 1x a", "--count: '1x' is not a whole number"},
        {&paint, "-count 3 a", "'-count' needs two dashes: --count"},
        {&paint, "-json a", "'-json' needs two dashes: --json"},
        {&bare, "-config=x", "'-config' needs two dashes: --config"},
        {&worded, "-confg x", "unknown option '-confg'; did you mean '-config'?"},
        {&worded, "--confg=x", "unknown option '--confg'; did you mean '--config'?"},
        {&worded, "-cx", "unknown option '-cx'"},
        {&worded, "-config -watch", "--config needs a value: --config FILE"},
        {&worded, "-config=", "--config needs a value: --config FILE"},
        {&worded, "-watch=maybe", "--watch: 'maybe' is neither true nor false"},
        {&worded, "-watch true", "unexpected 'true': it takes options only"},
        {&go, "-watch=", "--watch: '' is neither true nor false"},
        {&go, "-config", "--config needs a value: --config FILE"},
        {&go, "---config x", "unknown option '---config'; did you mean '--config'?"},
        {&paint, "--count=-1 a", "--count: '-1' is not a whole number"},
        {&paint, "--count 99999999999999999999 a", "--count: '99999999999999999999' is too large"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct cli_args args;
        struct err e = {.set = false};
        char copy[COPY_MAX];
        if (parse(cases[i].command, cases[i].words, &args, &e, copy) == 0)
            fail_msg("'%s' was taken", cases[i].words);
        if (strcmp(e.text, cases[i].message) != 0)
            fail_msg("'%s': '%s', not '%s'", cases[i].words, e.text, cases[i].message);
        cli_args_fini(&args);
    }
}

static void test_values(void **state)
{
    (void)state;
    struct cli_args args;
    struct err e = {.set = false};
    char copy[COPY_MAX];
    const char *listens[4];
    uint64_t count = 42;
    assert_int_equal(
        parse(&paint, "--listen a --color red --listen b --color blue m", &args, &e, copy), 0);
    assert_string_equal(cli_args_text(&args, "color"), "blue");
    assert_int_equal(cli_args_texts(&args, "listen", listens, countof(listens)), 2);
    assert_string_equal(listens[0], "a");
    assert_string_equal(listens[1], "b");
    assert_int_equal(cli_args_texts(&args, "listen", listens, 1), 1);
    assert_false(cli_args_flag(&args, "force"));
    assert_false(cli_args_number(&args, "count", &count));
    assert_int_equal(count, 42);
    cli_args_fini(&args);
}

static void test_environment(void **state)
{
    (void)state;
    static const struct {
        const char *words, *env, *color;
    } cases[] = {
        {"m", NULL, NULL},
        {"m", "", NULL},
        {"m", "green", "green"},
        {"m --color red", "green", "red"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct cli_args args;
        struct err e = {.set = false};
        char copy[COPY_MAX];
        unsetenv("WHARF_TEST_COLOR");
        if (cases[i].env)
            setenv("WHARF_TEST_COLOR", cases[i].env, 1);
        assert_int_equal(parse(&paint, cases[i].words, &args, &e, copy), 0);
        const char *color = cli_args_text(&args, "color");
        if (!color || !cases[i].color)
            assert_ptr_equal(color, cases[i].color);
        else
            assert_string_equal(color, cases[i].color);
        cli_args_fini(&args);
    }
}

/* The last one counts, also when it takes back an earlier one. */
static void test_flags_with_values(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        bool is_set;
    } cases[] = {
        {"-config x", false},          {"-watch", true},
        {"-watch=false", false},       {"-watch -watch=false", false},
        {"-watch=false -watch", true},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct cli_args args;
        struct err e = {.set = false};
        char copy[COPY_MAX];
        assert_int_equal(parse(&go, cases[i].words, &args, &e, copy), 0);
        if (cli_args_flag(&args, "watch") != cases[i].is_set)
            fail_msg("'%s': %d", cases[i].words, !cases[i].is_set);
        cli_args_fini(&args);
    }
}

/* Asking for help works however wrong the rest is. */
static void test_help_wins(void **state)
{
    (void)state;
    static const char *const cases[] = {"--help", "-h", "-fh", "a b --help --nonsense", "a -hx"};
    for (size_t i = 0; i < countof(cases); i++) {
        struct cli_args args;
        struct err e = {.set = false};
        char copy[COPY_MAX];
        int rc = parse(&paint, cases[i], &args, &e, copy);
        /* A second operand comes before the request for help here. */
        assert_int_equal(rc, strchr(cases[i], 'b') ? -1 : 0);
        assert_int_equal(args.wants_help, rc == 0);
        cli_args_fini(&args);
    }
}

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in:\n%s", part, text);
}

static void test_help(void **state)
{
    (void)state;
    struct buf out = {0};
    help_command(&out, &paint);
    assert_contains(out.data, "wharf paint: paint a model\n\n"
                              "usage: wharf paint [--force] [--all] [--count N]");
    assert_contains(out.data, "[--listen HOST:PORT]...");
    assert_contains(out.data, " MODEL\n\nPaints one model.\n\nOr none.\n\nOptions:\n"
                              "  -f, --force           Do it at once.\n");
    assert_contains(out.data, "      --listen HOST:PORT\n"
                              "                        Where to listen. May be given more than "
                              "once.\n");
    assert_contains(out.data, "Which color. Also read from $WHARF_TEST_COLOR.\n");
    assert_contains(out.data, "  -h, --help            Show this help.\n");
    assert_contains(out.data, "Examples:\n  wharf paint qwen\n");
    assert_contains(out.data, "\n  69   the daemon cannot be reached\n");
    buf_clear(&out);
    help_command(&out, &bare);
    assert_contains(out.data, "usage: wharf bare --config FILE\n");
    assert_null(strstr(out.data, "--url"));
    assert_null(strstr(out.data, "cannot be reached"));
    buf_fini(&out);
}

static void test_help_with_statuses(void **state)
{
    struct buf out = {0};
    (void)state;
    help_command(&out, &wrap);
    assert_contains(out.data, "\nExit status:\n  0    done\n");
    assert_contains(out.data, "\n  127  there is no such CMD\nOtherwise it was so.\n");
    assert_null(strstr(out.data, "the daemon cannot be reached"));
    buf_fini(&out);
}

static void test_overview(void **state)
{
    (void)state;
    static const struct cli_command *const commands[] = {&paint, &bare};
    struct buf out = {0};
    help_overview(&out, commands, countof(commands));
    assert_contains(out.data, "  paint       paint a model\n  bare        take a file\n");
    assert_contains(out.data, "WHARF_URL");
    assert_contains(out.data, "\n  2    wrong usage, an error in the configuration, or asked for");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_understood),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_flags_with_values),
        cmocka_unit_test(test_help_wins),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_help_with_statuses),
        cmocka_unit_test(test_overview),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
