/* How a model that a worker holds comes, moves and goes: sequences of events, and what follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "backend/worker.h"

static const struct {
    const char *word;
    enum worker_event type;
    bool ok;
} events[] = {
    {"joins", WORKER_JOINED, false},    {"leaves", WORKER_LEFT, false},
    {"load", WORKER_LOAD, false},       {"move", WORKER_MOVE, false},
    {"unload", WORKER_UNLOAD, false},   {"abort", WORKER_ABORT, false},
    {"kill", WORKER_KILL, false},       {"done", WORKER_ANSWERED, true},
    {"cannot", WORKER_ANSWERED, false}, {"gone", WORKER_SEEN_GONE, false},
    {"kept", WORKER_SEEN_KEPT, false},  {"timer", WORKER_TIMER, false},
};

static const char *const action_words[] = {
    [WORKER_DO_ASK_LOAD] = "LOAD",       [WORKER_DO_ASK_MOVE] = "MOVE",
    [WORKER_DO_ASK_UNLOAD] = "UNLOAD",   [WORKER_DO_ASK_WHERE] = "WHERE",
    [WORKER_DO_WATCH] = "WATCH",         [WORKER_DO_TIMER] = "TIMER",
    [WORKER_DO_DROP] = "DROP",           [WORKER_DO_ADOPT] = "ADOPT",
    [WORKER_DO_DONE] = "DONE",           [WORKER_DO_ABSENT] = "ABSENT",
    [WORKER_DO_FAILED] = "FAILED",       [WORKER_DO_AT_SOURCE] = "AT_SOURCE",
    [WORKER_DO_AT_TARGET] = "AT_TARGET", [WORKER_DO_GONE] = "GONE",
    [WORKER_DO_BROKEN] = "BROKEN",
};

#define ON_CPU "joins@c:ADOPT "
#define ON_GPU "joins@g:ADOPT "

/* event[@place]:ACTION+ACTION; places: c the host, g a GPU, h another, none: nowhere. */
static const struct {
    const char *what, *story;
} stories[] = {
    {"is there already", ON_CPU "unload:UNLOAD done:DONE"},
    {"comes without the model, and loads",
     "joins: load@g:LOAD done@g:DONE unload:UNLOAD done:DONE"},
    {"nobody has registered", "load@g:TIMER timer:ABSENT joins@c:ADOPT"},
    {"comes in that moment", "load@g:TIMER joins:LOAD timer: done@g:DONE"},
    {"comes in that moment, at another place", "load@g:TIMER joins@c:MOVE done@g:DONE"},
    {"comes in that moment, at the place", "load@g:TIMER joins@g:TIMER timer:DONE"},
    {"is loaded anywhere", "joins: load:LOAD done@c:DONE"},
    {"cannot load", "joins: load@g:LOAD cannot:FAILED load@g:LOAD done@g:DONE"},
    {"loads, but its check fails", "joins: load@g:LOAD cannot@g:UNLOAD+TIMER done:FAILED"},
    {"loads somewhere else", "joins: load@g:LOAD cannot@c:UNLOAD+TIMER cannot@c:DROP+FAILED"},
    {"leaves while it loads", "joins: load@g:LOAD leaves:FAILED"},
    {"its load is called off", "joins: load@g:LOAD abort:UNLOAD+TIMER done:FAILED load@c:LOAD"},
    {"its load is called off, and it hangs",
     "joins: load@g:LOAD abort:UNLOAD+TIMER timer:DROP+FAILED"},
    {"is called off twice", "joins: load@g:LOAD abort:UNLOAD+TIMER abort: timer:DROP+FAILED"},
    {"is called off when nobody is there", "load@g:TIMER abort: timer:ABSENT"},
    {"moves there", ON_CPU "move@g:MOVE done@g:DONE"},
    {"moves back, and is seen to", ON_GPU "move@c:MOVE done@c:WATCH+TIMER gone:DONE move@g:MOVE"},
    {"moves back, and nobody can tell", ON_GPU "move@c:MOVE done@c:WATCH+TIMER timer:DONE"},
    {"lies", ON_GPU "move@c:MOVE done@c:WATCH+TIMER kept:AT_SOURCE move@c:MOVE done@c:WATCH+TIMER"},
    {"is seen too late", ON_GPU "move@c:MOVE done@c:WATCH+TIMER gone:DONE kept: timer: gone:"},
    {"moves from one GPU to another", ON_GPU "move@h:MOVE done@h:WATCH+TIMER gone:DONE"},
    {"leaves while it is watched", ON_GPU "move@c:MOVE done@c:WATCH+TIMER leaves:GONE gone:"},
    {"is killed while it is watched", ON_GPU "move@c:MOVE done@c:WATCH+TIMER kill: gone:DONE"},
    {"cannot move", ON_CPU "move@g:MOVE cannot@c:AT_SOURCE"},
    {"arrives broken", ON_CPU "move@g:MOVE cannot@g:AT_TARGET+BROKEN unload:UNLOAD done:DONE"},
    {"loses the model on its way", ON_CPU "move@g:MOVE cannot:GONE load@c:LOAD done@c:DONE"},
    {"arrives somewhere else", ON_CPU "move@g:MOVE cannot@h:DROP+GONE joins@h:ADOPT"},
    {"leaves on its way", ON_CPU "move@g:MOVE leaves:GONE joins@c:ADOPT"},
    {"hangs on its way", ON_CPU "move@g:MOVE kill:WHERE+TIMER timer:DROP+GONE timer:"},
    {"is slow, and still there", ON_CPU "move@g:MOVE kill:WHERE+TIMER done@c:AT_SOURCE timer:"},
    {"is slow, and has arrived", ON_CPU "move@g:MOVE kill:WHERE+TIMER done@g:DONE timer:"},
    {"is slow, has left, and is watched", ON_GPU "move@c:MOVE kill:WHERE+TIMER done@c:WATCH+TIMER "
                                                 "timer:DONE"},
    {"is killed twice", ON_CPU "move@g:MOVE kill:WHERE+TIMER kill: timer:DROP+GONE"},
    {"does not unload", ON_CPU "unload:UNLOAD cannot@c: kill:WHERE+TIMER cannot@c:DROP+GONE"},
    {"hangs in its unload", ON_CPU "unload:UNLOAD kill:WHERE+TIMER timer:DROP+GONE"},
    {"unloads late", ON_CPU "unload:UNLOAD kill:WHERE+TIMER done:DONE"},
    {"leaves in its unload", ON_CPU "unload:UNLOAD leaves:GONE"},
    {"leaves by itself", ON_CPU "leaves:GONE joins: leaves: joins@g:ADOPT"},
    {"answers what nobody asked", ON_CPU "done@g: cannot: unload:UNLOAD"},
    {"is hurried for nothing", ON_CPU "kill: abort: timer: gone: kept:"},
};

static struct worker_place place_of(char c)
{
    struct worker_place at = {WORKER_NOWHERE, 0};
    if (c == 'c')
        at = (struct worker_place){1, 0};
    else if (c == 'g')
        at = (struct worker_place){0, 1};
    else if (c == 'h')
        at = (struct worker_place){2, 2};
    return at;
}

static struct worker_input read_event(const char *text, size_t n)
{
    size_t word = strcspn(text, "@:");
    for (size_t i = 0; i < countof(events); i++)
        if (strlen(events[i].word) == word && strncmp(events[i].word, text, word) == 0)
            return (struct worker_input){.type = events[i].type,
                                         .ok = events[i].ok,
                                         .at = place_of(word < n ? text[word + 1] : '\0')};
    fail_msg("no event '%.*s'", (int)n, text);
    return (struct worker_input){0};
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(stories); i++) {
        struct worker_machine w;
        worker_init(&w);
        for (const char *at = stories[i].story; *at;) {
            size_t n = strcspn(at, ":"), all = strcspn(at, " ");
            struct worker_actions got = worker_step(&w, read_event(at, n));
            char text[160] = "";
            for (uint32_t k = 0; k < got.count; k++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", k ? "+" : "",
                         action_words[got.items[k]]);
            if (strlen(text) != all - n - 1 || strncmp(text, at + n + 1, all - n - 1) != 0)
                fail_msg("%s: at '%.*s': got '%s'", stories[i].what, (int)all, at, text);
            at += all + (at[all] == ' ');
        }
    }
}

/* Each hurry is bounded. */
static void test_delays(void **state)
{
    static const struct {
        const char *story;
        uint64_t ns;
    } rows[] = {
        {"load@g", 0},
        {"joins load@g abort", WORKER_UNDO_NS},
        {"joins@c move@g kill", WORKER_WHERE_NS},
        {"joins@g move@c done@c", WORKER_WATCH_NS},
    };
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct worker_machine w;
        struct worker_actions got = {0};
        worker_init(&w);
        for (const char *at = rows[i].story; *at;) {
            char word[32];
            size_t n = strcspn(at, " ");
            snprintf(word, sizeof(word), "%.*s:", (int)n, at);
            got = worker_step(&w, read_event(word, n));
            at += n + (at[n] == ' ');
        }
        assert_int_equal(got.items[got.count - 1], WORKER_DO_TIMER);
        assert_int_equal(got.delay_ns, rows[i].ns);
    }
}

/* Whatever comes, in whatever order: each op is answered once, and nothing is told without one but
 * that the model is gone. */
static void test_any_order(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252ULL;
    for (int run = 0; run < 2000; run++) {
        struct worker_machine w;
        bool open = false, resident = false;
        worker_init(&w);
        for (int step = 0; step < 60; step++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            struct worker_input in = {.type = (enum worker_event)(random % (WORKER_TIMER + 1)),
                                      .ok = random >> 20 & 1,
                                      .at = place_of("cgh-"[random >> 24 & 3])};
            bool orders =
                in.type == WORKER_LOAD || in.type == WORKER_MOVE || in.type == WORKER_UNLOAD;
            /* What the core and the server never do. */
            if ((orders && (open || resident == (in.type == WORKER_LOAD))) ||
                (in.type == WORKER_MOVE && in.at.variant == WORKER_NOWHERE) ||
                (in.type == WORKER_JOINED && w.here) || (in.type == WORKER_LEFT && !w.here) ||
                (in.type == WORKER_ABORT && w.op != WORKER_LOADS) ||
                (in.type == WORKER_ANSWERED && in.ok && w.op != WORKER_UNLOADS &&
                 (w.undoing ? in.at.variant != WORKER_NOWHERE : in.at.variant == WORKER_NOWHERE)))
                continue;
            open |= orders;
            struct worker_actions got = worker_step(&w, in);
            for (uint32_t i = 0; i < got.count; i++) {
                enum worker_action a = got.items[i];
                bool ends = a >= WORKER_DO_DONE && a <= WORKER_DO_GONE;
                assert_true(!ends || open || (a == WORKER_DO_GONE && resident));
                if (a == WORKER_DO_ADOPT)
                    assert_false(open || resident);
                open &= !ends;
            }
            assert_int_equal(open, w.op != WORKER_NO_OP);
            resident = w.resident;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_delays),
        cmocka_unit_test(test_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
