/* Completions: bash's lines taken apart and put together again, and what may come next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <string.h>

#include "base/pure/check.h"
#include "cli/complete.h"
#include "cli/complete_line.h"

#define BREAKS " \t\n\"'><=;|&(:"

static void test_lines(void **state)
{
    static const struct {
        const char *line, *words; /* parted by | */
        char quote;
        size_t kept, start;
    } cases[] = {
        {"", "", 0, 0, 0},
        {"wharf", "wharf", 0, 0, 0},
        {"wharf ", "wharf|", 0, 0, 6},
        {" wharf\tload  q", "wharf|load|q", 0, 0, 13},
        {"wharf load org/a:7", "wharf|load|org/a:7", 0, 6, 11},
        {"wharf load org/a:", "wharf|load|org/a:", 0, 6, 11},
        {"wharf load a\\:7", "wharf|load|a:7", 0, 0, 11},
        {"wharf load my\\ m", "wharf|load|my m", 0, 0, 11},
        {"wharf load 'a:b m", "wharf|load|a:b m", '\'', 0, 11},
        {"wharf load x\"my \\\"m", "wharf|load|xmy \"m", '"', 1, 11},
        {"wharf load 'a b'c", "wharf|load|a bc", 0, 3, 11},
        {"wharf load \"a\\b$", "wharf|load|a\\b$", '"', 0, 11},
        {"wharf load a\\", "wharf|load|a", 0, 0, 11},
        {"wharf '' x", "wharf||x", 0, 0, 9},
        {"wharf --c=f", "wharf|--c=f", 0, 4, 6},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct complete_line l;
        struct buf words = {0};
        complete_line_read(cases[i].line, BREAKS, &l);
        buf_text(&words, l.words[0]);
        for (uint32_t k = 1; k < l.count; k++)
            buf_printf(&words, "|%s", l.words[k]);
        if (!words.data)
            buf_text(&words, "");
        bool is_right = strcmp(words.data ? words.data : "", cases[i].words) == 0 &&
                        l.quote == cases[i].quote && l.kept == cases[i].kept &&
                        l.starts[l.count - 1] == cases[i].start;
        if (!is_right)
            fail_msg("'%s': words %s, quote %d, kept %zu, start %zu", cases[i].line,
                     words.data ? words.data : "", l.quote, l.kept, l.starts[l.count - 1]);
        buf_fini(&words);
        complete_line_fini(&l);
    }
}

static void test_what_is_put_in_place(void **state)
{
    static const struct {
        const char *line, *word, *put; /* NULL: nothing */
    } cases[] = {
        {"wharf load ", "my model", "my\\ model"},
        {"wharf load my\\ m", "my model", "my\\ model"},
        {"wharf load 'my m", "my model", "my model"},
        {"wharf load 'a", "a'b", "a'\\''b"},
        {"wharf load \"a", "a\"$(x)`y`\\z", "a\\\"\\$(x)\\`y\\`\\\\z"},
        {"wharf load \"a", "a!b", NULL},
        {"wharf load a", "a!b", "a\\!b"},
        {"wharf load org/a:", "org/a:7b", "7b"},
        {"wharf load 'org/a:", "org/a:7b", "org/a:7b"},
        {"wharf load ", "$(x);~{}", "\\$\\(x\\)\\;\\~\\{\\}"},
        {"wharf load ", "\xc3\xbc", "\xc3\xbc"},
        {"wharf load q", "other", NULL},
        {"wharf plan --class=b", "--class=background", "background"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct complete_line l;
        struct buf out = {0};
        complete_line_read(cases[i].line, BREAKS, &l);
        bool fits = complete_line_put(&l, cases[i].word, &out);
        const char *put = fits ? out.data : NULL;
        if (!put != !cases[i].put || (put && strcmp(put, cases[i].put) != 0))
            fail_msg("'%s' and '%s': '%s' instead of '%s'", cases[i].line, cases[i].word,
                     put ? put : "nothing", cases[i].put ? cases[i].put : "nothing");
        if (!fits)
            assert_int_equal(out.len, 0);
        buf_fini(&out);
        complete_line_fini(&l);
    }
}

static void take(void *arg, const struct offer *offer)
{
    static const char *const kinds[] = {[OFFER_FILE] = "FILE", [OFFER_FOLDER] = "FOLDER"};
    struct buf *out = arg;
    if (offer->text)
        buf_printf(out, "%s ", offer->text);
    else if (offer->kind == OFFER_PROGRAM)
        buf_printf(out, "CMD at %u ", offer->word);
    else
        buf_printf(out, "%s ", kinds[offer->kind]);
}

static void test_offers(void **state)
{
    static const struct {
        const char *line, *offers;
    } cases[] = {
        {"jobs ", "logs cancel wait "},
        {"jobs logs -", "--follow --json --url --key --help "},
        {"jobs logs -f --", "--json --url --key --help "},
        {"lease list ", ""},
        {"check ", "FILE "},
        {"check --config-dir ", "FOLDER "},
        {"check --config-dir=", "FOLDER "},
        {"check --nonsense ", ""},
        {"check a b", ""},
        {"serve -c ", "FILE "},
        {"serve -tls-cert-file ", "FILE "},
        {"serve --watch-config=", "--watch-config=true --watch-config=false "},
        {"queue --json=", ""},
        {"run --vram ", ""},
        {"run --class ", "foreground normal background "},
        {"run --class=", "--class=foreground --class=normal --class=background "},
        {"run ", "CMD at 1 "},
        {"run --vram 1GiB ls -", "CMD at 3 "},
        {"run --vram 1GiB -- ls a ", "CMD at 4 "},
        {"run -- -", "CMD at 2 "},
        {"load --help ", ""},
        {"nonsense ", ""},
        {"llama-swap x -", ""},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct complete_line l;
        struct buf out = {0};
        const struct offers to = {.take = take, .arg = &out};
        complete_line_read(cases[i].line, BREAKS, &l);
        complete_words(l.words, l.count, &to);
        const char *offers = out.data ? out.data : "";
        if (strcmp(offers, cases[i].offers) != 0)
            fail_msg("'%s': '%s' instead of '%s'", cases[i].line, offers, cases[i].offers);
        buf_fini(&out);
        complete_line_fini(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_what_is_put_in_place),
        cmocka_unit_test(test_offers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
