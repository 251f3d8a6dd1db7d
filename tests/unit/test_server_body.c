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

static struct body_budget budget(void)
{
    const char *folder = getenv("TMPDIR");
    return (struct body_budget){
        .folder = folder ? folder : "/tmp", .spooled_max = 1024 * 1024, .body_max = 1024 * 1024};
}

/* What the body reads as, taken from every position on its own, with a small scratch. */
static void expect_text(const struct body *b, const char *want, size_t n, const char *what)
{
    if (body_size(b) != n)
        fail_msg("%s: the size is %llu, expected %zu", what, (unsigned long long)body_size(b), n);
    for (size_t pos = 0; pos <= n; pos++) {
        char scratch[7];
        const char *data = NULL;
        size_t got = 0;
        assert_int_equal(body_peek(b, pos, scratch, sizeof(scratch), &data, &got), 0);
        /* At the end there are no bytes to point at. */
        data = got ? data : "";
        if ((got == 0) != (pos == n) || got > n - pos || memcmp(data, want + pos, got) != 0)
            fail_msg("%s: at %zu stands '%.*s', expected '%s'", what, pos, (int)got, data,
                     want + pos);
    }
}

static const struct {
    const char *name;
    struct {
        uint64_t off, len;
        const char *text;
    } edits[6]; /* in the order in which they are made, up to the first without a text */
    const char *want;
} cases[] = {
    {"none", {{0}}, "0123456789"},
    {"longer", {{3, 1, "abc"}}, "012abc456789"},
    {"shorter", {{3, 4, "a"}}, "012a789"},
    {"deleted", {{3, 4, ""}}, "012789"},
    {"inserted", {{3, 0, "ab"}}, "012ab3456789"},
    {"at the front", {{0, 0, "ab"}}, "ab0123456789"},
    {"at the end", {{10, 0, "ab"}}, "0123456789ab"},
    {"all of it", {{0, 10, "ab"}}, "ab"},
    {"all deleted", {{0, 10, ""}}, ""},
    {"ascending", {{1, 1, "a"}, {3, 2, ""}, {8, 1, "bcd"}}, "0a2567bcd9"},
    {"descending", {{8, 1, "bcd"}, {3, 2, ""}, {1, 1, "a"}}, "0a2567bcd9"},
    {"in between", {{8, 1, "b"}, {1, 1, "a"}, {5, 1, "c"}, {3, 1, "d"}}, "0a2d4c67b9"},
    {"side by side", {{4, 2, "b"}, {2, 2, "a"}, {6, 2, "c"}}, "01abc89"},
    {"deleted side by side", {{4, 2, ""}, {2, 2, ""}, {6, 2, "x"}}, "01x89"},
    {"one place, in order", {{5, 0, "a"}, {5, 0, "b"}, {5, 0, "c"}}, "01234abc56789"},
    {"before what is replaced", {{5, 1, "X"}, {5, 0, "a"}, {5, 0, "b"}}, "01234abX6789"},
    {"behind what is replaced", {{5, 1, "X"}, {6, 0, "a"}}, "01234Xa6789"},
    {"nothing for nothing", {{5, 0, ""}, {5, 0, "a"}, {5, 0, ""}}, "01234a56789"},
    {"more than at first",
     {{9, 1, "a"}, {7, 1, "b"}, {5, 1, "c"}, {3, 1, "d"}, {1, 1, "e"}, {0, 1, "f"}},
     "fe2d4c6b8a"},
};

static void test_edits(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct body_budget shared = budget();
        struct body b;
        body_init(&b, &shared);
        assert_int_equal(body_append(&b, "0123456789", 10, 10), 0);
        for (size_t k = 0; k < countof(cases[i].edits) && cases[i].edits[k].text; k++)
            body_edit(&b, cases[i].edits[k].off, cases[i].edits[k].len, cases[i].edits[k].text,
                      strlen(cases[i].edits[k].text));
        expect_text(&b, cases[i].want, strlen(cases[i].want), cases[i].name);
        body_fini(&b);
        assert_int_equal(shared.memory_bytes, 0);
    }
}

/* The same where the memory ends and the spool begins. */
static void test_edits_of_a_spooled_body(void **state)
{
    (void)state;
    enum { TAIL = 100, SIZE = BODY_MEMORY_MAX + TAIL };
    static char text[SIZE + 16], want[SIZE + 16];
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)('a' + i % 26);
    struct body_budget shared = budget();
    struct body b;
    body_init(&b, &shared);
    assert_int_equal(body_append(&b, text, SIZE, SIZE), 0);
    assert_int_equal(shared.spooled_bytes, TAIL);
    body_edit(&b, SIZE - 10, 5, "", 0);
    body_edit(&b, BODY_MEMORY_MAX - 2, 4, "ABCDEF", 6);
    size_t n = (size_t)snprintf(want, sizeof(want), "%.*sABCDEF%.*s%.*s", BODY_MEMORY_MAX - 2, text,
                                TAIL - 12, text + BODY_MEMORY_MAX + 2, 5, text + SIZE - 5);
    expect_text(&b, want, n, "spooled");
    body_fini(&b);
    assert_int_equal(shared.spooled_bytes, 0);
}

static void test_limits(void **state)
{
    (void)state;
    static char text[BODY_MEMORY_MAX + 1];
    struct body_budget shared = budget();
    struct body b;
    shared.spooled_max = 0;
    body_init(&b, &shared);
    assert_int_equal(body_append(&b, text, sizeof(text), 0), -ERR_BODY_NO_ROOM);
    body_fini(&b);
    shared.body_max = 10;
    body_init(&b, &shared);
    assert_int_equal(body_append(&b, text, 10, 0), 0);
    assert_int_equal(body_append(&b, text, 1, 0), -ERR_BODY_TOO_LARGE);
    body_fini(&b);
    body_fini(&b); /* all zero by now */
    assert_int_equal(shared.memory_bytes, 0);
}

/* Connections and spool files share what descriptors there are; connections come first. */
static void test_descriptors(void **state)
{
    (void)state;
    static char text[BODY_MEMORY_MAX + 1];
    struct body_budget shared = budget();
    struct body first, second;
    uint32_t streams = 4;
    shared.streams = &streams;
    shared.descriptors_max = 5;
    body_init(&first, &shared);
    body_init(&second, &shared);
    assert_int_equal(body_append(&first, text, sizeof(text), 0), 0);
    assert_int_equal(shared.files, 1);
    assert_int_equal(body_append(&second, text, sizeof(text), 0), -ERR_BODY_NO_ROOM);
    body_fini(&first);
    assert_int_equal(shared.files, 0);
    assert_int_equal(body_append(&second, text, 1, 0), 0);
    body_fini(&second);
    assert_int_equal(shared.files, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_edits_of_a_spooled_body),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
