#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/pure/check.h"
#include "base/termfilter.h"

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct {
    const char *name, *data;
    size_t n;
    const char *want, *plain; /* plain: without colours; NULL: the same */
} cases[] = {
    {"text passes", TEXT("a line\tof text\n"), "a line\tof text\n", NULL},
    {"colours", TEXT("\033[1;38:5:12mred\033[m"), "\033[1;38:5:12mred\033[m", "red"},
    {"a colour as C1",
     TEXT("\xc2\x9b"
          "31mred"),
     "\033[31mred", "red"},
    {"the cursor", TEXT("a\033[2J\033[10;4Hb\033[Ac"), "abc", NULL},
    {"a private m", TEXT("\033[>4;2mx\033[?4my"), "xy", NULL},
    {"an m with intermediates", TEXT("\033[1 mx"), "x", NULL},
    {"a question that the terminal answers", TEXT("a\033[6n\033[cb\033Zc"), "abc", NULL},
    {"a title, to BEL", TEXT("a\033]0;title\007b"), "ab", NULL},
    {"a title, to ST", TEXT("a\033]0;title\033\\b"), "ab", NULL},
    {"the clipboard", TEXT("\033]52;c;cm0gLXJmIH4=\007ok"), "ok", NULL},
    {"DCS, APC, PM and SOS", TEXT("a\033P1\033\\b\033_x\033\\c\033^x\033\\d\033Xx\033\\e"), "abcde",
     NULL},
    {"an OSC as C1",
     TEXT("a\xc2\x9d"
          "0;title\007b"),
     "ab", NULL},
    {"one without an end goes to the end of its line", TEXT("a\033]0;title\nb"), "a\nb", NULL},
    {"one begun anew", TEXT("\033[12\033[31mx"), "\033[31mx", "x"},
    {"CAN ends it", TEXT("\033[12\030x"), "x", NULL},
    {"a character set", TEXT("\033(0x\033#8y"), "xy", NULL},
    {"a reset", TEXT("\033cx"), "x", NULL},
    {"control characters", TEXT("a\b\a\f\v\0\177\016b"), "ab", NULL},
    {"carriage returns", TEXT("10%\r20%\r\rdone\r\nx"), "10%\n20%\ndone\nx", NULL},
    {"characters", TEXT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8d"),
     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8d", NULL},
    {"what is no UTF-8",
     TEXT("a\x9b"
          "2Jb\xc3(\xe2\x82z\xed\xa0\x80y"),
     "a\xef\xbf\xbd"
     "2Jb\xef\xbf\xbd(\xef\xbf\xbdz\xef\xbf\xbdy",
     NULL},
    {"too many colours", TEXT("\033[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1mx"), "x",
     NULL},
};

static void check(size_t i, bool colours, size_t piece)
{
    struct termfilter f = {.colours = colours};
    struct buf out = {0};
    for (size_t at = 0; at < cases[i].n; at += piece) {
        size_t left = cases[i].n - at;
        termfilter_feed(&f, cases[i].data + at, left < piece ? left : piece, &out);
    }
    const char *want = !colours && cases[i].plain ? cases[i].plain : cases[i].want;
    if (strcmp(out.data ? out.data : "", want) != 0)
        fail_msg("%s, in pieces of %zu: '%s', not '%s'", cases[i].name, piece, out.data, want);
    buf_fini(&out);
}

static void test_what_passes_however_it_comes(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++)
        for (size_t piece = 1; piece <= cases[i].n; piece++) {
            check(i, true, piece);
            check(i, false, piece);
        }
}

/* Whatever comes: of what a terminal obeys there is nothing but SGR, newline and tab. */
static void test_nothing_else_ever_passes(void **state)
{
    (void)state;
    static const char parts[] =
        "\033\033\033[[]PX^_\\()?>;:019 mmHJnhc\r\n\t\a\b\030\xc2\x9b\x9d\x90\xe2\x80\xa8xy";
    uint32_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        char data[64];
        for (size_t i = 0; i < sizeof(data); i++) {
            seed = seed * 1664525 + 1013904223;
            data[i] = parts[(seed >> 16) % (sizeof(parts) - 1)];
        }
        struct termfilter f = {.colours = true};
        struct buf out = {0};
        termfilter_feed(&f, data, sizeof(data), &out);
        for (size_t i = 0; i < out.len; i++) {
            unsigned char c = (unsigned char)out.data[i];
            if (c == 0x1b) {
                assert_int_equal(out.data[i + 1], '[');
                size_t end = i + 2 + strspn(out.data + i + 2, "0123456789;:");
                assert_int_equal(out.data[end], 'm');
            }
            assert_true(c >= 0x20 || c == '\n' || c == '\t' || c == 0x1b);
            assert_true(c != 0x7f);
            assert_false(c == 0xc2 && (unsigned char)out.data[i + 1] < 0xa0);
        }
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_passes_however_it_comes),
        cmocka_unit_test(test_nothing_else_ever_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
