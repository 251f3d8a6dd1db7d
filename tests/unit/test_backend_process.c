/* How a model that is a process comes and goes: sequences of events, and what is done at each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "backend/process.h"

static const char *const event_words[] = {
    [PROCESS_LOAD] = "load",         [PROCESS_ABORT] = "abort",
    [PROCESS_UNLOAD] = "unload",     [PROCESS_KILL] = "kill",
    [PROCESS_SPAWNED] = "spawned",   [PROCESS_SPAWN_FAILED] = "spawn_failed",
    [PROCESS_PROBE_OK] = "probe_ok", [PROCESS_PROBE_FAILED] = "probe_failed",
    [PROCESS_TIMER] = "timer",       [PROCESS_EXITED] = "exited",
    [PROCESS_GONE] = "gone",         [PROCESS_SLEEP] = "sleep",
    [PROCESS_WAKE] = "wake",         [PROCESS_TAKE_OVER] = "take_over",
};

static const char *const action_words[] = {
    [PROCESS_DO_SPAWN] = "SPAWN",   [PROCESS_DO_PROBE] = "PROBE",
    [PROCESS_DO_TIMER] = "TIMER",   [PROCESS_DO_TERM] = "TERM",
    [PROCESS_DO_KILL] = "KILL",     [PROCESS_DO_LOADED] = "LOADED",
    [PROCESS_DO_STUCK] = "STUCK",   [PROCESS_DO_LOAD_FAILED] = "LOAD_FAILED",
    [PROCESS_DO_BROKEN] = "BROKEN", [PROCESS_DO_UNLOADED] = "UNLOADED",
    [PROCESS_DO_EXITED] = "EXITED",
};

#define READY "load:SPAWN spawned:TIMER timer:PROBE probe_ok:LOADED "

/* event:ACTION+ACTION, in order; unprobed: it has no check endpoint. */
static const struct {
    const char *what, *story;
    bool unprobed;
} stories[] = {
    {"is probed until it is ready",
     "load:SPAWN spawned:TIMER timer:PROBE probe_failed:TIMER timer:PROBE probe_ok:LOADED", false},
    {"without a check endpoint it is ready once spawned", "load:SPAWN spawned:LOADED", true},
    {"cannot be spawned", "load:SPAWN spawn_failed: gone:LOAD_FAILED", false},
    {"dies while it loads",
     "load:SPAWN spawned:TIMER timer:PROBE exited: probe_failed: gone:LOAD_FAILED", false},
    {"a probe that succeeds after the end does not count",
     "load:SPAWN spawned:TIMER timer:PROBE exited: probe_ok: gone:LOAD_FAILED", false},
    {"is given up while it is spawned",
     "load:SPAWN abort:KILL+TIMER spawned: exited: gone:LOAD_FAILED", false},
    {"is given up twice", "load:SPAWN spawned:TIMER abort:KILL+TIMER abort: gone:LOAD_FAILED",
     false},
    {"is given up and cannot be ended",
     "load:SPAWN spawned:TIMER abort:KILL+TIMER timer:LOAD_FAILED exited: gone:", false},
    {"is stopped", READY "unload:TERM exited: gone:UNLOADED", false},
    {"is stopped, then killed", READY "unload:TERM kill:KILL+TIMER exited: gone:UNLOADED", false},
    {"cannot be ended", READY "unload:TERM kill:KILL+TIMER timer:STUCK exited: gone:EXITED", false},
    {"ends by itself", READY "exited:BROKEN unload: gone:UNLOADED", false},
    {"ends by itself, and nobody asks", READY "exited:BROKEN gone:EXITED", false},
    {"its children outlive it and are killed",
     READY "exited:BROKEN unload: kill:KILL+TIMER gone:UNLOADED", false},
    {"is killed during something asked of its engine", READY "kill:KILL+TIMER exited: gone:EXITED",
     false},
    {"is killed so, and cannot be ended",
     READY "kill:KILL+TIMER timer:EXITED exited: gone:", false},
    {"sleeps, wakes, and is stopped", READY "sleep: wake: unload:TERM exited: gone:UNLOADED",
     false},
    {"is stopped while it sleeps", READY "sleep: unload:TERM exited: gone:UNLOADED", false},
    {"is stopped while it sleeps, and killed",
     READY "sleep: unload:TERM kill:KILL+TIMER exited: gone:UNLOADED", false},
    {"ends while it sleeps: no request can break on it", READY "sleep: exited: gone:EXITED", false},
    {"is killed on its way to sleep", READY "sleep: kill:KILL+TIMER wake: exited: gone:EXITED",
     false},
    {"is killed on its way to sleep, and cannot be ended",
     READY "sleep: kill:KILL+TIMER timer:EXITED gone:", false},
    {"has ended when it is to sleep", READY "exited:BROKEN sleep: wake: gone:EXITED", false},
    {"ends on its way back", READY "sleep: exited: wake: unload: gone:UNLOADED", false},
    {"a late timer does nothing", READY "timer: unload:TERM timer: gone:UNLOADED timer:", false},
    {"a kill after the end does nothing", READY "unload:TERM gone:UNLOADED kill: abort:", false},
    {"is taken over while it loads", "take_over:TIMER timer:PROBE probe_ok:LOADED", false},
    {"is taken over as soon as it runs", "take_over:LOADED", true},
    {"ends before its load is taken over", "exited: take_over: gone:LOAD_FAILED", false},
};

/* The same of what an earlier daemon had brought so far. */
static const struct {
    enum process_phase phase;
    const char *what, *story;
} taken_over[] = {
    {PROCESS_READY, "is stopped", "unload:TERM exited: gone:UNLOADED"},
    {PROCESS_READY, "ends by itself", "exited:BROKEN gone:EXITED"},
    {PROCESS_ASLEEP, "wakes and ends by itself", "wake: exited:BROKEN gone:EXITED"},
};

static enum process_event event_of(const char *word, size_t n)
{
    for (size_t i = 0; i < countof(event_words); i++)
        if (strlen(event_words[i]) == n && strncmp(event_words[i], word, n) == 0)
            return (enum process_event)i;
    fail_msg("no event '%.*s'", (int)n, word);
    return PROCESS_LOAD;
}

static void put(char *out, size_t size, const struct process_actions *got)
{
    out[0] = '\0';
    for (uint32_t i = 0; i < got->count; i++)
        snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? "+" : "",
                 action_words[got->items[i]]);
}

static void tell(struct process *p, const char *what, const char *story)
{
    uint64_t now = 0;
    for (const char *at = story; *at;) {
        size_t n = strcspn(at, ":"), end = strcspn(at, " ");
        struct process_actions got = process_step(p, event_of(at, n), now += NS_PER_MS);
        char text[128];
        put(text, sizeof(text), &got);
        if (strlen(text) != end - n - 1 || strncmp(text, at + n + 1, end - n - 1) != 0)
            fail_msg("%s: at '%.*s': got '%s'", what, (int)end, at, text);
        at += end + (at[end] == ' ');
    }
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(stories); i++) {
        struct process p;
        process_init(&p, !stories[i].unprobed);
        tell(&p, stories[i].what, stories[i].story);
    }
    for (size_t i = 0; i < countof(taken_over); i++) {
        struct process p;
        process_adopt(&p, true, taken_over[i].phase);
        tell(&p, taken_over[i].what, taken_over[i].story);
    }
}

/* Whatever comes, and in whatever order: a LOAD and an UNLOAD are each answered once, and nothing
 * is said of what is over. */
static void test_any_order(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (uint32_t run = 0; run < 20000; run++) {
        struct process p;
        int load = 0, unload = 0, ends = 0;
        bool asked = false, gone = false;
        process_init(&p, run % 3 != 0);
        struct process_actions got = process_step(&p, PROCESS_LOAD, 0);
        for (uint32_t i = 1; i < 40 && !gone; i++) {
            seed = seed * 1664525U + 1013904223U;
            enum process_event ev = (enum process_event)(seed >> 16) % countof(event_words);
            if (i == 39)
                ev = PROCESS_GONE;
            if (ev == PROCESS_LOAD || ev == PROCESS_TAKE_OVER ||
                (ev == PROCESS_UNLOAD && (asked || load != 1)))
                continue;
            asked |= ev == PROCESS_UNLOAD;
            gone = ev == PROCESS_GONE;
            got = process_step(&p, ev, i * NS_PER_MS);
            for (uint32_t k = 0; k < got.count; k++) {
                load += got.items[k] == PROCESS_DO_LOADED || got.items[k] == PROCESS_DO_LOAD_FAILED;
                unload += got.items[k] == PROCESS_DO_UNLOADED || got.items[k] == PROCESS_DO_STUCK;
                ends += got.items[k] == PROCESS_DO_EXITED;
            }
        }
        if (load != 1 || unload > 1 || ends > 1 || (!asked && unload))
            fail_msg("run %u: %d answers to LOAD, %d to UNLOAD (asked %d), %d EXITED", run, load,
                     unload, asked, ends);
        if (asked && unload == 0 && ends == 0)
            fail_msg("run %u: UNLOAD was never answered", run);
    }
}

static void test_probe_interval(void **state)
{
    static const struct {
        uint64_t elapsed_ns, wanted_ns;
    } cases[] = {{0, 2 * NS_PER_MS},
                 {64 * NS_PER_MS, 2 * NS_PER_MS},
                 {640 * NS_PER_MS, 10 * NS_PER_MS},
                 {16 * NS_PER_S, 250 * NS_PER_MS},
                 {600 * NS_PER_S, 250 * NS_PER_MS}};
    (void)state;
    for (size_t i = 0; i < countof(cases); i++)
        assert_int_equal(process_probe_interval_ns(cases[i].elapsed_ns), cases[i].wanted_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_probe_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
