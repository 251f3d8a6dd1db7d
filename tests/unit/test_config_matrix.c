/* The matrix: llama-swap's language, what it comes to, and that it never grows beyond its bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/pure/check.h"
#include "config/config.h"
#include "config/matrix/expression.h"
#include "config/matrix/family.h"
#include "config/matrix/natural.h"

/* Models a to f, one with a name that no expression can have, and one with an alias. */
#define MODELS                                                                                     \
    "models: {a: &m {cmd: \"${PORT}\"}, b: *m, c: *m, d: *m, e: *m, f: *m, \"q:7b\": *m, "         \
    "g: {cmd: \"${PORT}\", aliases: [gee]}, \xc3\xa9t\xc3\xa9: *m}\n"

static struct config *load(const char *text, char **ret_report)
{
    struct config_report report = {0};
    struct config *c = config_load_text("c", text, strlen(text), &report);
    *ret_report = buf_take(&report.text);
    config_report_fini(&report);
    return c;
}

/* "s: a b; t: c" */
static void put_sets(const struct config *c, struct buf *out)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < c->matrix.set_count; i++) {
        buf_printf(out, "%s%s:", i ? "; " : "", c->matrix.names[i]);
        for (; at < c->matrix.ends[i]; at++)
            buf_printf(out, " %s", c->models[c->matrix.members[at]].id);
    }
}

static const struct {
    const char *rule, *matrix, *sets;
} meanings[] = {
    {"one model", "sets: {s: a}", "s: a"},
    {"either", "sets: {s: a | b}", "s: a; s: b"},
    {"together", "sets: {s: a & b}", "s: a b"},
    {"together goes before either", "sets: {s: a & b | c & d}", "s: a b; s: c d"},
    {"parentheses", "sets: {s: a & (b | c) & d}", "s: a b d; s: a c d"},
    {"each with each, the left one slowest", "sets: {s: (a | b) & (c | d)}",
     "s: a c; s: a d; s: b c; s: b d"},
    {"members ascend", "sets: {s: f & b & d}", "s: b d f"},
    {"blanks mean nothing", "sets: {s: \" ( a|b )&c\\n\\t| d\\u00a0\"}", "s: a c; s: b c; s: d"},
    {"a model with itself", "sets: {s: a & a | a}", "s: a"},
    {"part of an earlier one", "sets: {s: a & b | a}", "s: a b"},
    {"part of a later one", "sets: {s: a | c | a & b}", "s: c; s: a b"},
    {"part of two later ones", "sets: {s: (a | b) & (a | c)}", "s: a c; s: a b; s: b c"},
    {"variables", "vars: {x: \"q:7b\", a: b}\nsets: {s: x & a}", "s: b q:7b"},
    {"variables for one model", "vars: {x: a, y: a}\nsets: {s: x & y & b}", "s: a b"},
    {"names of any script", "sets: {s: \xc3\xa9t\xc3\xa9 | a}", "s: \xc3\xa9t\xc3\xa9; s: a"},
    {"reference", "sets: {s: +t & c, t: a | b}", "t: a; t: b; s: a c; s: b c"},
    {"what is referred to comes first", "sets: {a: +c | a, b: d, c: +d, d: b & f}",
     "d: b f; a: a; b: d"},
    {"set order is by name, not by place", "sets: {z: a, b: c, m: d}", "b: c; m: d; z: a"},
    {"digits in names count as numbers", "sets: {s10: a, s9: b, s1a: c, s: d}",
     "s: d; s1a: c; s9: b; s10: a"},
    {"part of an earlier set", "sets: {a: a & b, b: a | c}", "a: a b; b: c"},
    {"part of a later set stays", "sets: {a: a | c, b: a & b}", "a: a; a: c; b: a b"},
    {"the same twice", "sets: {a: a & b, b: b & a}", "a: a b"},
    {"the same reference twice", "sets: {a: +b | +b & c, b: d}", "b: d; a: c d"},
    {"a number as expression", "vars: {\"1\": a}\nsets: {s: 1}", "s: a"},
    {"a set may have a variable's name", "vars: {x: a}\nsets: {x: x & +y, y: b}", "y: b; x: a b"},
};

static void test_meanings(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(meanings); i++) {
        struct buf text = {0}, sets = {0};
        char *report;
        buf_printf(&text, "%srouting: {router: {use: matrix, settings: {matrix: {", MODELS);
        /* The keys stand in a flow mapping: a line each becomes an item each. */
        for (const char *p = meanings[i].matrix; *p; p++)
            buf_text(&text, *p == '\n' ? ", " : (char[]){*p, '\0'});
        buf_text(&text, "}}}}\n");
        struct config *c = load(text.data, &report);
        if (!c || *report)
            fail_msg("%s: %s", meanings[i].rule, report);
        assert_int_equal(c->planner, CONFIG_PLAN_MATRIX);
        put_sets(c, &sets);
        if (strcmp(sets.data, meanings[i].sets) != 0)
            fail_msg("%s: %s, not %s", meanings[i].rule, sets.data, meanings[i].sets);
        config_free(c);
        free(report);
        buf_fini(&text);
        buf_fini(&sets);
    }
}

static const struct {
    const char *rule, *text, *report;
} refusals[] = {
    {"no sets", "matrix: {}\n", "c:2:9: error: matrix: matrix must define at least one set\n"},
    {"empty sets", "matrix: {sets: {}}\n",
     "c:2:9: error: matrix: matrix must define at least one set\n"},
    {"sets that are a list", "matrix: {sets: [a]}\n",
     "c:2:16: error: sets must be a mapping of names to texts, not a list\n"},
    {"a set that is a list", "matrix: {sets: {s: [a, b]}}\n",
     "c:2:20: error: 's' in sets must be a text, not a list\n"},
    {"empty", "matrix: {sets: {s: \" \", t: , u: \"\\u3000\"}}\n",
     "c:2:20: error: matrix: set \"s\": empty DSL expression\n"
     "c:2:25: error: matrix: set \"t\": empty DSL expression\n"
     "c:2:33: error: matrix: set \"u\": empty DSL expression\n"},
    {"unexpected characters",
     "matrix: {sets: {s: \" a & $b\", t: \"a,b\", u: \"\\\"a\\\"\", v: \"a'\"}}\n",
     "c:2:20: error: matrix: set \"s\": tokenize: unexpected character '$' at position 4\n"
     "c:2:34: error: matrix: set \"t\": tokenize: unexpected character ',' at position 1\n"
     "c:2:44: error: matrix: set \"u\": tokenize: unexpected character '\"' at position 0\n"
     "c:2:56: error: matrix: set \"v\": tokenize: unexpected character '\\'' at position 1\n"},
    {"positions are characters", "matrix: {sets: {s: \xc3\xa9t\xc3\xa9 \xe2\x86\x92 a, t: a:b}}\n",
     "c:2:20: error: matrix: set \"s\": tokenize: unexpected character '\xe2\x86\x92' at position "
     "4\n"
     "c:2:32: error: matrix: set \"t\": tokenize: unexpected character ':' at position 1\n"},
    {"a slip in the characters comes before one in the grammar",
     "matrix: {sets: {s: \"a b )$\"}}\n",
     "c:2:20: error: matrix: set \"s\": tokenize: unexpected character '$' at position 5\n"},
    {"plus without a name", "matrix: {sets: {s: \"a | + b\", t: +}}\n",
     "c:2:20: error: matrix: set \"s\": tokenize: expected set name after '+' at position 5\n"
     "c:2:34: error: matrix: set \"t\": tokenize: expected set name after '+' at position 1\n"},
    {"parenthesis not closed", "matrix: {sets: {s: (a | b, t: \"((a) & b\", u: (a b)}}\n",
     "c:2:20: error: matrix: set \"s\": parse: missing closing parenthesis\n"
     "c:2:31: error: matrix: set \"t\": parse: missing closing parenthesis\n"
     "c:2:46: error: matrix: set \"u\": parse: missing closing parenthesis\n"},
    {"unexpected tokens", "matrix: {sets: {s: \"&a\", t: a & , u: \"a | | b\", v: (), w: )}}\n",
     "c:2:20: error: matrix: set \"s\": parse: unexpected token \"&\"\n"
     "c:2:29: error: matrix: set \"t\": parse: unexpected token \"\"\n"
     "c:2:38: error: matrix: set \"u\": parse: unexpected token \"|\"\n"
     "c:2:52: error: matrix: set \"v\": parse: unexpected token \")\"\n"
     "c:2:59: error: matrix: set \"w\": parse: unexpected token \")\"\n"},
    {"tokens behind it", "matrix: {sets: {s: a b, t: a ) b, u: a +s, v: a (b)}}\n",
     "c:2:20: error: matrix: set \"s\": parse: unexpected token \"b\" after expression\n"
     "c:2:28: error: matrix: set \"t\": parse: unexpected token \")\" after expression\n"
     "c:2:38: error: matrix: set \"u\": parse: unexpected token \"s\" after expression\n"
     "c:2:47: error: matrix: set \"v\": parse: unexpected token \"(\" after expression\n"},
    {"unknown names", "matrix: {vars: {big: a}, sets: {s: bgi & gee & nothing & A}}\n",
     "c:2:36: error: matrix: set \"s\": unknown var or model \"bgi\"; did you mean 'big'?\n"
     "c:2:36: error: matrix: set \"s\": unknown var or model \"gee\"; did you mean 'g'?\n"
     "c:2:36: error: matrix: set \"s\": unknown var or model \"nothing\"\n"
     "c:2:36: error: matrix: set \"s\": unknown var or model \"A\"; did you mean 'a'?\n"},
    {"undefined set", "matrix: {sets: {\"s \\\"1\\\"\": a & +t | +u}}\n",
     "c:2:28: error: matrix: set \"s \\\"1\\\"\" references undefined set \"t\"\n"
     "c:2:28: error: matrix: set \"s \\\"1\\\"\" references undefined set \"u\"\n"},
    {"circle of one", "matrix: {sets: {s: a | +s}}\n",
     "c:2:20: error: matrix: circular reference detected involving set \"s\"\n"},
    {"circle of three", "matrix: {sets: {a: +b, b: +c, c: +a & +b, d: +a}}\n",
     "c:2:20: error: matrix: circular reference detected involving set \"a\"\n"
     "c:2:27: error: matrix: circular reference detected involving set \"b\"\n"},
    {"vars",
     "matrix: {vars: {a_b: a, \"\": a, x2345678901234567890123456789012y: a, v: nope, w: gee, x: "
     "~},"
     " sets: {s: v & w}}\n",
     "c:2:17: error: matrix: var key \"a_b\" must contain only alphanumeric, '-' or '.' characters "
     "and be 1-32 characters long\n"
     "c:2:25: error: matrix: var key \"\" must contain only alphanumeric, '-' or '.' characters "
     "and "
     "be 1-32 characters long\n"
     "c:2:32: error: matrix: var key \"x2345678901234567890123456789012y\" must contain only "
     "alphanumeric, '-' or '.' characters and be 1-32 characters long\n"
     "c:2:73: error: matrix: var key \"v\" references unknown model \"nope\"\n"
     "c:2:82: error: matrix: var key \"w\" references unknown model \"gee\"; did you mean 'g'?\n"
     "c:2:90: error: matrix: var key \"x\" references unknown model \"\"\n"},
    {"costs",
     "matrix: {vars: {x: a}, evict_costs: {a: 0, x: -2, y: 3, b: lots, c: ~}, sets: {s: a}}\n",
     "c:2:44: warning: matrix: model \"a\" has another evict_cost already; the last counts\n"
     "c:2:51: error: matrix: evict_costs: unknown var or model \"y\"\n"
     "c:2:60: error: evict_costs must be a whole number, not a text\n"},
    {"costs that are not positive", "matrix: {evict_costs: {a: 0, b: -2, c: ~}, sets: {s: a}}\n",
     "c:2:24: error: matrix: evict_cost for \"a\" must be a positive integer, got 0\n"
     "c:2:30: error: matrix: evict_cost for \"b\" must be a positive integer, got -2\n"
     "c:2:37: error: matrix: evict_cost for \"c\" must be a positive integer, got 0\n"},
    {"costs that are too high", "matrix: {evict_costs: {a: 2147483648}, sets: {s: a}}\n",
     "c:2:27: error: evict_costs must be at most 2147483647\n"},
    {"unknown key", "matrix: {set: {}, sets: {s: a}}\n",
     "c:2:10: warning: unknown key 'set' in routing.router.settings.matrix, ignored; did you mean "
     "'sets'?\n"},
    {"old and new places", "matrix: {sets: {s: a}}\nrouting: {router: {use: fit}}\n",
     "c:2:9: error: both 'matrix' and 'routing.router' are there; move the matrix to "
     "routing.router.settings.matrix\n"},
    {"both matrices",
     "matrix: {sets: {s: a}}\nrouting: {router: {settings: {matrix: {sets: {s: a}}}}}\n",
     "c:2:9: error: both 'matrix' and 'routing.router' are there; move the matrix to "
     "routing.router.settings.matrix\n"},
    {"old groups and new matrix",
     "groups: {x: {}}\nrouting: {router: {settings: {matrix: {sets: {s: a}}}}}\n",
     "c:2:9: error: both 'groups' and 'routing.router' are there; move the groups to "
     "routing.router.settings.groups\n"},
    {"both older places", "matrix: {sets: {s: a}}\ngroups: {x: {}}\n",
     "c:2:9: error: config cannot use both 'groups' and 'matrix'\n"},
    {"older place, empty groups", "matrix: {sets: {s: a}}\ngroups: {}\n", ""},
    {"null matrix", "matrix:\nrouting: {router: {use: group}}\n", ""},
    {"no matrix", "routing: {router: {use: matrix}}\n",
     "c:2:25: error: routing.router.use is 'matrix' but routing.router.settings.matrix is not "
     "set\n"},
    {"a matrix that is not used",
     "routing: {router: {use: group, settings: {matrix: {sets: {s: nope}}}}}\n",
     "c:2:51: warning: the matrix has no effect with the group router, in use because "
     "routing.router.use is group; write routing.router.use: matrix to keep it\n"},
    {"a matrix for no known router",
     "routing: {router: {use: matix, settings: {matrix: {sets: {s: a}}}}}\n",
     "c:2:25: error: use must be group, matrix or fit, not 'matix'; did you mean 'matrix'?\n"},
    {"groups that are not used",
     "routing: {router: {use: matrix, settings: {groups: {x: {}}, matrix: {sets: {s: a}}}}}\n",
     "c:2:52: warning: groups have no effect with the matrix router, in use because "
     "routing.router.use is matrix; write routing.router.use: group to keep them\n"},
};

static void test_refusals(void **state)
{
    (void)state;
    uint32_t failed = 0;
    for (size_t i = 0; i < countof(refusals); i++) {
        struct buf text = {0};
        char *report;
        buf_printf(&text, "%s%s", MODELS, refusals[i].text);
        struct config *c = load(text.data, &report);
        bool refused = strstr(refusals[i].report, ": error: ") != NULL;
        if (strcmp(report, refusals[i].report) != 0 || (c == NULL) != refused) {
            print_error("%s:\n%s-- instead of\n%s", refusals[i].rule, report, refusals[i].report);
            failed++;
        }
        config_free(c);
        free(report);
        buf_fini(&text);
    }
    assert_int_equal(failed, 0);
}

static void test_costs(void **state)
{
    (void)state;
    char *report;
    struct config *c = load(MODELS "matrix:\n"
                                   "  vars: {x: a, b: c}\n"
                                   "  evict_costs: {x: 3, b: 5, d: 2147483647}\n"
                                   "  sets: {s: x & b & d & e}\n",
                            &report);
    assert_string_equal(report, "");
    static const uint32_t costs[] = {3, 1, 5, INT32_MAX, 1};
    for (uint32_t i = 0; i < countof(costs); i++)
        assert_int_equal(c->models[i].evict_cost, costs[i]);
    config_free(c);
    free(report);
}

/* count times `item`, which has the number wherever it says %1$u. */
static void repeat(struct buf *out, uint32_t from, uint32_t count, const char *separator,
                   void (*item)(struct buf *out, uint32_t i))
{
    for (uint32_t i = from; i < from + count; i++) {
        if (i > from)
            buf_text(out, separator);
        item(out, i);
    }
}

static void put_model(struct buf *out, uint32_t i)
{
    buf_printf(out, "m%u", i);
}

static void put_definition(struct buf *out, uint32_t i)
{
    buf_printf(out, "  m%u: *m\n", i);
}

static void put_pair(struct buf *out, uint32_t i)
{
    buf_printf(out, "(m%u|m%u)", 2 * i, 2 * i + 1);
}

static void put_reference(struct buf *out, uint32_t i)
{
    (void)i;
    buf_text(out, "+a");
}

static void start_matrix(struct buf *out, uint32_t models)
{
    buf_clear(out);
    buf_text(out, "models:\n  x: &m {cmd: \"${PORT}\"}\n");
    repeat(out, 0, models, "", put_definition);
    buf_text(out, "matrix:\n sets:\n");
}

/* Loads it; the processor's time is short whatever it comes to. Returns the report. */
static char *load_quickly(const struct buf *text, struct config **ret_config)
{
    char *report;
    clock_t start = clock();
    *ret_config = load(text->data, &report);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (seconds > 60) /* valgrind's slowness included: what is exponential takes years */
        fail_msg("%g s", seconds);
    return report;
}

static void expect(const struct buf *text, uint32_t sets, uint32_t members)
{
    struct config *c;
    char *report = load_quickly(text, &c);
    if (!c)
        fail_msg("%s", report);
    assert_int_equal(c->matrix.set_count, sets);
    assert_int_equal(c->matrix.ends[sets - 1], members);
    config_free(c);
    free(report);
}

static void expect_refusal(const struct buf *text, const char *wanted)
{
    struct config *c;
    char *report = load_quickly(text, &c);
    if (c || !strstr(report, wanted))
        fail_msg("%.500s, not %s", report, wanted);
    free(report);
}

/* An expression that would come to 2^30 combinations is refused as one of 2^13 is. */
static void test_products(void **state)
{
    (void)state;
    static const uint32_t pairs[] = {12, 13, 30, 500};
    struct buf text = {0};
    for (size_t i = 0; i < countof(pairs); i++) {
        start_matrix(&text, 1000);
        buf_text(&text, "  s: ");
        repeat(&text, 0, pairs[i], "&", put_pair);
        if (pairs[i] == 12)
            expect(&text, 4096, 4096 * 12);
        else
            expect_refusal(&text, "c:1005:6: error: matrix: set \"s\" expands to more than 4096 "
                                  "combinations of models\n");
    }
    buf_fini(&text);
}

static void test_bounds(void **state)
{
    (void)state;
    struct buf text = {0};
    start_matrix(&text, 4095);
    buf_text(&text, "  s: x|");
    repeat(&text, 0, 4095, "|", put_model);
    expect(&text, 4096, 4096);
    buf_text(&text, "\n  t: x");
    expect_refusal(&text, "c:4101:6: error: matrix: set \"t\", together with those before it, "
                          "expands to more than 4096 combinations of models\n");

    /* 32 sets of 2048 models, each with one that the others lack; then one more model. */
    start_matrix(&text, 2080);
    for (uint32_t i = 0; i < 32; i++) {
        buf_printf(&text, "  s%u: m%u&", i, 2047 + i);
        repeat(&text, 0, 2047, "&", put_model);
        buf_char(&text, '\n');
    }
    expect(&text, 32, 65536);
    buf_text(&text, "  t: x");
    expect_refusal(&text, "matrix: set \"t\", together with those before it, expands to more than "
                          "65536 models in all of its combinations\n");

    /* The same in one expression. */
    start_matrix(&text, 2080);
    buf_text(&text, "  s: (");
    repeat(&text, 2000, 33, "|", put_model);
    buf_text(&text, ")&(");
    repeat(&text, 0, 2000, "&", put_model);
    buf_char(&text, ')');
    expect_refusal(&text, "matrix: set \"s\" expands to more than 65536 models in all of its "
                          "combinations\n");

    start_matrix(&text, 0);
    for (uint32_t i = 0; i < 4097; i++)
        buf_printf(&text, "  s%u: x\n", i);
    expect_refusal(&text, "c:5:3: error: matrix: more than 4096 sets\n");
    buf_fini(&text);
}

/* Work that comes to little, but takes long. */
static void test_budget(void **state)
{
    (void)state;
    struct buf text = {0};
    start_matrix(&text, 2000);
    buf_text(&text, "  a: ");
    repeat(&text, 0, 2000, "|", put_model);
    buf_text(&text, "\n  b: ");
    repeat(&text, 0, 1000, "|", put_reference);
    expect_refusal(&text, "c:2006:6: error: matrix: set \"b\" expands to more than can be written "
                          "out in a short time\n");

    start_matrix(&text, 0);
    buf_text(&text, "  a: x");
    for (uint32_t i = 0; i < 600000; i++)
        buf_text(&text, "|x");
    expect_refusal(&text, "c:5:6: error: matrix: set \"a\": the expressions are too long\n");

    start_matrix(&text, 0);
    buf_text(&text, "  a: ");
    for (uint32_t i = 0; i < 100000; i++)
        buf_char(&text, '(');
    expect_refusal(&text, "matrix: set \"a\": parse: parentheses are nested too deeply\n");

    /* As deep as it goes, and as long a chain of sets as there can be. */
    start_matrix(&text, 0);
    buf_text(&text, "  a: ");
    for (uint32_t i = 0; i < 100; i++)
        buf_char(&text, '(');
    buf_char(&text, 'x');
    for (uint32_t i = 0; i < 100; i++)
        buf_char(&text, ')');
    buf_char(&text, '\n');
    for (uint32_t i = 0; i < 4094; i++)
        buf_printf(&text, "  s%u: +s%u\n", i, i + 1);
    buf_text(&text, "  s4094: x\n");
    expect(&text, 1, 1);
    buf_fini(&text);
}

/* A family against a slow, plain one: bit masks, every combination, then what is part of no other.
 */
static uint32_t plain(const uint32_t *left, uint32_t n, const uint32_t *right, uint32_t m,
                      uint32_t *out)
{
    uint32_t all[64], count = 0, kept = 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < m; k++)
            all[count++] = left[i] | right[k];
    for (uint32_t i = 0; i < count; i++) {
        bool part = false;
        for (uint32_t k = 0; k < count; k++)
            part |= (all[i] & ~all[k]) == 0 && (all[i] != all[k] || k < i);
        if (!part)
            out[kept++] = all[i];
    }
    return kept;
}

static void make_family(struct family *f, struct family_budget *budget, const uint32_t *masks,
                        uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct family set = {0}, one = {0};
        for (uint32_t bit = 0; bit < 32; bit++) {
            if (!(masks[i] >> bit & 1))
                continue;
            /* Numbers that share the bits of a signature. */
            family_one(&one, bit * 32);
            if (set.count == 0)
                family_one(&set, bit * 32);
            assert_int_equal(family_and(&set, &one, budget), FAMILY_FITS);
        }
        assert_int_equal(family_or(f, &set, budget), FAMILY_FITS);
        family_fini(&set);
        family_fini(&one);
    }
}

static uint32_t mask_of(const struct family_set *set)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        assert_true(i == 0 || set->members[i - 1] < set->members[i]);
        mask |= 1U << set->members[i] / 32;
    }
    return mask;
}

static void test_families(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (uint32_t round = 0; round < 500; round++) {
        uint32_t left[8], right[8], wanted[64], nothing = 0;
        uint32_t n = 1 + round % 8, m = 1 + round / 8 % 8;
        struct family a = {0}, b = {0};
        struct family_budget budget = {.steps = 1000000};
        for (uint32_t i = 0; i < 16; i++) {
            seed = seed * 1664525 + 1013904223;
            (i < 8 ? left : right)[i % 8] = 1U << (seed >> 27) | 1U << (seed >> 20 & 7);
        }
        make_family(&a, &budget, left, n);
        make_family(&b, &budget, right, m);
        assert_int_equal(a.count, plain(left, n, &nothing, 1, wanted));
        assert_int_equal(family_and(&a, &b, &budget), FAMILY_FITS);
        uint32_t count = plain(left, n, right, m, wanted), members = 0, found = 0;
        for (uint32_t i = 0; i < a.count; i++) {
            for (uint32_t k = 0; k < count; k++)
                found += wanted[k] == mask_of(&a.sets[i]);
            members += a.sets[i].count;
        }
        assert_int_equal(a.count, count);
        assert_int_equal(found, count);
        assert_int_equal(a.members, members);
        family_fini(&a);
        family_fini(&b);
    }
}

static void test_a_family_at_its_limit_is_as_it_was(void **state)
{
    (void)state;
    struct family a = {0}, b = {0};
    struct family_budget budget = {.steps = 1000000}, none = {.steps = 10};
    make_family(&a, &budget, (uint32_t[]){1, 2, 4}, 3);
    make_family(&b, &budget, (uint32_t[]){8, 16}, 2);
    assert_int_equal(family_and(&a, &b, &none), FAMILY_WORK);
    assert_int_equal(none.steps, 0);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.members, 3);
    assert_int_equal(mask_of(&a.sets[2]), 4);
    family_fini(&a);
    family_fini(&b);
}

static void test_natural_order(void **state)
{
    (void)state;
    /* Each is before all that follow it. */
    static const char *const lists[][8] = {
        {"", "1", "2", "10", "a", "ab", "b", NULL},
        {"s", "s.1", "s1", "s2", "s10", "sA", "sa", NULL},
        {"-", "_", "A", "a", "z", "\xc3\xa9", NULL},
        {"a1b", "a1-", "a2", "a10", "a10b", "a10.", NULL},
        {"v1.2", "v1.9", "v1.10", "v1.10.1", "v2", NULL},
        {"a0", "a00", "a1", "a01", "a10", "a100", NULL},
    };
    for (size_t l = 0; l < countof(lists); l++)
        for (size_t i = 0; lists[l][i]; i++)
            for (size_t k = 0; lists[l][k]; k++) {
                int order = natural_compare(lists[l][i], lists[l][k]);
                if ((order < 0) != (i < k) || (order > 0) != (i > k))
                    fail_msg("'%s' and '%s': %d", lists[l][i], lists[l][k], order);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meanings),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_a_family_at_its_limit_is_as_it_was),
        cmocka_unit_test(test_natural_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
