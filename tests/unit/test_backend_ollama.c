/* How a model that an Ollama server holds comes and goes, whether that server is there, and what
 * its answers say: sequences of events, and what is done at each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ollama.h"
#include "backend/ollama_json.h"

static const char *const event_words[] = {
    [OLLAMA_LOAD] = "load",        [OLLAMA_FOUND] = "found",        [OLLAMA_ABORT] = "abort",
    [OLLAMA_UNLOAD] = "unload",    [OLLAMA_KILL] = "kill",          [OLLAMA_CALL_OK] = "ok",
    [OLLAMA_CALL_UNFIT] = "unfit", [OLLAMA_CALL_FAILED] = "failed", [OLLAMA_SEEN] = "seen",
    [OLLAMA_SEEN_BRIEF] = "brief", [OLLAMA_UNSEEN] = "unseen",      [OLLAMA_LOST] = "lost",
};
_Static_assert(countof(event_words) == OLLAMA_EVENT__COUNT, "a word for each event");

static const char *const action_words[] = {
    [OLLAMA_DO_LOAD] = "LOAD",          [OLLAMA_DO_EMBED] = "EMBED",
    [OLLAMA_DO_KEEP] = "KEEP",          [OLLAMA_DO_UNLOAD] = "UNLOAD",
    [OLLAMA_DO_CANCEL] = "CANCEL",      [OLLAMA_DO_LOADED] = "LOADED",
    [OLLAMA_DO_LOAD_FAILED] = "FAILED", [OLLAMA_DO_UNLOADED] = "UNLOADED",
    [OLLAMA_DO_STUCK] = "STUCK",        [OLLAMA_DO_EXITED] = "EXITED",
    [OLLAMA_DO_UNKNOWN] = "UNKNOWN",
};
_Static_assert(countof(action_words) == OLLAMA_ACTION__COUNT, "a word for each action");

#define HELD "load:LOAD ok: seen:LOADED "

/* event[@milliseconds since the event before; 10 unless given]:ACTION+ACTION, in order. @-5: the
 * list was asked for that long before the event before. */
static const struct {
    const char *what, *story;
} stories[] = {
    {"loads", HELD "seen: seen:"},
    {"is in the list while it loads, which proves nothing", "load:LOAD seen: brief: unseen: ok:"},
    {"a list that was asked for before the answer is too old",
     "load:LOAD ok: seen@-5: seen:LOADED"},
    {"only embeds", "load:LOAD unfit:EMBED ok: seen:LOADED"},
    {"cannot do that either", "load:LOAD unfit:EMBED unfit: unseen:FAILED"},
    {"is said to be loaded, and is not",
     "load:LOAD ok: unseen: unseen@1980: unseen@10:FAILED seen:"},
    {"is said to be loaded, and comes a little later", "load:LOAD ok: unseen@1500: seen:LOADED"},
    {"is refused", "load:LOAD failed: unseen:FAILED"},
    {"a list from before the refusal is too old", "load:LOAD failed: unseen@-5: unseen:FAILED"},
    {"fails, and is there all the same: it is told to go",
     "load:LOAD failed: seen:UNLOAD ok: unseen:FAILED"},
    {"fails, and will not go",
     "load:LOAD failed: seen:UNLOAD ok: seen@900: seen@200:UNLOAD failed: "
     "seen@9000:FAILED"},
    {"is given up while it loads", "load:LOAD abort:CANCEL+UNLOAD ok: unseen:FAILED"},
    {"is given up, and the list is quicker than the answer",
     "load:LOAD abort:CANCEL+UNLOAD unseen:CANCEL+FAILED ok:"},
    {"is given up while it is looked for", "load:LOAD ok: abort:UNLOAD ok: unseen:FAILED"},
    {"is given up, and stays", "load:LOAD abort:CANCEL+UNLOAD ok: seen: seen@1000:UNLOAD "
                               "seen@9500:CANCEL+FAILED"},
    {"is given up twice", "load:LOAD abort:CANCEL+UNLOAD abort: ok: abort: unseen:FAILED"},
    {"is unloaded", HELD "unload:UNLOAD ok: unseen:UNLOADED seen:"},
    {"is gone before the unload is answered", HELD "unload:UNLOAD unseen:CANCEL+UNLOADED ok:"},
    {"a list from before the unload is too old",
     HELD "unload:UNLOAD unseen@-5: unseen:CANCEL+UNLOADED"},
    {"is told again while it stays", HELD "unload:UNLOAD ok: seen: seen@990:UNLOAD seen: failed: "
                                          "seen@990:UNLOAD unseen:CANCEL+UNLOADED"},
    {"the kill finds it gone", HELD "unload:UNLOAD ok: kill: unseen:UNLOADED"},
    {"the kill finds it there, and it goes at last",
     HELD "unload:UNLOAD ok: kill: seen@1000:STUCK+UNLOAD ok: seen: unseen:EXITED"},
    {"a list from before the kill decides nothing",
     HELD "unload:UNLOAD ok: kill: seen@-5: unseen@-5: seen:STUCK"},
    {"leaves by itself", HELD "unseen: unseen@990: unseen:EXITED"},
    {"gets another runner", HELD "unseen: seen: unseen: unseen@990: seen:"},
    {"would leave by itself: it is to stay", HELD "brief:KEEP brief: ok: seen:"},
    {"would leave by itself, whatever it is told",
     HELD "brief:KEEP failed: brief: brief@1000:KEEP ok:"},
    {"is told to stay and then to go", HELD "brief:KEEP unload:CANCEL+UNLOAD ok: unseen:UNLOADED"},
    {"leaves by itself while it is told to stay",
     HELD "brief:KEEP unseen: unseen@1000:CANCEL+EXITED"},
    {"was there already", "found: seen: brief:KEEP ok: unload:UNLOAD ok: unseen:UNLOADED"},
    {"its server is lost while it loads", "load:LOAD lost:CANCEL+UNKNOWN"},
    {"its server is lost while it is looked for", "load:LOAD ok: lost:UNKNOWN seen:"},
    {"its server is lost while it fails", "load:LOAD failed: lost:UNKNOWN"},
    {"its server is lost while it unloads", HELD "unload:UNLOAD lost:CANCEL+UNKNOWN"},
    {"its server is lost at the kill", HELD "unload:UNLOAD ok: kill: lost:UNKNOWN"},
    {"its server is lost: it may be there still", HELD "lost: seen: unload:UNLOAD"},
    {"its server is lost: it has gone with it",
     HELD "unseen: lost: unseen@5000: unseen@1000:EXITED"},
    {"its server is lost while it is told to stay", HELD "brief:KEEP lost:CANCEL seen:"},
    {"its server is lost while it is stuck",
     HELD "unload:UNLOAD ok: kill: seen:STUCK lost: unseen:EXITED"},
    {"what was not asked is not answered", "load:LOAD unload: kill: found: ok: unload: kill: ok:"},
};

static enum ollama_event event_of(const char *word, size_t n)
{
    for (size_t i = 0; i < countof(event_words); i++)
        if (strlen(event_words[i]) == n && strncmp(event_words[i], word, n) == 0)
            return (enum ollama_event)i;
    fail_msg("no event '%.*s'", (int)n, word);
    return OLLAMA_LOAD;
}

static void put(char *out, size_t size, const struct ollama_actions *got)
{
    out[0] = '\0';
    for (uint32_t i = 0; i < got->count; i++)
        snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? "+" : "",
                 action_words[got->items[i]]);
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(stories); i++) {
        struct ollama_model m = {.phase = OLLAMA_BEGUN};
        uint64_t now = NS_PER_S;
        for (const char *at = stories[i].story; *at;) {
            size_t n = strcspn(at, ":@ "), colon = strcspn(at, ":"), end = strcspn(at, " ");
            long ms = at[n] == '@' ? strtol(at + n + 1, NULL, 10) : 10;
            uint64_t when =
                ms < 0 ? now - (uint64_t)-ms * NS_PER_MS : now + (uint64_t)ms * NS_PER_MS;
            struct ollama_actions got = ollama_step(&m, event_of(at, n), when);
            now = when > now ? when : now;
            char text[128];
            put(text, sizeof(text), &got);
            if (strlen(text) != end - colon - 1 ||
                strncmp(text, at + colon + 1, end - colon - 1) != 0)
                fail_msg("%s: at '%.*s': got '%s'", stories[i].what, (int)end, at, text);
            at += end + (at[end] == ' ');
        }
    }
}

/* What was said of one model so far. */
struct tally {
    struct ollama_model m;
    uint64_t now;
    int load, unload, ends, calls;
    bool asked, over;
};

static void feed(struct tally *t, enum ollama_event ev, uint64_t ms)
{
    bool answer = ev == OLLAMA_CALL_OK || ev == OLLAMA_CALL_UNFIT || ev == OLLAMA_CALL_FAILED;
    t->asked |= ev == OLLAMA_UNLOAD;
    t->calls -= answer;
    t->now += ms * NS_PER_MS;
    struct ollama_actions got = ollama_step(&t->m, ev, t->now);
    assert_true(!t->over || got.count == 0);
    for (uint32_t k = 0; k < got.count; k++) {
        enum ollama_action a = got.items[k];
        t->calls += a <= OLLAMA_DO_UNLOAD ? 1 : a == OLLAMA_DO_CANCEL ? -1 : 0;
        t->load += a == OLLAMA_DO_LOADED || a == OLLAMA_DO_LOAD_FAILED;
        t->unload += a == OLLAMA_DO_UNLOADED || a == OLLAMA_DO_STUCK;
        t->ends += a == OLLAMA_DO_UNKNOWN || a == OLLAMA_DO_EXITED;
        t->over |= a == OLLAMA_DO_LOAD_FAILED || a == OLLAMA_DO_UNLOADED ||
                   a == OLLAMA_DO_UNKNOWN || a == OLLAMA_DO_EXITED;
        assert_true(t->calls == 0 || t->calls == 1);
    }
    assert_int_equal(t->over, t->m.phase == OLLAMA_OVER);
    assert_true(!t->over || t->calls == 0);
}

/* Calls are answered at last, and lists go on coming: that ends whatever is open. */
static void wait_out(struct tally *t)
{
    for (uint32_t i = 0; i < 8 && !t->over && ollama_is_busy(&t->m); i++) {
        if (t->calls)
            feed(t, OLLAMA_CALL_FAILED, 1000);
        if (t->m.phase == OLLAMA_UNLOADING)
            feed(t, OLLAMA_KILL, 1000);
        feed(t, OLLAMA_SEEN, 3000);
    }
}

/* Whatever comes, and in whatever order: each LOAD and each UNLOAD is answered once, there is never
 * more than one call, and nothing is said of what is over. */
static void test_any_order(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (uint32_t run = 0; run < 20000; run++) {
        struct tally t = {.m = {.phase = OLLAMA_BEGUN}};
        feed(&t, OLLAMA_LOAD, 0);
        for (uint32_t i = 0; i < 60; i++) {
            seed = seed * 1664525U + 1013904223U;
            enum ollama_event ev = (enum ollama_event)((seed >> 16) % OLLAMA_EVENT__COUNT);
            bool answer =
                ev == OLLAMA_CALL_OK || ev == OLLAMA_CALL_UNFIT || ev == OLLAMA_CALL_FAILED;
            if ((!answer || t.calls) && ev != OLLAMA_LOAD && ev != OLLAMA_FOUND &&
                (ev != OLLAMA_UNLOAD || t.m.phase == OLLAMA_HELD))
                feed(&t, ev, (seed >> 8 & 0x3ff) * 4);
        }
        wait_out(&t);
        assert_true(t.load <= 1 && t.unload <= 1 && t.ends <= 1);
        assert_true(t.load == 1 || t.ends == 1);
        assert_true(!t.asked || t.unload == 1 || t.ends == 1);
    }
}

static void test_busy(void **state)
{
    (void)state;
    struct ollama_model m = {.phase = OLLAMA_BEGUN};
    ollama_step(&m, OLLAMA_LOAD, 1);
    assert_true(ollama_is_busy(&m));
    ollama_step(&m, OLLAMA_CALL_OK, 2);
    assert_true(ollama_is_busy(&m));
    ollama_step(&m, OLLAMA_SEEN, 3);
    assert_false(ollama_is_busy(&m));
    ollama_step(&m, OLLAMA_UNSEEN, 4); /* it is looked for closely */
    assert_true(ollama_is_busy(&m));
    ollama_step(&m, OLLAMA_SEEN, 5);
    ollama_step(&m, OLLAMA_UNLOAD, 6);
    assert_true(ollama_is_busy(&m));
}

static void test_server(void **state)
{
    (void)state;
    static const struct {
        const char *answers; /* l: listed, r: refused, s: slow */
        const char *changes; /* u: came up, d: went down, .: neither */
    } rows[] = {{"lll", "..."},     {"r", "d"},          {"s", "d"},       {"lr", ".d"},
                {"ls", ".."},       {"lss", "..d"},      {"lsls", "...."}, {"lsr", "..d"},
                {"lrrsr", ".d..."}, {"lrl", ".du"},      {"rl", "du"},     {"lsslsl", "..du.."},
                {"lrlr", ".dud"},   {"lrlssl", ".du.du"}};
    for (size_t i = 0; i < countof(rows); i++) {
        enum ollama_state is = OLLAMA_NEW;
        char got[16] = "";
        for (size_t k = 0; rows[i].answers[k]; k++) {
            char a = rows[i].answers[k];
            enum ollama_change c = ollama_answered(&is, a == 'l'   ? OLLAMA_LISTED
                                                        : a == 'r' ? OLLAMA_REFUSED
                                                                   : OLLAMA_SLOW);
            got[k] = c == OLLAMA_CAME_UP ? 'u' : c == OLLAMA_WENT_DOWN ? 'd' : '.';
        }
        assert_string_equal(got, rows[i].changes);
    }
    assert_int_equal(ollama_period_ns(OLLAMA_DOWN, true, true), 0);
    assert_true(ollama_period_ns(OLLAMA_UP, true, false) <
                ollama_period_ns(OLLAMA_UP, false, true));
    assert_true(ollama_period_ns(OLLAMA_UP, false, true) <
                ollama_period_ns(OLLAMA_UP, false, false));
    assert_true(ollama_period_ns(OLLAMA_LATE, false, false) ==
                ollama_period_ns(OLLAMA_UP, true, false));
}

#define NOW 1800000000 /* in 2027 */

static void test_lists(void **state)
{
    (void)state;
    static struct ollama_list l;
    static const char text[] =
        "{\"models\":["
        "{\"name\":\"a:1b\",\"model\":\"a:1b\",\"size\":20,\"size_vram\":15,"
        "\"expires_at\":\"2318-10-02T13:00:00.123456789+02:00\"},"
        "{\"name\":\"b\",\"size\":7,\"size_vram\":-1,\"expires_at\":\"2027-01-15T08:05:00Z\"},"
        "{\"name\":\"c\"},{\"name\":\"\"},{\"model\":7},null]}";
    assert_int_equal(ollama_read_list(text, strlen(text), NOW, &l), 0);
    assert_int_equal(l.count, 3);
    assert_string_equal(l.items[0].name, "a:1b");
    assert_int_equal(l.items[0].bytes, 20);
    assert_int_equal(l.items[0].vram_bytes, 15);
    assert_false(l.items[0].brief);
    assert_int_equal(l.items[1].vram_bytes, 0);
    assert_true(l.items[1].brief);
    assert_false(l.items[2].brief);
    static const char *const none[] = {"", "{}", "[]", "{\"models\":3}", "{\"models\":[", "null"};
    for (size_t i = 0; i < countof(none); i++)
        assert_int_equal(ollama_read_list(none[i], strlen(none[i]), NOW, &l), -1);
    assert_int_equal(l.count, 3);
    assert_int_equal(ollama_read_list("{\"models\":null}", 15, NOW, &l), 0);
    assert_int_equal(l.count, 0);
}

/* No more than are kept, and no name that does not fit. */
static void test_list_is_bounded(void **state)
{
    (void)state;
    static struct ollama_list l;
    static char text[64 * 1024];
    size_t n = (size_t)snprintf(text, sizeof(text), "{\"models\":[{\"name\":\"%0*d\"}",
                                OLLAMA_NAME_BYTES, 1);
    for (int i = 0; i < OLLAMA_LISTED_MAX + 9; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, ",{\"name\":\"m%d\"}", i);
    n += (size_t)snprintf(text + n, sizeof(text) - n, "]}");
    assert_int_equal(ollama_read_list(text, n, NOW, &l), 0);
    assert_int_equal(l.count, OLLAMA_LISTED_MAX);
    assert_string_equal(l.items[0].name, "m0");
}

static void test_texts(void **state)
{
    (void)state;
    char text[16];
    static const char error[] = "{\"error\":\"no such model, none at all\"}";
    ollama_read_error(error, strlen(error), text, sizeof(text));
    assert_string_equal(text, "no such model, ");
    ollama_read_error("<html>", 6, text, sizeof(text));
    assert_string_equal(text, "");
    ollama_read_version("{\"version\":\"0.12.6\"}", 20, text, sizeof(text));
    assert_string_equal(text, "0.12.6");
    ollama_read_version("{\"version\":12}", 14, text, sizeof(text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories), cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_busy),    cmocka_unit_test(test_server),
        cmocka_unit_test(test_lists),   cmocka_unit_test(test_list_is_bounded),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
