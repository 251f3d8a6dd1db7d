#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/pure/errors.h"
#include "http/multipart.h"

#include "http_input.h"

static struct multipart_scan scan;

static int feed(enum input_edge edge, const char *text, size_t n)
{
    return multipart_scan_feed(&scan, input_put(edge, text, n), n);
}

static void init(const char *boundary)
{
    char type[128];
    int n = snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
    assert_int_equal(multipart_scan_init(&scan, type, (size_t)n), 0);
}

static int scan_cut(const char *text, size_t n, size_t cut)
{
    init("B");
    int error = feed(INPUT_AT_END, text, cut);
    if (error == 0)
        error = feed(INPUT_AT_START, text + cut, n - cut);
    else
        assert_int_equal(multipart_scan_feed(&scan, "x", 1), error);
    return error ? error : multipart_scan_end(&scan);
}

static int scan_bytes(const char *text, size_t n)
{
    init("B");
    int error = 0;
    for (size_t i = 0; i < n && error == 0; i++)
        error = feed(INPUT_AT_END, text + i, 1);
    return error ? error : multipart_scan_end(&scan);
}

/* ---- Content-Type ---- */

static const struct {
    const char *text;
    const char *boundary; /* NULL: refused */
} types[] = {
    {"multipart/form-data; boundary=abc", "abc"},
    {"Multipart/Form-Data;BOUNDARY=abc", "abc"},
    {" multipart/form-data ; boundary=abc ; ", "abc"},
    {"multipart/form-data; charset=utf-8; boundary=\"a b\"; x=y", "a b"},
    {"multipart/form-data; x=\"a;boundary=no\\\"\"; boundary=yes", "yes"},
    {"multipart/form-data; boundary=\"'()+_,-./:=?\"", "'()+_,-./:=?"},
    {"multipart/form-data; boundary=a=_b/c", "a=_b/c"},
    {"multipart/form-data; boundary="
     "1234567890123456789012345678901234567890123456789012345678901234567890",
     "1234567890123456789012345678901234567890123456789012345678901234567890"},
    {"multipart/form-data; boundary="
     "12345678901234567890123456789012345678901234567890123456789012345678901",
     NULL},
    {"", NULL},
    {"multipart/form-data", NULL},
    {"multipart/form-data;", NULL},
    {"multipart/form-data boundary=abc", NULL},
    {"multipart/form-datax; boundary=abc", NULL},
    {"multipart/mixed; boundary=abc", NULL},
    {"application/json; boundary=abc", NULL},
    {"multipart/form-data; boundary=", NULL},
    {"multipart/form-data; boundary=\"\"", NULL},
    {"multipart/form-data; boundary", NULL},
    {"multipart/form-data; boundary =abc", NULL},
    {"multipart/form-data; boundary=\"abc", NULL},
    {"multipart/form-data; boundary=\"abc\\\"", NULL},
    {"multipart/form-data; boundary=\"abc\"d", NULL},
    {"multipart/form-data; boundary=a\"bc\"", NULL},
    {"multipart/form-data; boundary=\"abc \"", NULL},
    {"multipart/form-data; boundary=\"a\\bc\"", NULL},
    {"multipart/form-data; boundary=a b", NULL},
    {"multipart/form-data; boundary=a,b; =c", NULL},
    {"multipart/form-data; boundary=a\xc3\xa4", NULL},
    {"multipart/form-data; boundary=a@b", NULL},
    {"multipart/form-data; boundary=a; boundary=a", NULL},
    {"multipart/form-data; boundary=a; Boundary=b", NULL},
    {"multipart/form-data; boundary=a; boundary*=utf-8''b", NULL},
    {"multipart/form-data; boundary*0=a; boundary*1=b", NULL},
};

static void test_content_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(types); i++) {
        const char *text = types[i].text, *boundary = types[i].boundary;
        size_t n = strlen(text);
        /* Nothing of what was in the memory before may come through. */
        memset(&scan, 0x5a, sizeof(scan));
        int error = multipart_scan_init(&scan, input_put(INPUT_AT_END, text, n), n);
        if (error != (boundary ? 0 : -ERR_FORM_INVALID))
            fail_msg("'%s': returned %d", text, error);
        if (!boundary) {
            assert_int_equal(scan.offset, 0);
            assert_int_equal(feed(INPUT_AT_END, TEXT("--")), -ERR_FORM_INVALID);
            assert_int_equal(scan.offset, 0);
            assert_int_equal(multipart_scan_end(&scan), -ERR_FORM_INVALID);
            continue;
        }
        char body[256];
        int len = snprintf(body, sizeof(body), "--%s--\r\n", boundary);
        error = feed(INPUT_AT_END, body, (size_t)len);
        if (error || multipart_scan_end(&scan))
            fail_msg("'%s': the boundary is not '%s'", text, boundary);
    }
}

/* ---- bodies; the boundary is B ---- */

#define PART(params, content)                                                                      \
    "--B\r\nContent-Disposition: form-data; " params "\r\n\r\n" content "\r\n"
#define HEADER(lines, content) "--B\r\n" lines "\r\n" content "\r\n"
#define MODEL "Content-Disposition: form-data; name=\"model\"\r\n"
#define FORM(parts) TEXT(parts "--B--\r\n")

/* model: what is found, NULL for none. */
static const struct {
    const char *text;
    size_t n;
    const char *model;
    size_t len;
    bool duplicate;
} good[] = {
    {TEXT("--B--"), NULL, 0, false},
    {TEXT("--B-- \t\r\nanything, --B\r\n even"), NULL, 0, false},
    {TEXT("\r\n--B--"), NULL, 0, false},
    {FORM(PART("name=\"model\"", "m/1")), TEXT("m/1"), false},
    {FORM(PART("name=model", "m")), TEXT("m"), false},
    {FORM(PART("NAME=\"model\";", "m")), TEXT("m"), false},
    {FORM(PART("x=\"\\\"; name=no\"; name=\"model\"", "m")), TEXT("m"), false},
    {FORM(PART("name=\"model\"", "")), TEXT(""), false},
    {FORM(PART("name=\"file\"; filename=\"a.wav\"", "\0\r\n\r\r\n-\r\n--\r\n--b")
              PART("name=\"model\"", "m")),
     TEXT("m"), false},
    {FORM(PART("name=\"model\"", "m") PART("name=\"file\"; filename=\"model\"", "x")), TEXT("m"),
     false},
    /* What nearly is a delimiter is content. */
    {FORM(PART("name=\"model\"", "a\r\n--b")), TEXT("a\r\n--b"), false},
    {FORM(PART("name=\"model\"", "\r\n-B\r\r\n--\n--B\r--B\n\r\n -")),
     TEXT("\r\n-B\r\r\n--\n--B\r--B\n\r\n -"), false},
    {FORM(PART("name=\"model\"", "--b")), TEXT("--b"), false},
    {FORM(PART("name=\"model\"", "-")), TEXT("-"), false},
    {FORM(PART("name=\"model\"", "x--B")), TEXT("x--B"), false},
    {FORM(PART("name=\"model\"", "\r\n")), TEXT("\r\n"), false},
    /* A file is not the model, nor is another name. */
    {FORM(PART("name=\"model\"; filename=\"a\"", "m")), NULL, 0, false},
    {FORM(PART("filename=\"a\"; name=\"model\"", "m")), NULL, 0, false},
    {FORM(PART("name=\"model\"; filename=\"a\"", "m") PART("name=\"model\"", "n")), TEXT("n"),
     false},
    {FORM(PART("name=\"Model\"", "m")), NULL, 0, false},
    {FORM(PART("name=\"models\"", "m")), NULL, 0, false},
    {FORM(PART("name=\"mode\"", "m")), NULL, 0, false},
    {FORM(PART("name=\"mod%65l\"", "m")), NULL, 0, false},
    {FORM(PART("name=\"mo\\\\del\"", "m")), NULL, 0, false},
    {FORM(PART("name=\"\\\"model\"", "m")), NULL, 0, false},
    {FORM(PART("xname=\"model\"", "m")), NULL, 0, false},
    {FORM(PART("name=\"x\"; filename=\"\"; filename*=utf-8''y", "m")), NULL, 0, false},
    {FORM(HEADER("", "m")), NULL, 0, false},
    {FORM(HEADER("Content-Type: text/plain\r\n", "m")), NULL, 0, false},
    /* Other fields of the header. */
    {FORM(
         HEADER("X: y\r\ncontent-disposition:form-data;name=model \t\r\nContent-Type: x\r\n", "m")),
     TEXT("m"), false},
    {FORM(HEADER(MODEL "Content-Transfer-Encoding: 8BIT\r\n", "m")), TEXT("m"), false},
    {FORM(HEADER("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n",
                 "m")),
     NULL, 0, false},
    {FORM("--B \t \r\n" MODEL "\r\nm\r\n"), TEXT("m"), false},
    /* The first stands, the second is told. */
    {FORM(PART("name=\"model\"", "a") PART("name=\"model\"", "bb")), TEXT("a"), true},
    {FORM(PART("name=\"model\"", "a") PART("name=model", "b") PART("name=x", "y")), TEXT("a"),
     true},
    {FORM(PART("name=\"model\"", "a") PART("name=x", "y") PART("name=model", "a")), TEXT("a"),
     true},
};

static void check_good(size_t i, int error, size_t cut)
{
    const char *text = good[i].text;
    if (error)
        fail_msg("'%s', cut at %zu: returned %d at %llu", text, cut, error,
                 (unsigned long long)scan.offset);
    if (scan.model_found != (good[i].model != NULL) || scan.model_duplicate != good[i].duplicate)
        fail_msg("'%s', cut at %zu: found %d, duplicate %d", text, cut, scan.model_found,
                 scan.model_duplicate);
    if (!good[i].model)
        return;
    if (scan.model_len != good[i].len || memcmp(scan.model, good[i].model, good[i].len + 1) != 0)
        fail_msg("'%s', cut at %zu: model '%s', expected '%s'", text, cut, scan.model,
                 good[i].model);
    assert_true(scan.model_off + scan.model_len <= good[i].n);
    assert_memory_equal(text + scan.model_off, good[i].model, good[i].len);
}

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(good); i++) {
        for (size_t cut = 0; cut <= good[i].n; cut++)
            check_good(i, scan_cut(good[i].text, good[i].n, cut), cut);
        check_good(i, scan_bytes(good[i].text, good[i].n), good[i].n);
        assert_int_equal(scan.offset, good[i].n);
    }
}

/* off: where the offending byte stands; UINT64_MAX: the body stops early. */
#define EARLY UINT64_MAX
#define END_OF(text) (sizeof(text) - 2)
static const struct {
    const char *name, *text;
    size_t n;
    uint64_t off;
} bad[] = {
    {"empty", TEXT(""), EARLY},
    {"no closing delimiter", TEXT(PART("name=a", "b")), EARLY},
    {"no closing dashes", TEXT(PART("name=a", "b") "--B"), EARLY},
    {"one closing dash", TEXT(PART("name=a", "b") "--B-"), EARLY},
    {"half a line end", TEXT("--B--\r"), EARLY},
    {"within a header", TEXT("--B\r\nA: b\r\n"), EARLY},
    {"text before the form", TEXT("x\r\n--B--\r\n"), 0},
    {"an empty line too many", TEXT("\r\n\r\n--B--\r\n"), 2},
    {"another boundary", TEXT("--C--\r\n"), 2},
    {"LF first", TEXT("\n--B--\r\n"), 0},
    {"delimiter cut short", TEXT("-B--\r\n"), 1},
    {"LF behind a delimiter", TEXT("--B\nA: b\r\n\r\n\r\n--B--"), 3},
    {"CR without LF behind a delimiter", TEXT("--B\rA: b"), 4},
    {"text behind a delimiter", TEXT("--Bx\r\n"), 3},
    {"text behind padding", TEXT("--B x\r\n"), 4},
    {"text behind one dash", TEXT("--B-x\r\n"), 4},
    {"text behind the end", TEXT("--B--x\r\n"), 5},
    {"LF behind the end", TEXT("--B--\n"), 5},
    {"CR without LF behind the end", TEXT("--B--\rx"), 6},
    {"a longer boundary in content", TEXT(PART("name=a", "b\r\n--Bx")), 53},
    {"a delimiter as the first thing in content", TEXT(PART("name=a", "--B\r\n")), 49},
    {"the end as the first thing in content", TEXT(PART("name=a", "--B--")), 49},

    {"LF in a header", TEXT("--B\r\nA: b\nC: d\r\n\r\n"), 9},
    {"CR in a header", TEXT("--B\r\nA: b\rC: d\r\n\r\n"), 10},
    {"NUL in a header", TEXT("--B\r\nA: \0b\r\n\r\n"), 8},
    {"folded line", TEXT("--B\r\nA: b\r\n c\r\n\r\n"), END_OF("--B\r\nA: b\r\n c\r\n\r\n")},
    {"space before the colon", TEXT("--B\r\nA : b\r\n\r\n"), END_OF("--B\r\nA : b\r\n\r\n")},
    {"no colon", TEXT("--B\r\nA\r\n\r\n"), END_OF("--B\r\nA\r\n\r\n")},
    {"no name", TEXT("--B\r\n: b\r\n\r\n"), END_OF("--B\r\n: b\r\n\r\n")},

#define BAD_HEADER(name, lines)                                                                    \
    {                                                                                              \
        name, TEXT("--B\r\n" lines "\r\n"), END_OF("--B\r\n" lines "\r\n")                         \
    }
#define BAD_PARAMS(name, params) BAD_HEADER(name, "Content-Disposition: form-data" params "\r\n")
    BAD_HEADER("two dispositions", MODEL MODEL),
    BAD_HEADER("another disposition", "Content-Disposition: attachment; name=\"x\"\r\n"),
    BAD_HEADER("empty disposition", "Content-Disposition:\r\n"),
    BAD_HEADER("encoded model", MODEL "Content-Transfer-Encoding: base64\r\n"),
    BAD_HEADER("quoted-printable model", "Content-Transfer-Encoding: Quoted-Printable\r\n" MODEL),
    BAD_PARAMS("name not closed", "; name=\"model"),
    BAD_PARAMS("escape not closed", "; name=\"model\\\""),
    BAD_PARAMS("text behind a quote", "; name=\"mo\"del"),
    BAD_PARAMS("quote behind text", "; name=mo\"del\""),
    BAD_PARAMS("no semicolon", " name=\"model\""),
    BAD_PARAMS("comma", ", name=\"model\""),
    BAD_PARAMS("parameter without a value", "; name"),
    BAD_PARAMS("parameter without a name", "; =\"model\""),
    BAD_PARAMS("space before '='", "; name =\"model\""),
    BAD_PARAMS("space behind '='", "; name= \"model\""),
    BAD_PARAMS("name twice", "; name=a; name=model"),
    BAD_PARAMS("extended name", "; name*=utf-8''model"),
    BAD_PARAMS("extended name beside a plain one", "; name=a; NAME*=utf-8''model"),
    BAD_PARAMS("continued name", "; name*0=mo; name*1=del"),
    BAD_PARAMS("stray escape in a name", "; name=\"mod\\el\""),
    BAD_PARAMS("model with an empty file name", "; name=\"model\"; filename=\"\""),
    BAD_PARAMS("model with an extended file name", "; name=\"model\"; filename*=utf-8''a"),
    BAD_PARAMS("model with a continued file name", "; filename*0=a; name=\"model\""),
};

static void check_bad(size_t i, int error, size_t cut)
{
    uint64_t off = bad[i].off == EARLY ? bad[i].n : bad[i].off;
    if (error != -ERR_FORM_INVALID || scan.offset != off)
        fail_msg("%s, cut at %zu: returned %d at %llu, expected %d at %llu", bad[i].name, cut,
                 error, (unsigned long long)scan.offset, -ERR_FORM_INVALID,
                 (unsigned long long)off);
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        for (size_t cut = 0; cut <= bad[i].n; cut++)
            check_bad(i, scan_cut(bad[i].text, bad[i].n, cut), cut);
        check_bad(i, scan_bytes(bad[i].text, bad[i].n), bad[i].n);
    }
}

/* A body of one part whose header, or whose model, has n bytes. */
static int scan_sized(size_t header, size_t model)
{
    static char text[16 * 1024];
    static const char start[] = "--B\r\n" MODEL "X: ";
    size_t n = sizeof(start) - 1, fixed = sizeof(MODEL "X: \r\n\r\n") - 1;
    assert_true(header >= fixed);
    memcpy(text, start, n);
    memset(text + n, 'x', header - fixed);
    n += header - fixed;
    memcpy(text + n, "\r\n\r\n", 4);
    n += 4;
    memset(text + n, 'm', model);
    n += model;
    memcpy(text + n, "\r\n--B--", 7);
    n += 7;
    return scan_cut(text, n, n - 20);
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(scan_sized(MULTIPART_HEAD_MAX, 20), 0);
    assert_int_equal(scan_sized(MULTIPART_HEAD_MAX + 1, 20), -ERR_FORM_INVALID);
    for (size_t n = MULTIPART_TEXT_MAX - 2; n < MULTIPART_TEXT_MAX + 30; n++) {
        assert_int_equal(scan_sized(100, n), 0);
        assert_int_equal(scan.model_len, n);
        assert_int_equal(strlen(scan.model), n < MULTIPART_TEXT_MAX ? n : MULTIPART_TEXT_MAX);
    }
}

static void test_part_limit(void **state)
{
    (void)state;
    static const char part[] = HEADER("", "x");
    for (int parts = MULTIPART_PARTS_MAX; parts <= MULTIPART_PARTS_MAX + 1; parts++) {
        init("B");
        int error = 0;
        for (int i = 0; i < parts && error == 0; i++)
            error = multipart_scan_feed(&scan, part, sizeof(part) - 1);
        assert_int_equal(error, parts > MULTIPART_PARTS_MAX ? -ERR_FORM_INVALID : 0);
    }
}

static void test_final_states(void **state)
{
    (void)state;
    init("B");
    assert_int_equal(multipart_scan_feed(&scan, NULL, 0), 0);
    assert_int_equal(multipart_scan_end(&scan), -ERR_FORM_INVALID);
    assert_int_equal(multipart_scan_feed(&scan, "--B--", 5), -ERR_FORM_INVALID);
    assert_int_equal(multipart_scan_end(&scan), -ERR_FORM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_type), cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),          cmocka_unit_test(test_limits),
        cmocka_unit_test(test_part_limit),   cmocka_unit_test(test_final_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
