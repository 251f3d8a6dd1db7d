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

#define TEXT_MAX 512

enum { WANT_MODEL, WANT_STREAM, WANT__COUNT };

/* A scan with what it looks for. */
struct looked {
    struct json_scan scan;
    struct json_want wants[JSON_WANTS_MAX];
    char model[TEXT_MAX + 1];
};

static void begin(struct looked *l)
{
    static const struct json_step model[] = {JSON_NAME("model")}, stream[] = {JSON_NAME("stream")};
    l->wants[WANT_MODEL] = (struct json_want){
        .path = model, .steps = 1, .text = l->model, .text_size = sizeof(l->model)};
    l->wants[WANT_STREAM] = (struct json_want){.path = stream, .steps = 1};
    json_scan_init(&l->scan, l->wants, WANT__COUNT);
}

static int feed(struct json_scan *s, enum input_edge edge, const char *text, size_t n)
{
    return json_scan_feed(s, input_put(edge, text, n), n);
}

/* Feeds text[0..cut), then the rest, then the end. */
static int feed_cut(struct json_scan *s, const char *text, size_t n, size_t cut)
{
    int error = feed(s, INPUT_AT_END, text, cut);
    if (error == 0)
        error = feed(s, INPUT_AT_START, text + cut, n - cut);
    else
        assert_int_equal(json_scan_feed(s, "}", 1), error);
    return error ? error : json_scan_end(s);
}

static int scan_cut(struct looked *l, const char *text, size_t n, size_t cut)
{
    begin(l);
    return feed_cut(&l->scan, text, n, cut);
}

static int scan_bytes(struct looked *l, const char *text, size_t n)
{
    int error = 0;
    begin(l);
    for (size_t i = 0; i < n && error == 0; i++)
        error = feed(&l->scan, INPUT_AT_END, text + i, 1);
    return error ? error : json_scan_end(&l->scan);
}

/* "model=string@10+3:a/1 stream=true@20+4", absent ones left out, '!' for a duplicate. */
static const char *describe(const struct looked *l)
{
    static const char *const names[] = {[WANT_MODEL] = "model", [WANT_STREAM] = "stream"};
    static char out[1024];
    size_t n = 0;
    out[0] = '\0';
#define SAY(...) n += (size_t)snprintf(out + n, sizeof(out) - n, __VA_ARGS__)
    for (int i = 0; i < WANT__COUNT; i++) {
        const struct json_want *f = &l->wants[i];
        if (f->type == JSON_TYPE_ABSENT)
            continue;
        SAY("%s%s=%s@%d+%d%s", n ? " " : "", names[i], type_names[f->type], (int)f->off,
            (int)f->len, f->duplicate ? "!" : "");
        if (f->type == JSON_TYPE_STRING)
            SAY(":%s/%u", i == WANT_MODEL ? l->model : "", f->text_len);
    }
#undef SAY
    return out;
}

static void check_good(const char *text, const struct looked *l, int error, size_t cut, size_t n,
                       const char *want)
{
    unsigned long long offset = l->scan.offset;
    if (error)
        fail_msg("'%s', cut at %zu: returned %d at %llu", text, cut, error, offset);
    if (offset != n)
        fail_msg("'%s', cut at %zu: offset %llu, expected %zu", text, cut, offset, n);
    if (strcmp(describe(l), want) != 0)
        fail_msg("'%s', cut at %zu: found '%s', expected '%s'", text, cut, describe(l), want);
}

static void expect_good(const char *text, size_t n, const char *want)
{
    struct looked l;
    for (size_t cut = 0; cut <= n; cut++) {
        int error = scan_cut(&l, text, n, cut);
        check_good(text, &l, error, cut, n, want);
    }
    int error = scan_bytes(&l, text, n);
    check_good(text, &l, error, n, n, want);
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

static void check_bad(const char *text, const struct looked *l, int error, size_t cut, uint64_t off)
{
    if (error != -ERR_JSON_INVALID || l->scan.offset != off)
        fail_msg("'%s', cut at %zu: returned %d at %llu, expected %d at %llu", text, cut, error,
                 (unsigned long long)l->scan.offset, -ERR_JSON_INVALID, (unsigned long long)off);
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        struct looked l;
        for (size_t cut = 0; cut <= bad[i].n; cut++) {
            int error = scan_cut(&l, bad[i].text, bad[i].n, cut);
            check_bad(bad[i].text, &l, error, cut, bad[i].off);
        }
        int error = scan_bytes(&l, bad[i].text, bad[i].n);
        check_bad(bad[i].text, &l, error, bad[i].n, bad[i].off);
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
        struct looked l;
        int error = scan_cut(&l, text, n, n / 2);
        if (depth <= JSON_DEPTH_MAX) {
            assert_int_equal(error, 0);
            assert_int_equal(l.wants[WANT_MODEL].len, 2 * (depth - 1));
        } else {
            check_bad("deep", &l, error, n / 2, 9 + JSON_DEPTH_MAX - 1);
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
        struct looked l;
        assert_int_equal(scan_cut(&l, text, n, n / 2), 0);
        size_t wrong = n - 2 - bits % 10;
        text[wrong] = text[wrong] == '}' ? ']' : '}';
        int error = scan_cut(&l, text, n, n / 2);
        check_bad(text, &l, error, n / 2, wrong);
    }
}

/* Values around the size that is kept. */
static void test_long_values(void **state)
{
    (void)state;
    static char text[4 * TEXT_MAX];
    for (size_t len = TEXT_MAX - 20; len < TEXT_MAX + 20; len++) {
        struct looked l;
        memcpy(text, "{\"model\":\"", 10);
        for (size_t i = 0; i < len; i++)
            text[10 + i] = (char)('a' + i % 26);
        memcpy(text + 10 + len, "\"}", 2);
        for (size_t cut = 10; cut < 12 + len; cut += 7) {
            assert_int_equal(scan_cut(&l, text, 12 + len, cut), 0);
            size_t kept = len < TEXT_MAX ? len : TEXT_MAX;
            assert_int_equal(l.wants[WANT_MODEL].text_len, len);
            assert_int_equal(l.wants[WANT_MODEL].len, len + 2);
            assert_int_equal(strlen(l.model), kept);
            assert_memory_equal(l.model, text + 10, kept);
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
            struct looked l;
            int error = scan_cut(&l, text, sizeof(text), 3);
            bool plain = c >= 0x20 && c < 0x80;
            uint64_t off = plain ? sizeof(text) : c >= 0xc2 && c <= 0xf4 ? 7 + at : 6 + at;
            if ((error == 0) != plain || l.scan.offset != off)
                fail_msg("byte %02x at %zu: returned %d at %llu, expected %llu", c, at, error,
                         (unsigned long long)l.scan.offset, (unsigned long long)off);
        }
    }
}

static void test_final_states(void **state)
{
    (void)state;
    struct looked l;
    begin(&l);
    assert_int_equal(json_scan_feed(&l.scan, "{", 1), 0);
    assert_int_equal(json_scan_end(&l.scan), -ERR_JSON_INVALID);
    assert_int_equal(json_scan_feed(&l.scan, "}", 1), -ERR_JSON_INVALID);
    assert_int_equal(json_scan_end(&l.scan), -ERR_JSON_INVALID);
    assert_int_equal(l.scan.offset, 1);
    begin(&l);
    assert_int_equal(json_scan_feed(&l.scan, "{}", 2), 0);
    assert_int_equal(json_scan_feed(&l.scan, NULL, 0), 0);
    assert_int_equal(json_scan_end(&l.scan), 0);
}

/* ---- paths ---- */

#define PATH_STEPS 3

static const struct {
    struct json_step steps[PATH_STEPS]; /* up to the first without a name */
} paths[] = {
    {{JSON_NAME("a")}},
    {{JSON_NAME("a"), JSON_NAME("b")}},
    {{JSON_NAME("a"), {"1", 1, 1}}},
    {{JSON_NAME("a"), {"-1", 2, JSON_LAST}, JSON_NAME("b")}},
    {{JSON_NAME("a"), JSON_NAME("b"), JSON_NAME("c")}},
};

/* "0=number@5+1" for what was found, '!' for a duplicate, "<4" and ">6" for the commas beside it,
 * "n1" for where its name stands, "^1}7" for the innermost container where nothing was found: the
 * steps to it, its bracket and where that stands, and "-" when it is empty. */
static const char *describe_paths(const struct json_want *wants)
{
    static char out[2048];
    size_t n = 0;
    out[0] = '\0';
#define SAY(...) n += (size_t)snprintf(out + n, sizeof(out) - n, __VA_ARGS__)
    for (unsigned i = 0; i < countof(paths); i++) {
        const struct json_want *w = &wants[i];
        SAY("%s%u%s", n ? " " : "", i, w->duplicate ? "!" : "");
        if (w->type == JSON_TYPE_ABSENT) {
            SAY("^%u%c%d%s", w->inner.steps, w->inner.array ? ']' : '}', (int)w->inner.close,
                w->inner.empty ? "-" : "");
            continue;
        }
        SAY("=%s@%d+%d", type_names[w->type], (int)w->off, (int)w->len);
        if (w->name_off != w->off)
            SAY("n%d", (int)w->name_off);
        if (w->before)
            SAY("<%d", (int)w->before);
        if (w->after)
            SAY(">%d", (int)w->after);
    }
#undef SAY
    return out;
}

static const struct {
    const char *text, *want;
} found_by_path[] = {
    {"{}", "0^0}1- 1^0}1- 2^0}1- 3^0}1- 4^0}1-"},
    {"{\"a\":1}", "0=number@5+1n1 1^0}6 2^0}6 3^0}6 4^0}6"},
    {"{ \"x\":{}, \"a\" : 1 , \"y\":[] }", "0=number@16+1n10<8>18 1^0}27 2^0}27 3^0}27 4^0}27"},
    {"{\"a\":{}}", "0=object@5+2n1 1^1}6- 2^1}6- 3^1}6- 4^1}6-"},
    {"{\"a\":{\"b\":2,\"1\":[3]}}",
     "0=object@5+15n1 1=number@10+1n6>11 2=array@16+3n12<11 3^1}19 4^1}19"},
    {"{\"a\":{\"-1\":{\"b\":2}}}", "0=object@5+14n1 1^1}18 2^1}18 3=number@16+1n12 4^1}18"},
    {"{\"a\":{\"b\":{\"c\":\"x\",\"d\":1}}}",
     "0=object@5+21n1 1=object@10+15n6 2^1}25 3^1}25 4=string@15+3n11>18"},
    /* Places in an array; the last of them is the last. */
    {"{\"a\":[]}", "0=array@5+2n1 1^1]6- 2^1]6- 3^1]6- 4^1]6-"},
    {"{\"a\":[7, 8 ,9]}", "0=array@5+9n1 1^1]13 2=number@9+1<7>11 3^1]13 4^1]13"},
    {"{\"a\":[{\"b\":1},{\"b\":22}]}",
     "0=array@5+18n1 1^1]22 2=object@14+8<13 3=number@19+2n15 4^1]22"},
    {"{\"a\":[{\"b\":1},{}]}", "0=array@5+12n1 1^1]16 2=object@14+2<13 3^2}15- 4^1]16"},
    {"{\"a\":[{\"b\":1},5]}", "0=array@5+11n1 1^1]15 2=number@14+1<13 3^1]15 4^1]15"},
    {"{\"a\":[{\"b\":1,\"b\":2},{\"b\":3}]}",
     "0=array@5+23n1 1^1]27 2=object@20+7<19 3=number@25+1n21 4^1]27"},
    {"{\"a\":[[1,{\"b\":1}],[2]]}", "0=array@5+17n1 1^1]21 2=array@18+3<17 3^2]20 4^1]21"},
    /* Names that stand there twice, on any step: the first counts. */
    {"{\"a\":1,\"a\":{\"b\":1}}", "0!=number@5+1n1>6 1!^0}18 2!^0}18 3!^0}18 4!^0}18"},
    {"{\"a\":{\"b\":{\"c\":1},\"b\":{\"c\":2}}}",
     "0=object@5+25n1 1!=object@10+7n6>17 2^1}29 3^1}29 4!=number@15+1n11"},
    /* The same names elsewhere are others. */
    {"{\"b\":{\"a\":{\"b\":1}},\"c\":[{\"a\":[1,2]}]}", "0^0}36 1^0}36 2^0}36 3^0}36 4^0}36"},
    {"{\"\\u0061\":{\"\\u0062\":[\"a\"]},\"aa\":0,\"\":0}",
     "0=object@10+16n1>26 1=array@20+5n11 2^1}25 3^1}25 4^2]24"},
};

static void begin_paths(struct looked *l)
{
    for (unsigned i = 0; i < countof(paths); i++) {
        l->wants[i] = (struct json_want){.path = paths[i].steps};
        while (l->wants[i].steps < PATH_STEPS && paths[i].steps[l->wants[i].steps].name)
            l->wants[i].steps++;
    }
    json_scan_init(&l->scan, l->wants, countof(paths));
}

static void test_paths(void **state)
{
    (void)state;
    struct looked l;
    for (size_t i = 0; i < countof(found_by_path); i++) {
        const char *text = found_by_path[i].text, *want = found_by_path[i].want;
        size_t n = strlen(text);
        for (size_t cut = 0; cut <= n; cut++) {
            begin_paths(&l);
            assert_int_equal(feed_cut(&l.scan, text, n, cut), 0);
            if (strcmp(describe_paths(l.wants), want) != 0)
                fail_msg("'%s', cut at %zu: found '%s', expected '%s'", text, cut,
                         describe_paths(l.wants), want);
        }
    }
}

/* As many wants as there may be, as deep as they may be, in objects and arrays that go on below. */
static void test_most_and_deepest(void **state)
{
    (void)state;
    static struct json_step steps[JSON_PATH_MAX];
    struct looked l;
    char text[256];
    for (int array = 0; array < 2; array++) {
        size_t n = 0, last = 0;
        for (unsigned i = 0; i < JSON_PATH_MAX + 5; i++) {
            bool index = array && i % 2;
            last = i < JSON_PATH_MAX ? n + (index ? 1 : 5) : last;
            n += (size_t)snprintf(text + n, sizeof(text) - n, index ? "[" : "{\"k\":");
            if (i < JSON_PATH_MAX)
                steps[i] = index ? (struct json_step){"0", 1, 0} : (struct json_step)JSON_NAME("k");
        }
        text[n++] = '1';
        for (unsigned i = JSON_PATH_MAX + 5; i-- > 0;)
            text[n++] = array && i % 2 ? ']' : '}';
        for (unsigned i = 0; i < JSON_WANTS_MAX; i++)
            l.wants[i] = (struct json_want){.path = steps, .steps = i % JSON_PATH_MAX + 1};
        json_scan_init(&l.scan, l.wants, JSON_WANTS_MAX);
        assert_int_equal(feed_cut(&l.scan, text, n, n / 2), 0);
        for (unsigned i = 0; i < JSON_WANTS_MAX; i++)
            assert_int_not_equal(l.wants[i].type, JSON_TYPE_ABSENT);
        assert_int_equal(l.wants[JSON_WANTS_MAX - 1].off, last);
        /* As many brackets close behind it as were opened before it. */
        assert_int_equal(l.wants[JSON_WANTS_MAX - 1].len, n - last - JSON_PATH_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_nesting_kinds),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_final_states),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_most_and_deepest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
