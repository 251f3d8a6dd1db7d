#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/pure/errors.h"
#include "http/json.h"

#include "http_input.h"

static const char *const type_names[] = {
    [JSON_TYPE_ABSENT] = "absent", [JSON_TYPE_STRING] = "string", [JSON_TYPE_NUMBER] = "number",
    [JSON_TYPE_TRUE] = "true",     [JSON_TYPE_FALSE] = "false",   [JSON_TYPE_NULL] = "null",
    [JSON_TYPE_OBJECT] = "object", [JSON_TYPE_ARRAY] = "array",
};

static int feed(struct json_scan *s, enum input_edge edge, const char *text, size_t n)
{
    return json_scan_feed(s, input_put(edge, text, n), n);
}

/* Feeds text[0..cut), then the rest, then the end. */
static int scan_cut(struct json_scan *s, const char *text, size_t n, size_t cut)
{
    json_scan_init(s);
    int error = feed(s, INPUT_AT_END, text, cut);
    if (error == 0)
        error = feed(s, INPUT_AT_START, text + cut, n - cut);
    else
        assert_int_equal(json_scan_feed(s, "}", 1), error);
    return error ? error : json_scan_end(s);
}

static int scan_bytes(struct json_scan *s, const char *text, size_t n)
{
    int error = 0;
    json_scan_init(s);
    for (size_t i = 0; i < n && error == 0; i++)
        error = feed(s, INPUT_AT_END, text + i, 1);
    return error ? error : json_scan_end(s);
}

/* "model=string@10+3:a/1 stream=true@20+4", absent ones left out, '!' for a duplicate. */
static const char *describe(const struct json_scan *s)
{
    static const char *const names[] = {
        [JSON_MEMBER_MODEL] = "model", [JSON_MEMBER_STREAM] = "stream"};
    static char out[1024];
    size_t n = 0;
    out[0] = '\0';
#define SAY(...) n += (size_t)snprintf(out + n, sizeof(out) - n, __VA_ARGS__)
    for (int i = 0; i < JSON_MEMBER__COUNT; i++) {
        const struct json_found *f = &s->found[i];
        if (f->type == JSON_TYPE_ABSENT)
            continue;
        SAY("%s%s=%s@%d+%d%s", n ? " " : "", names[i], type_names[f->type], (int)f->off,
            (int)f->len, f->duplicate ? "!" : "");
        if (f->type == JSON_TYPE_STRING)
            SAY(":%s/%u", i == JSON_MEMBER_MODEL ? s->model : "", f->text_len);
    }
#undef SAY
    return out;
}

static void check_good(const char *text, const struct json_scan *s, int error, size_t cut, size_t n,
                       const char *want)
{
    if (error)
        fail_msg("'%s', cut at %zu: returned %d at %llu", text, cut, error,
                 (unsigned long long)s->offset);
    if (s->offset != n)
        fail_msg("'%s', cut at %zu: offset %llu, expected %zu", text, cut,
                 (unsigned long long)s->offset, n);
    if (strcmp(describe(s), want) != 0)
        fail_msg("'%s', cut at %zu: found '%s', expected '%s'", text, cut, describe(s), want);
}

static void expect_good(const char *text, size_t n, const char *want)
{
    struct json_scan s;
    for (size_t cut = 0; cut <= n; cut++) {
        int error = scan_cut(&s, text, n, cut);
        check_good(text, &s, error, cut, n, want);
    }
    int error = scan_bytes(&s, text, n);
    check_good(text, &s, error, n, n, want);
}

static const struct {
    const char *text;
    size_t n;
    const char *want;
} good[] = {
    {TEXT("{}"), ""},
    {TEXT(" \t\r\n{ \t\r\n} \t\r\n"), ""},
    {TEXT("{\"model\":\"a\"}"), "model=string@9+3:a/1"},
    {TEXT("{\"model\" : \"a\" , \"stream\" : true }"), "model=string@11+3:a/1 stream=true@28+4"},
    {TEXT("{\"stream\":false,\"model\":\"\"}"), "model=string@24+2:/0 stream=false@10+5"},
    {TEXT("{\"stream\":\"yes\"}"), "stream=string@10+5:/3"},
    {TEXT("{\"model\":null}"), "model=null@9+4"},
    {TEXT("{\"model\":-1.5e+3,\"stream\":0}"), "model=number@9+7 stream=number@26+1"},
    {TEXT("{\"model\":12 }"), "model=number@9+2"},
    {TEXT("{\"model\":{\"model\":\"x\"} }"), "model=object@9+13"},
    {TEXT("{\"model\":[{\"stream\":1},[]]}"), "model=array@9+17"},
    /* Only the top level counts, whatever came before. */
    {TEXT("{\"a\":{\"model\":\"x\",\"stream\":1},\"b\":[{\"model\":1}],\"model\":\"y\"}"),
     "model=string@56+3:y/1"},
    {TEXT("{\"x\":\"model\",\"model\":\"stream\"}"), "model=string@21+8:stream/6"},
    /* Names that are nearly it. */
    {TEXT("{\"mode\":1,\"models\":2,\"Model\":3,\"\":4,\"model\\u0000\":5,\" model\":6}"), ""},
    {TEXT("{\"model___________\":1,\"modelmodelmodelmodel\":2,\"streamstreamstre\":3}"), ""},
    /* Escapes are decoded before names are compared. */
    {TEXT("{\"mod\\u0065l\":\"a\"}"), "model=string@14+3:a/1"},
    {TEXT("{\"\\u006D\\u006f\\u0064\\u0065\\u006C\":\"a\"}"), "model=string@34+3:a/1"},
    {TEXT("{\"s\\u0074ream\":true}"), "stream=true@15+4"},
    {TEXT("{\"model\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}"), "model=string@9+18:\"\\/\b\f\n\r\t/8"},
    {TEXT("{\"model\":\"\\u00e4\\u20AC\\ud83d\\ude00\"}"),
     "model=string@9+26:\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80/9"},
    {TEXT("{\"model\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"}"),
     "model=string@9+11:\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80/9"},
    {TEXT("{\"model\":\"\\u007f\\u0080\\u07ff\\u0800\\ud7ff\\ue000\\uffff\"}"),
     "model=string@9+44:\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf/17"},
    {TEXT("{\"model\":\"\\ud800\\udc00\\udbff\\udfff\"}"),
     "model=string@9+26:\xf0\x90\x80\x80\xf4\x8f\xbf\xbf/8"},
    /* Half pairs are valid JSON and stand for U+FFFD. */
    {TEXT("{\"model\":\"\\ud83d\"}"), "model=string@9+8:\xef\xbf\xbd/3"},
    {TEXT("{\"model\":\"\\ude00a\"}"), "model=string@9+9:\xef\xbf\xbd"
                                       "a/4"},
    {TEXT("{\"model\":\"\\ud83dx\\ude00\"}"), "model=string@9+15:\xef\xbf\xbdx\xef\xbf\xbd/7"},
    {TEXT("{\"model\":\"\\ud83d\\n\"}"), "model=string@9+10:\xef\xbf\xbd\n/4"},
    {TEXT("{\"model\":\"\\ud83d\\ud83d\\ude00\"}"),
     "model=string@9+20:\xef\xbf\xbd\xf0\x9f\x98\x80/7"},
    {TEXT("{\"model\":\"\\ud83d\\u0041\"}"), "model=string@9+14:\xef\xbf\xbd"
                                             "A/4"},
    {TEXT("{\"model\":\"\\ud83d\xc3\xa4\"}"), "model=string@9+10:\xef\xbf\xbd\xc3\xa4/5"},
    {TEXT("{\"\\ud83d\":\"\\ud83d\",\"model\":\"a\"}"), "model=string@27+3:a/1"},
    /* A decoded NUL is there, and shows in the length. */
    {TEXT("{\"model\":\"a\\u0000b\"}"), "model=string@9+10:a/3"},
    /* The first stands, the second is told. */
    {TEXT("{\"model\":\"a\",\"model\":\"bb\"}"), "model=string@9+3!:a/1"},
    {TEXT("{\"model\":\"a\",\"mod\\u0065l\":{\"model\":1}}"), "model=string@9+3!:a/1"},
    {TEXT("{\"model\":null,\"model\":\"b\",\"stream\":true,\"stream\":false}"),
     "model=null@9+4! stream=true@35+4!"},
    /* Numbers. */
    {TEXT("{\"a\":[0,-0,1,10,0.0,0.10,-1.5,1e1,1E+1,1e-01,0e0,123456789012345678901234567890]}"),
     ""},
    {TEXT("{\"a\":1e999,\"b\":-9999999999999999999999}"), ""},
    /* The borders of UTF-8. */
    {TEXT("{\"a\":\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xe0\xbf\xbf\xe1\x80\x80\xec\xbf\xbf\xed\x80"
          "\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf3\xbf\xbf\xbf\xf4\x80\x80"
          "\x80\xf4\x8f\xbf\xbf\"}"),
     ""},
    {TEXT("{\"long plain text of more than eight bytes\":\"and 'one' more, with a \\\\ in it\"}"),
     ""},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        expect_good(good[i].text, good[i].n, good[i].want);
}

/* off: where the offending byte stands. The length: the body stops early. */
static const struct {
    const char *text;
    size_t n;
    uint64_t off;
} bad[] = {
    {TEXT(""), 0},
    {TEXT("  "), 2},
    /* Not an object. */
    {TEXT("[]"), 0},
    {TEXT("\"a\""), 0},
    {TEXT(" 1"), 1},
    {TEXT("null"), 0},
    {TEXT("\xef\xbb\xbf{}"), 0},
    {TEXT("\0{}"), 0},
    /* Behind the object. */
    {TEXT("{}x"), 2},
    {TEXT("{} {}"), 3},
    {TEXT("{},"), 2},
    {TEXT("{}}"), 2},
    {TEXT("{}\0"), 2},
    {TEXT("{}\x0b"), 2},
    /* Structure. */
    {TEXT("{"), 1},
    {TEXT("{\"a\""), 4},
    {TEXT("{\"a\":"), 5},
    {TEXT("{\"a\":1"), 6},
    {TEXT("{\"a\":1,"), 7},
    {TEXT("{\"a\":[1"), 7},
    {TEXT("{\"a\":{}"), 7},
    {TEXT("{,}"), 1},
    {TEXT("{\"a\"}"), 4},
    {TEXT("{\"a\",1}"), 4},
    {TEXT("{\"a\"::1}"), 5},
    {TEXT("{\"a\":}"), 5},
    {TEXT("{\"a\":1,}"), 7},
    {TEXT("{\"a\":1;}"), 6},
    {TEXT("{\"a\":1 \"b\":2}"), 7},
    {TEXT("{\"a\":1:2}"), 6},
    {TEXT("{a:1}"), 1},
    {TEXT("{'a':1}"), 1},
    {TEXT("{1:1}"), 1},
    {TEXT("{null:1}"), 1},
    {TEXT("{\"a\":[1,]}"), 8},
    {TEXT("{\"a\":[,1]}"), 6},
    {TEXT("{\"a\":[1 2]}"), 8},
    {TEXT("{\"a\":[1}}"), 7},
    {TEXT("{\"a\":{]}"), 6},
    {TEXT("{\"a\":{\"b\":1]}"), 11},
    {TEXT("{\"a\":]"), 5},
    {TEXT("{]"), 1},
    {TEXT("{\"a\":1]"), 6},
    {TEXT("{\"a\":1/**/}"), 6},
    {TEXT("{\"a\":\x0c"
          "1}"),
     5},
    {TEXT("{\"a\":\xc2\xa0"
          "1}"),
     5},
    /* Literals. */
    {TEXT("{\"a\":tru}"), 8},
    {TEXT("{\"a\":True}"), 5},
    {TEXT("{\"a\":truee}"), 9},
    {TEXT("{\"a\":nul"), 8},
    {TEXT("{\"a\":falsx}"), 9},
    {TEXT("{\"a\":NaN}"), 5},
    {TEXT("{\"a\":Infinity}"), 5},
    /* Numbers. */
    {TEXT("{\"a\":01}"), 6},
    {TEXT("{\"a\":-01}"), 7},
    {TEXT("{\"a\":+1}"), 5},
    {TEXT("{\"a\":-}"), 6},
    {TEXT("{\"a\":.5}"), 5},
    {TEXT("{\"a\":1.}"), 7},
    {TEXT("{\"a\":1.e1}"), 7},
    {TEXT("{\"a\":1.5.}"), 8},
    {TEXT("{\"a\":1e}"), 7},
    {TEXT("{\"a\":1e+}"), 8},
    {TEXT("{\"a\":1e1.5}"), 8},
    {TEXT("{\"a\":1e+-1}"), 8},
    {TEXT("{\"a\":0x1}"), 6},
    {TEXT("{\"a\":1-1}"), 6},
    {TEXT("{\"a\":1_0}"), 6},
    {TEXT("{\"a\":-Infinity}"), 6},
    /* Strings. */
    {TEXT("{\"a"), 3},
    {TEXT("{\"a\":\"b"), 7},
    {TEXT("{\"a\":\"\n\"}"), 6},
    {TEXT("{\"a\":\"\t\"}"), 6},
    {TEXT("{\"a\":\"\0\"}"), 6},
    {TEXT("{\"a\":\"01234567890123\x1f\"}"), 20},
    {TEXT("{\"a\r\":1}"), 3},
    {TEXT("{\"a\":\"\\"), 7},
    {TEXT("{\"a\":\"\\a\"}"), 7},
    {TEXT("{\"a\":\"\\'\"}"), 7},
    {TEXT("{\"a\":\"\\U0041\"}"), 7},
    {TEXT("{\"a\":\"\\\0\"}"), 7},
    {TEXT("{\"a\":\"\\\n\"}"), 7},
    {TEXT("{\"a\":\"\\u\"}"), 8},
    {TEXT("{\"a\":\"\\u00g0\"}"), 10},
    {TEXT("{\"a\":\"\\u004\"}"), 11},
    {TEXT("{\"a\":\"\\u004"), 11},
    {TEXT("{\"a\":\"\\u+123\"}"), 8},
    {TEXT("{\"model\":\"\\u 123\"}"), 12},
    {TEXT("{\"\\x\":1}"), 3},
    /* UTF-8. */
    {TEXT("{\"a\":\"\x80\"}"), 6},
    {TEXT("{\"a\":\"\xbf\"}"), 6},
    {TEXT("{\"a\":\"\xc0\x80\"}"), 6},
    {TEXT("{\"a\":\"\xc1\xbf\"}"), 6},
    {TEXT("{\"a\":\"\xc3\"}"), 7},
    {TEXT("{\"a\":\"\xc3"), 7},
    {TEXT("{\"a\":\"\xc3\xa4\xc3(\"}"), 9},
    {TEXT("{\"a\":\"\xe0\x9f\xbf\"}"), 7},
    {TEXT("{\"a\":\"\xe2\x82\"}"), 8},
    {TEXT("{\"a\":\"\xe2\x82\xc3\xa4\"}"), 8},
    {TEXT("{\"a\":\"\xe2(\xac\"}"), 7},
    {TEXT("{\"a\":\"\xed\xa0\x80\"}"), 7},
    {TEXT("{\"a\":\"\xed\xbf\xbf\"}"), 7},
    {TEXT("{\"a\":\"\xf0\x8f\xbf\xbf\"}"), 7},
    {TEXT("{\"a\":\"\xf0\x9f\x98\"}"), 9},
    {TEXT("{\"a\":\"\xf4\x90\x80\x80\"}"), 7},
    {TEXT("{\"a\":\"\xf5\x80\x80\x80\"}"), 6},
    {TEXT("{\"a\":\"\xff\"}"), 6},
    {TEXT("{\"model\":\"abc\xfe\"}"), 13},
    {TEXT("{\"mod\xe9l\":\"abc\"}"), 6},
};

static void check_bad(const char *text, const struct json_scan *s, int error, size_t cut,
                      uint64_t off)
{
    if (error != -ERR_JSON_INVALID || s->offset != off)
        fail_msg("'%s', cut at %zu: returned %d at %llu, expected %d at %llu", text, cut, error,
                 (unsigned long long)s->offset, -ERR_JSON_INVALID, (unsigned long long)off);
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        struct json_scan s;
        for (size_t cut = 0; cut <= bad[i].n; cut++) {
            int error = scan_cut(&s, bad[i].text, bad[i].n, cut);
            check_bad(bad[i].text, &s, error, cut, bad[i].off);
        }
        int error = scan_bytes(&s, bad[i].text, bad[i].n);
        check_bad(bad[i].text, &s, error, bad[i].n, bad[i].off);
    }
}

/* An object and `depth` - 1 arrays within it. */
static void test_depth(void **state)
{
    (void)state;
    static char text[4 * JSON_DEPTH_MAX];
    for (size_t depth = 2; depth <= JSON_DEPTH_MAX + 1; depth++) {
        size_t n = 0;
        memcpy(text, "{\"model\":", 9);
        n = 9;
        memset(text + n, '[', depth - 1);
        n += depth - 1;
        memset(text + n, ']', depth - 1);
        n += depth - 1;
        text[n++] = '}';
        struct json_scan s;
        int error = scan_cut(&s, text, n, n / 2);
        if (depth <= JSON_DEPTH_MAX) {
            assert_int_equal(error, 0);
            assert_int_equal(s.found[JSON_MEMBER_MODEL].len, 2 * (depth - 1));
        } else {
            check_bad("deep", &s, error, n / 2, 9 + JSON_DEPTH_MAX - 1);
        }
    }
}

/* Brackets must close as they were opened, at every level. */
static void test_nesting_kinds(void **state)
{
    (void)state;
    char text[1024];
    for (unsigned bits = 0; bits < 1024; bits++) {
        size_t n = (size_t)snprintf(text, sizeof(text), "{\"a\":");
        for (int i = 0; i < 10; i++)
            n +=
                (size_t)snprintf(text + n, sizeof(text) - n, "%s", bits >> i & 1 ? "{\"a\":" : "[");
        text[n++] = '1';
        for (int i = 9; i >= 0; i--)
            text[n++] = bits >> i & 1 ? '}' : ']';
        text[n++] = '}';
        struct json_scan s;
        assert_int_equal(scan_cut(&s, text, n, n / 2), 0);
        size_t wrong = n - 2 - bits % 10;
        text[wrong] = text[wrong] == '}' ? ']' : '}';
        int error = scan_cut(&s, text, n, n / 2);
        check_bad(text, &s, error, n / 2, wrong);
    }
}

/* Values around the size that is kept. */
static void test_long_values(void **state)
{
    (void)state;
    static char text[4 * JSON_TEXT_MAX];
    for (size_t len = JSON_TEXT_MAX - 20; len < JSON_TEXT_MAX + 20; len++) {
        struct json_scan s;
        memcpy(text, "{\"model\":\"", 10);
        for (size_t i = 0; i < len; i++)
            text[10 + i] = (char)('a' + i % 26);
        memcpy(text + 10 + len, "\"}", 2);
        for (size_t cut = 10; cut < 12 + len; cut += 7) {
            assert_int_equal(scan_cut(&s, text, 12 + len, cut), 0);
            size_t kept = len < JSON_TEXT_MAX ? len : JSON_TEXT_MAX;
            assert_int_equal(s.found[JSON_MEMBER_MODEL].text_len, len);
            assert_int_equal(s.found[JSON_MEMBER_MODEL].len, len + 2);
            assert_int_equal(strlen(s.model), kept);
            assert_memory_equal(s.model, text + 10, kept);
        }
    }
}

/* Every byte in a string, at every place of a word and behind one. */
static void test_every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        if (c == '"' || c == '\\')
            continue;
        for (size_t at = 0; at < 20; at++) {
            char text[32];
            memset(text, 'x', sizeof(text));
            memcpy(text, "{\"a\":\"", 6);
            memcpy(text + sizeof(text) - 2, "\"}", 2);
            text[6 + at] = (char)c;
            struct json_scan s;
            int error = scan_cut(&s, text, sizeof(text), 3);
            bool plain = c >= 0x20 && c < 0x80;
            uint64_t off = plain ? sizeof(text) : c >= 0xc2 && c <= 0xf4 ? 7 + at : 6 + at;
            if ((error == 0) != plain || s.offset != off)
                fail_msg("byte %02x at %zu: returned %d at %llu, expected %llu", c, at, error,
                         (unsigned long long)s.offset, (unsigned long long)off);
        }
    }
}

static void test_final_states(void **state)
{
    (void)state;
    struct json_scan s;
    json_scan_init(&s);
    assert_int_equal(json_scan_feed(&s, "{", 1), 0);
    assert_int_equal(json_scan_end(&s), -ERR_JSON_INVALID);
    assert_int_equal(json_scan_feed(&s, "}", 1), -ERR_JSON_INVALID);
    assert_int_equal(json_scan_end(&s), -ERR_JSON_INVALID);
    assert_int_equal(s.offset, 1);
    json_scan_init(&s);
    assert_int_equal(json_scan_feed(&s, "{}", 2), 0);
    assert_int_equal(json_scan_feed(&s, NULL, 0), 0);
    assert_int_equal(json_scan_end(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),         cmocka_unit_test(test_bad),
        cmocka_unit_test(test_depth),        cmocka_unit_test(test_nesting_kinds),
        cmocka_unit_test(test_long_values),  cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_final_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
