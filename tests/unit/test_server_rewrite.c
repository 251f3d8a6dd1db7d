/* What a model's filters make of a body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/errors.h"
#include "server/proxy/body.h"
#include "server/proxy/rewrite.h"
#include "server/server.h"

#define OPS_MAX 8

static char scratch[SERVER_SCRATCH_BYTES];

/* Texts of a row are constant; the structs are a configuration's, which has none. */
static char *text_of(const char *text)
{
    union {
        const char *from;
        char *to;
    } same = {text};
    return same.to;
}

struct row {
    const char *name;
    const char *strip[OPS_MAX];
    const char *set[OPS_MAX][2];
    const char *by_id[OPS_MAX][2]; /* where the request asks for "v" */
    const char *body, *want;       /* want NULL: refused */
};

static const struct row rows[] = {
    {.name = "nothing", .body = " {\"a\": 1} ", .want = " {\"a\": 1} "},
    /* taken out */
    {"the only one", {"a"}, {{0}}, {{0}}, "{\"a\":1}", "{}"},
    {"the only one, with blanks", {"a"}, {{0}}, {{0}}, " { \"a\" : 1 } ", " {  } "},
    {"the first", {"a"}, {{0}}, {{0}}, "{\"a\":1,\"b\":2}", "{\"b\":2}"},
    {"the first, with blanks", {"a"}, {{0}}, {{0}}, "{ \"a\" : 1 , \"b\" : 2 }", "{  \"b\" : 2 }"},
    {"the last", {"b"}, {{0}}, {{0}}, "{\"a\":1,\"b\":2}", "{\"a\":1}"},
    {"the last, with blanks", {"b"}, {{0}}, {{0}}, "{ \"a\": 1 , \"b\": 2 }", "{ \"a\": 1  }"},
    {"in the middle", {"b"}, {{0}}, {{0}}, "{\"a\":1,\"b\":[2,{}],\"c\":3}", "{\"a\":1,\"c\":3}"},
    {"side by side", {"a", "b"}, {{0}}, {{0}}, "{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":3}"},
    {"side by side, behind", {"b", "c"}, {{0}}, {{0}}, "{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":1}"},
    {"one of two",
     {"a", "c"},
     {{0}},
     {{0}},
     "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}",
     "{\"b\":2,\"d\":4}"},
    {"all", {"a", "b", "c"}, {{0}}, {{0}}, "{\"c\":1, \"a\":2, \"b\":3}", "{  }"},
    {"not there", {"x"}, {{0}}, {{0}}, "{\"a\":1}", "{\"a\":1}"},
    {"not there, in an empty body", {"x"}, {{0}}, {{0}}, "{}", "{}"},
    {"only at the top", {"a"}, {{0}}, {{0}}, "{\"b\":{\"a\":1}}", "{\"b\":{\"a\":1}}"},
    {"written with escapes", {"abc"}, {{0}}, {{0}}, "{\"\\u0061b\\u0063\":1,\"d\":2}", "{\"d\":2}"},
    {"of two bytes", {"\xc3\xa9"}, {{0}}, {{0}}, "{\"\\u00e9\":1,\"e\":2}", "{\"e\":2}"},
    {"twice there", {"a"}, {{0}}, {{0}}, "{\"a\":1,\"a\":2}", NULL},
    /* set */
    {"in place", {0}, {{"a", "9"}}, {{0}}, "{\"a\":1,\"b\":2}", "{\"a\":9,\"b\":2}"},
    {"in place, with blanks",
     {0},
     {{"a", "9"}},
     {{0}},
     "{ \"a\" :\t1 ,\n\"b\": 2e0}",
     "{ \"a\" :\t9 ,\n\"b\": 2e0}"},
    {"an object",
     {0},
     {{"a", "{\"x\":[1,null]}"}},
     {{0}},
     "{\"a\":\"t\"}",
     "{\"a\":{\"x\":[1,null]}}"},
    {"in place of a list",
     {0},
     {{"a", "true"}},
     {{0}},
     "{\"a\":[1,[2,{\"a\":3}]],\"b\":4}",
     "{\"a\":true,\"b\":4}"},
    {"appended", {0}, {{"c", "\"t\""}}, {{0}}, "{\"a\":1}", "{\"a\":1,\"c\":\"t\"}"},
    {"appended, with blanks", {0}, {{"c", "3"}}, {{0}}, "{ \"a\": 1 }\n", "{ \"a\": 1 ,\"c\":3}\n"},
    {"appended to nothing", {0}, {{"c", "3"}}, {{0}}, "{}", "{\"c\":3}"},
    {"appended, several",
     {0},
     {{"b", "2"}, {"c", "3"}, {"d", "4"}},
     {{0}},
     "{\"c\":0}",
     "{\"c\":3,\"b\":2,\"d\":4}"},
    {"a name to be escaped", {0}, {{"q\"", "1"}}, {{0}}, "{}", "{\"q\\\"\":1}"},
    {"twice there, set", {0}, {{"a", "1"}}, {{0}}, "{\"a\":1,\"b\":0,\"a\":2}", NULL},
    {"twice there in another place",
     {0},
     {{"a", "2"}},
     {{0}},
     "{\"a\":1,\"b\":{\"c\":1,\"c\":1}}",
     "{\"a\":2,\"b\":{\"c\":1,\"c\":1}}"},
    /* taken out, then set */
    {"goes to the end", {"a"}, {{"a", "9"}}, {{0}}, "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":9}"},
    {"goes to the end, alone", {"a"}, {{"a", "9"}}, {{0}}, "{\"a\":1}", "{\"a\":9}"},
    {"all out, one set", {"a", "b"}, {{"c", "9"}}, {{0}}, "{\"a\":1,\"b\":2}", "{\"c\":9}"},
    {"out, and set within",
     {"a"},
     {{"a.x", "9"}},
     {{0}},
     "{\"a\":{\"y\":1},\"b\":2}",
     "{\"b\":2,\"a\":{\"x\":9}}"},
    /* by the name that was asked for */
    {"on top",
     {0},
     {{"a", "1"}, {"b", "2"}},
     {{"b", "3"}, {"c", "4"}},
     "{}",
     "{\"a\":1,\"b\":3,\"c\":4}"},
    {"on top, in place", {0}, {{"a", "1"}}, {{"a", "2"}}, "{ \"a\" : 0 }", "{ \"a\" : 2 }"},
    {"alone", {0}, {{0}}, {{"a", "2"}}, "{\"z\":0}", "{\"z\":0,\"a\":2}"},
    {"on top of what is stripped",
     {"a"},
     {{0}},
     {{"a", "2"}},
     "{\"a\":0,\"z\":0}",
     "{\"z\":0,\"a\":2}"},
    /* paths */
    {"within an object",
     {0},
     {{"a.b", "9"}},
     {{0}},
     "{\"a\":{ \"b\": 1 ,\"c\":2 }}",
     "{\"a\":{ \"b\": 9 ,\"c\":2 }}"},
    {"appended within",
     {0},
     {{"a.d", "9"}},
     {{0}},
     "{\"a\":{\"b\":1}}",
     "{\"a\":{\"b\":1,\"d\":9}}"},
    {"appended within nothing", {0}, {{"a.d", "9"}}, {{0}}, "{\"a\":{ }}", "{\"a\":{ \"d\":9}}"},
    {"made on the way",
     {0},
     {{"a.b.c", "9"}},
     {{0}},
     "{\"z\":0}",
     "{\"z\":0,\"a\":{\"b\":{\"c\":9}}}"},
    {"made on the way, below",
     {0},
     {{"a.b.c", "9"}},
     {{0}},
     "{\"a\":{\"x\":0}}",
     "{\"a\":{\"x\":0,\"b\":{\"c\":9}}}"},
    {"in place of a number", {0}, {{"a.b", "9"}}, {{0}}, "{\"a\":1}", "{\"a\":{\"b\":9}}"},
    {"in place of a text", {0}, {{"a.b", "9"}}, {{0}}, "{\"a\":\"{}\"}", "{\"a\":{\"b\":9}}"},
    {"in place of null, below",
     {0},
     {{"a.b.0", "9"}},
     {{0}},
     "{\"a\":{\"b\":null,\"c\":1}}",
     "{\"a\":{\"b\":[9],\"c\":1}}"},
    {"two in one", {0}, {{"a.b", "1"}, {"a.c", "2"}}, {{0}}, "{}", "{\"a\":{\"b\":1,\"c\":2}}"},
    {"within what was set",
     {0},
     {{"a", "{\"b\":1}"}, {"a.b", "2"}},
     {{0}},
     "{\"a\":0}",
     "{\"a\":{\"b\":2}}"},
    {"taken out within",
     {"a.b"},
     {{0}},
     {{0}},
     "{\"a\":{\"b\":1,\"c\":2},\"d\":3}",
     "{\"a\":{\"c\":2},\"d\":3}"},
    {"taken out within, the only one", {"a.b"}, {{0}}, {{0}}, "{\"a\":{\"b\":1}}", "{\"a\":{}}"},
    {"taken out of what is no object", {"a.b"}, {{0}}, {{0}}, "{\"a\":5}", "{\"a\":5}"},
    {"taken out of what is not there", {"a.b"}, {{0}}, {{0}}, "{\"c\":5}", "{\"c\":5}"},
    {"twice there within", {0}, {{"a.b", "1"}}, {{0}}, "{\"a\":{\"b\":1,\"b\":2}}", NULL},
    {"a dot in a name",
     {0},
     {{"a\\.b", "9"}},
     {{0}},
     "{\"a.b\":1,\"a\":{\"b\":2}}",
     "{\"a.b\":9,\"a\":{\"b\":2}}"},
    {"a dot in a name, below", {0}, {{"a.b\\.c", "9"}}, {{0}}, "{}", "{\"a\":{\"b.c\":9}}"},
    {"a name with escapes, below",
     {0},
     {{"a.bc", "9"}},
     {{0}},
     "{\"a\":{\"\\u0062c\":1}}",
     "{\"a\":{\"\\u0062c\":9}}"},
    /* lists */
    {"an element", {0}, {{"a.1", "9"}}, {{0}}, "{\"a\":[1, 2 ,3]}", "{\"a\":[1, 9 ,3]}"},
    {"within an element",
     {0},
     {{"a.0.b", "9"}},
     {{0}},
     "{\"a\":[{\"b\":1},2]}",
     "{\"a\":[{\"b\":9},2]}"},
    {"the next element", {0}, {{"a.2", "9"}}, {{0}}, "{\"a\":[1,2]}", "{\"a\":[1,2,9]}"},
    {"far behind", {0}, {{"a.4", "9"}}, {{0}}, "{\"a\":[1,2]}", "{\"a\":[1,2,null,null,9]}"},
    {"in an empty list", {0}, {{"a.2", "9"}}, {{0}}, "{\"a\":[]}", "{\"a\":[null,null,9]}"},
    {"a list is made", {0}, {{"a.1", "9"}}, {{0}}, "{}", "{\"a\":[null,9]}"},
    {"one behind the last", {0}, {{"a.-1", "9"}}, {{0}}, "{\"a\":[1,2]}", "{\"a\":[1,2,9]}"},
    {"one behind nothing", {0}, {{"a.-1", "9"}}, {{0}}, "{\"a\":[]}", "{\"a\":[9]}"},
    {"a list is made for the last", {0}, {{"a.-1.b", "9"}}, {{0}}, "{}", "{\"a\":[{\"b\":9}]}"},
    {"a place that is a name",
     {0},
     {{"a.1", "9"}},
     {{0}},
     "{\"a\":{\"1\":0}}",
     "{\"a\":{\"1\":9}}"},
    {"a place that becomes a name",
     {0},
     {{"a.1", "9"}},
     {{0}},
     "{\"a\":{\"b\":0}}",
     "{\"a\":{\"b\":0,\"1\":9}}"},
    {"a name of digits", {0}, {{"a.:1", "9"}}, {{0}}, "{}", "{\"a\":{\"1\":9}}"},
    {"a name of digits, at the top", {0}, {{":1", "9"}}, {{0}}, "{}", "{\"1\":9}"},
    {"a name in a list", {0}, {{"a.b", "9"}}, {{0}}, "{\"a\":[1]}", NULL},
    {"an element goes", {"a.0"}, {{0}}, {{0}}, "{\"a\":[1,2,3]}", "{\"a\":[2,3]}"},
    {"an element goes from the middle",
     {"a.1"},
     {{0}},
     {{0}},
     "{\"a\":[1, 2, 3]}",
     "{\"a\":[1, 3]}"},
    {"the last goes", {"a.-1"}, {{0}}, {{0}}, "{\"a\":[1,2,3]}", "{\"a\":[1,2]}"},
    {"the last of none", {"a.-1"}, {{0}}, {{0}}, "{\"a\":[]}", "{\"a\":[]}"},
    {"too deep", {0}, {{"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "1"}}, {{0}}, "{}", NULL},
    /* all at once */
    {"everything",
     {"frequency_penalty", "temperature"},
     {{"chat_template_kwargs.enable_thinking", "false"}, {"top_k", "20"}},
     {{"temperature", "0.7"}},
     "{\n \"model\" : \"v\", \"temperature\":1.0,\"messages\" : [ {\"content\":\"\\u00e9 "
     "\xc3\xa9\"} "
     "], \"top_k\": 1\n}",
     "{\n \"model\" : \"v\",\"messages\" : [ {\"content\":\"\\u00e9 \xc3\xa9\"} ], \"top_k\": "
     "20\n,\"chat_template_kwargs\":{\"enable_thinking\":false},\"temperature\":0.7}"},
};

struct filters {
    struct config_filters f;
    char *strip[OPS_MAX];
    struct config_param set[OPS_MAX], by_id[OPS_MAX];
    struct config_variant variant;
};

static uint32_t fill(struct config_param *out, const char *const (*ops)[2])
{
    uint32_t n = 0;
    for (; n < OPS_MAX && ops[n][0]; n++)
        out[n] = (struct config_param){.name = text_of(ops[n][0]), .json = text_of(ops[n][1])};
    return n;
}

static void make(struct filters *m, const struct row *r)
{
    uint32_t n = 0;
    memset(m, 0, sizeof(*m));
    for (; n < OPS_MAX && r->strip[n]; n++)
        m->strip[n] = text_of(r->strip[n]);
    m->f.strip = (struct config_strings){.items = m->strip, .count = n};
    m->f.set = (struct config_params){.items = m->set, .count = fill(m->set, r->set)};
    m->variant.id = text_of("v");
    m->variant.set = (struct config_params){.items = m->by_id, .count = fill(m->by_id, r->by_id)};
    m->f.variants = &m->variant;
    m->f.variant_count = 1;
}

static void read_all(const struct body *b, struct buf *out)
{
    const char *data;
    size_t n = 1;
    for (uint64_t at = 0; n; at += n) {
        assert_int_equal(body_peek(b, at, scratch, sizeof(scratch), &data, &n), 0);
        buf_append(out, data, n);
    }
    assert_int_equal(out->len, body_size(b));
}

static struct body_budget budget(void)
{
    const char *folder = getenv("TMPDIR");
    return (struct body_budget){.folder = folder ? folder : "/tmp",
                                .spooled_max = 64 * 1024 * 1024,
                                .body_max = 64 * 1024 * 1024};
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        const struct row *r = &rows[i];
        struct body_budget shared = budget();
        struct body b;
        struct filters made;
        struct buf why = {0}, got = {0};
        make(&made, r);
        body_init(&b, &shared);
        assert_int_equal(body_append(&b, r->body, strlen(r->body), 0), 0);
        int rc = rewrite_body(&b, &made.f, "v", NULL, scratch, &why);
        read_all(&b, &got);
        if (rc != (r->want ? 0 : -ERR_BODY_INVALID) || (rc < 0) != (why.len > 0))
            fail_msg("%s: %d, %s", r->name, rc, why.data);
        const char *want = r->want ? r->want : r->body;
        if (strlen(want) != got.len || memcmp(want, got.data, got.len) != 0)
            fail_msg("%s: got %s, expected %s", r->name, got.data, want);
        buf_fini(&why);
        buf_fini(&got);
        body_fini(&b);
    }
}

static void test_another_name(void **state)
{
    (void)state;
    struct filters made;
    make(&made, &(struct row){.by_id = {{"a", "1"}}});
    assert_true(rewrite_is_needed(&made.f, "v"));
    assert_false(rewrite_is_needed(&made.f, "w"));
}

/* Behind what the filters do: what they take out is not there any more. */
static void test_fallback(void **state)
{
    static const struct {
        struct row filters;
        const char *body, *want;
        bool always;
    } cases[] = {
        {{0}, "{\"a\":1}", "{\"a\":1,\"p\":50}", true},
        {{0}, "{\"p\":7,\"a\":1}", "{\"p\":50,\"a\":1}", true},
        {{.set = {{"p", "1"}}}, "{}", "{\"p\":50}", true},
        {{.set = {{"p", "1"}}}, "{\"p\": {}}", "{\"p\": 50}", true},
        {{0}, "{\"a\":1}", "{\"a\":1,\"p\":50}", false},
        {{0}, "{ }", "{ \"p\":50}", false},
        {{0}, "{\"p\":7}", "{\"p\":7}", false},
        {{0}, "{\"\\u0070\":null}", "{\"\\u0070\":null}", false},
        {{0}, "{\"o\":{\"p\":7}}", "{\"o\":{\"p\":7},\"p\":50}", false},
        {{.set = {{"p", "1"}}}, "{}", "{\"p\":1}", false},
        {{.strip = {"p"}}, "{\"p\":7}", "{\"p\":50}", false},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct body_budget shared = budget();
        struct body b;
        struct filters made;
        struct buf why = {0}, got = {0};
        const struct rewrite_fallback fallback = {
            .name = "p", .json = "50", .always = cases[i].always};
        make(&made, &cases[i].filters);
        body_init(&b, &shared);
        assert_int_equal(body_append(&b, cases[i].body, strlen(cases[i].body), 0), 0);
        assert_int_equal(rewrite_body(&b, &made.f, "v", &fallback, scratch, &why), 0);
        read_all(&b, &got);
        assert_string_equal(got.data, cases[i].want);
        buf_fini(&got);
        body_fini(&b);
    }
}

/* More members than the scanner looks for at once, in a body that does not fit into memory. */
static void test_many_in_a_large_body(void **state)
{
    (void)state;
    enum { MANY = 150, TEXT = 200 * 1024 };
    static struct config_param set[MANY];
    static char names[MANY][16];
    struct buf body = {0}, want = {0}, got = {0}, why = {0};
    struct body_budget shared = budget();
    struct body b;
    buf_text(&body, "{\"long\":\"");
    for (int i = 0; i < TEXT; i++)
        buf_char(&body, (char)('a' + i % 26));
    buf_text(&body, "\"");
    buf_append(&want, body.data, body.len);
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "n%03d", i);
        set[i] = (struct config_param){.name = names[i], .json = text_of("true")};
        if (i % 2) {
            buf_printf(&body, " , \"%s\": %d", names[i], i);
            buf_printf(&want, " , \"%s\": true", names[i]);
        }
    }
    for (int i = 0; i < MANY; i += 2)
        buf_printf(&want, ",\"%s\":true", names[i]);
    buf_char(&body, '}');
    buf_char(&want, '}');
    body_init(&b, &shared);
    assert_int_equal(body_append(&b, body.data, body.len, 0), 0);
    struct config_filters f = {.set = {.items = set, .count = MANY}};
    assert_int_equal(rewrite_body(&b, &f, "x", NULL, scratch, &why), 0);
    read_all(&b, &got);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    body_fini(&b);
    buf_fini(&body);
    buf_fini(&want);
    buf_fini(&got);
}

/* A path into a member that is too large to be taken apart. */
static void test_a_large_value(void **state)
{
    (void)state;
    struct buf body = {0}, why = {0};
    struct body_budget shared = budget();
    struct body b;
    struct filters made;
    make(&made, &(struct row){.set = {{"a.x", "1"}}});
    buf_text(&body, "{\"a\":[\"");
    for (int i = 0; i < REWRITE_VALUE_MAX; i++)
        buf_char(&body, 'x');
    buf_text(&body, "\"]}");
    body_init(&b, &shared);
    assert_int_equal(body_append(&b, body.data, body.len, 0), 0);
    assert_int_equal(rewrite_body(&b, &made.f, "x", NULL, scratch, &why), -ERR_BODY_TOO_LARGE);
    assert_int_equal(b.edit_count, 0);
    assert_non_null(strstr(why.data, "too large"));
    body_fini(&b);
    buf_fini(&body);
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),          cmocka_unit_test(test_another_name),
        cmocka_unit_test(test_fallback),      cmocka_unit_test(test_many_in_a_large_body),
        cmocka_unit_test(test_a_large_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
