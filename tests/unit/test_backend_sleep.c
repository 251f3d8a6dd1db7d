/* How engines are sent to sleep and woken: what each is asked, how its answers are read, and
 * sequences of what comes back with what is done at each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/sleep.h"
#include "base/buf.h"

/* ---- the table ---- */

static const struct sleep_value values[] = {
    {"model", "\"a \\\"b\\\"\""}, {"key", "k"},
    {"suspend.method", "PUT"},    {"suspend.path", "/doze"},
    {"suspend.body", "{}"},       {"resume.method", "POST"},
    {"check.path", "/state"},     {"check.member", "a.b"},
    {"check.value", "true"},
};

static void put(struct buf *out, const char *text)
{
    if (text)
        sleep_fill(out, text, values, countof(values));
}

/* "METHOD path body" of each, with " + " between them. */
static char *describe(const struct sleep_call *calls)
{
    struct buf out = {0};
    for (size_t i = 0; i < SLEEP_CALLS_MAX && calls[i].path; i++) {
        struct buf path = {0};
        put(&path, calls[i].path);
        if (path.len) {
            buf_text(&out, out.len ? " + " : "");
            put(&out, calls[i].method);
            buf_char(&out, ' ');
            put(&out, calls[i].path);
            buf_char(&out, ' ');
            put(&out, calls[i].body);
        }
        buf_fini(&path);
    }
    return buf_take(&out);
}

static const struct {
    const char *word;
    uint32_t level;
    const char *suspend, *resume, *asleep, *key;
} rows[] = {
    {"vllm", 1, "POST /sleep?level=1 ", "POST /wake_up ", "/is_sleeping", ""},
    {"vllm", 2, "POST /sleep?level=2 ",
     "POST /wake_up?tags=weights  + POST /collective_rpc {\"method\":\"reload_weights\"} + "
     "POST /wake_up?tags=kv_cache ",
     "/is_sleeping", ""},
    {"sglang", 1, "POST /release_memory_occupation {}", "POST /resume_memory_occupation {}", "",
     ""},
    {"comfyui", 1, "POST /free {\"unload_models\":true,\"free_memory\":true}", "", "", ""},
    {"a1111", 1, "POST /sdapi/v1/unload-checkpoint ", "POST /sdapi/v1/reload-checkpoint ", "", ""},
    {"tabby", 1, "POST /v1/model/unload ", "POST /v1/model/load {\"model_name\":\"a \\\"b\\\"\"}",
     "/v1/model", "Bearer k"},
    {"http", 1, "PUT /doze {}", "", "/state", ""},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        const struct sleep_engine *e = sleep_find(rows[i].word, rows[i].level);
        assert_non_null(e);
        assert_string_equal(e->word, rows[i].word);
        char *suspend = describe(e->suspend), *resume = describe(e->resume);
        struct buf asleep = {0}, key = {0};
        put(&asleep, e->asleep.path);
        put(&key, e->key);
        assert_string_equal(suspend, rows[i].suspend);
        assert_string_equal(resume, rows[i].resume);
        assert_string_equal(asleep.data ? asleep.data : "", rows[i].asleep);
        assert_string_equal(key.data ? key.data : "", rows[i].key);
        free(suspend);
        free(resume);
        buf_fini(&asleep);
        buf_fini(&key);
    }
    assert_null(sleep_find("none", 1));
    assert_null(sleep_find("cuda", 1));
    assert_null(sleep_find("vllm", 3));
}

static void test_fill(void **state)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {{"", ""},
                 {"plain", "plain"},
                 {"${key}", "k"},
                 {"<${key}${key}>", "<kk>"},
                 {"${nobody}", ""},
                 {"${key", "${key"},
                 {"$key}", "$key}"},
                 /* What is put in is not looked into. */
                 {"${loop}", "${key}"}};
    const struct sleep_value own[] = {{"key", "k"}, {"loop", "${key}"}};
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf out = {0};
        sleep_fill(&out, cases[i].text, own, countof(own));
        char *got = buf_take(&out);
        assert_string_equal(got, cases[i].wanted);
        free(got);
    }
}

/* ---- answers ---- */

#define ONE(member, value)                                                                         \
    {                                                                                              \
        "/x", {member}, value,                                                                     \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define TWO                                                                                        \
    {                                                                                              \
        "/x", {"a", "b"}, "[]",                                                                    \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define STATUS                                                                                     \
    {                                                                                              \
        "/x", {NULL}, NULL,                                                                        \
        {                                                                                          \
            503, 400                                                                               \
        }                                                                                          \
    }

static const struct {
    struct sleep_question q;
    int status;
    const char *body;
    enum sleep_says wanted;
} answers[] = {
    {ONE("s", "true"), 200, "{\"s\":true}", SLEEP_YES},
    {ONE("s", "true"), 200, "{\"s\": false}", SLEEP_NO},
    {ONE("s", "true"), 200, "{\"s\":\"true\"}", SLEEP_YES},
    {ONE("s", "true"), 200, "{}", SLEEP_UNKNOWN},
    {ONE("s", "true"), 200, "", SLEEP_UNKNOWN},
    {ONE("s", "true"), 200, "{\"s\":true", SLEEP_UNKNOWN},
    {ONE("s", "true"), 200, "true", SLEEP_UNKNOWN},
    {ONE("s", "true"), 404, "{\"s\":true}", SLEEP_UNKNOWN},
    {ONE("a.b", "dozing"), 200, "{\"a\":{\"b\":\"dozing\"}}", SLEEP_YES},
    {ONE("a.b", "dozing"), 200, "{\"a\":{\"b\":\"up\"}}", SLEEP_NO},
    {ONE("a.b", "dozing"), 200, "{\"a\":[]}", SLEEP_UNKNOWN},
    {ONE("n", "0"), 200, "{\"n\":0}", SLEEP_YES},
    {ONE("n", "0"), 200, "{\"n\":10}", SLEEP_NO},
    {ONE("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "1"), 200, "{}", SLEEP_UNKNOWN},
    {TWO, 200, "{\"a\":[ ],\"b\":[]}", SLEEP_YES},
    {TWO, 200, "{\"a\":[],\"b\":[[0]]}", SLEEP_NO},
    {TWO, 200, "{\"a\":[1],\"b\":[]}", SLEEP_NO},
    {TWO, 200, "{\"a\":[1]}", SLEEP_UNKNOWN},
    {STATUS, 200, "{\"id\":\"m\"}", SLEEP_NO},
    {STATUS, 503, "", SLEEP_YES},
    {STATUS, 400, "", SLEEP_YES},
    {STATUS, 401, "", SLEEP_UNKNOWN},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(answers); i++) {
        enum sleep_says got =
            sleep_read(&answers[i].q, answers[i].status, answers[i].body, strlen(answers[i].body));
        if (got != answers[i].wanted)
            fail_msg("%d '%s': %d instead of %d", answers[i].status, answers[i].body, got,
                     answers[i].wanted);
    }
}

/* ---- the machine ---- */

static const char *const action_words[] = {
    [SLEEP_DO_CALL] = "CALL",     [SLEEP_DO_ASK_IDLE] = "IDLE", [SLEEP_DO_ASK] = "ASK",
    [SLEEP_DO_HEALTH] = "HEALTH", [SLEEP_DO_SAMPLE] = "SAMPLE", [SLEEP_DO_WAIT] = "WAIT",
    [SLEEP_DO_DONE] = "DONE",     [SLEEP_DO_KILL] = "KILL",     [SLEEP_DO_REFUSED] = "REFUSED",
};

static const struct {
    const char *word;
    struct sleep_event ev;
} event_words[] = {
    {"begin", {.type = SLEEP_BEGIN}},
    {"timer", {.type = SLEEP_TIMER}},
    {"lost", {.type = SLEEP_LOST}},
    {"200", {.type = SLEEP_ANSWERED, .status = 200}},
    {"204", {.type = SLEEP_ANSWERED, .status = 204}},
    {"401", {.type = SLEEP_ANSWERED, .status = 401}},
    {"404", {.type = SLEEP_ANSWERED, .status = 404}},
    {"500", {.type = SLEEP_ANSWERED, .status = 500}},
    {"503", {.type = SLEEP_ANSWERED, .status = 503}},
    {"yes", {.type = SLEEP_ANSWERED, .status = 200, .says = SLEEP_YES}},
    {"no", {.type = SLEEP_ANSWERED, .status = 200, .says = SLEEP_NO}},
    {"unknown", {.type = SLEEP_ANSWERED, .status = 404}},
    {"blind", {.type = SLEEP_SAMPLE, .measure = SLEEP_BLIND}},
    {"later", {.type = SLEEP_SAMPLE, .measure = SLEEP_LATER}},
};

/* What the plan has: a call, three, an idle question, a question, a check endpoint; prompt. */
#define CALL1 1
#define CALL3 2
#define IDLE 4
#define ASKS 8
#define HEALTH 16
#define PROMPT 32
#define WAKES 64

#define BEGIN8 "begin:SAMPLE 8:CALL "
#define FELL "1:WAIT timer:SAMPLE 1:DONE"
#define HALF_A_SECOND_X10                                                                          \
    "+500 8:WAIT timer:SAMPLE +500 8:WAIT timer:SAMPLE +500 8:WAIT timer:SAMPLE +500 8:WAIT "      \
    "timer:SAMPLE +500 8:WAIT timer:SAMPLE +500 8:WAIT timer:SAMPLE +500 8:WAIT timer:SAMPLE "     \
    "+500 8:WAIT timer:SAMPLE +500 8:WAIT timer:SAMPLE +500 8:"

/* event:ACTION, in order; a number is a sample of so many GiB; +N: N ms go by. The limit is 20 s.
 */
static const struct {
    const char *what;
    uint32_t has;
    const char *story;
    enum sleep_trouble trouble;
    uint64_t residue_gib;
} stories[] = {
    /* suspend */
    {"sleeps, by what is measured", CALL1, BEGIN8 "200:SAMPLE " FELL, SLEEP_FINE, 1},
    {"sleeps, by what it says and what is measured", CALL1 | ASKS,
     BEGIN8 "204:ASK yes:SAMPLE 7:WAIT timer:SAMPLE " FELL, SLEEP_FINE, 1},
    {"takes its time to fall asleep", CALL1 | ASKS,
     BEGIN8 "200:ASK no:WAIT timer:ASK lost:WAIT timer:ASK yes:SAMPLE " FELL, SLEEP_FINE, 1},
    {"frees late", CALL1,
     BEGIN8 "200:SAMPLE 8:WAIT timer:SAMPLE 8:WAIT timer:SAMPLE 2:WAIT timer:SAMPLE " FELL,
     SLEEP_FINE, 1},
    {"frees in steps", CALL1, BEGIN8 "200:SAMPLE 4:WAIT timer:SAMPLE 3:WAIT timer:SAMPLE " FELL,
     SLEEP_FINE, 1},
    {"frees nothing", CALL1, BEGIN8 "200:SAMPLE " HALF_A_SECOND_X10 "DONE", SLEEP_FINE, 8},
    {"is measured late", CALL1,
     BEGIN8 "200:SAMPLE later:WAIT timer:SAMPLE later:WAIT timer:SAMPLE " FELL, SLEEP_FINE, 1},
    {"is not measured any more", CALL1, BEGIN8 "200:SAMPLE +5000 later:DONE", SLEEP_FINE, 0},
    {"nobody can tell", CALL1, "begin:SAMPLE blind:CALL 200:SAMPLE blind:DONE", SLEEP_FINE, 0},
    {"what it had is not known in time", CALL1,
     "begin:SAMPLE later:WAIT timer:SAMPLE +1000 later:CALL 200:SAMPLE " FELL, SLEEP_FINE, 1},
    {"calls thrice", CALL3, BEGIN8 "200:CALL 200:CALL 200:SAMPLE " FELL, SLEEP_FINE, 1},
    {"does not know it", CALL1, BEGIN8 "404:REFUSED", SLEEP_TROUBLE_ABSENT, 0},
    {"does not know it, nor the question", CALL1 | ASKS, BEGIN8 "404:ASK unknown:REFUSED",
     SLEEP_TROUBLE_ABSENT, 0},
    {"wants a key", CALL1 | ASKS, BEGIN8 "401:ASK no:REFUSED", SLEEP_TROUBLE_REFUSED, 0},
    {"sleeps already, and says so", CALL1 | ASKS, BEGIN8 "503:ASK yes:SAMPLE " FELL,
     SLEEP_TROUBLE_REFUSED, 1},
    {"fails, and says that it is awake", CALL1 | ASKS, BEGIN8 "500:ASK no:REFUSED",
     SLEEP_TROUBLE_REFUSED, 0},
    {"fails, and is asleep by its memory", CALL1, BEGIN8 "500:SAMPLE " FELL, SLEEP_TROUBLE_REFUSED,
     1},
    {"fails, and is awake by its memory", CALL1, BEGIN8 "500:SAMPLE " HALF_A_SECOND_X10 "REFUSED",
     SLEEP_TROUBLE_REFUSED, 8},
    {"fails, and nobody can tell", CALL1, "begin:SAMPLE blind:CALL 500:SAMPLE blind:KILL",
     SLEEP_TROUBLE_REFUSED, 0},
    {"fails, and cannot say", CALL1 | ASKS, BEGIN8 "500:ASK unknown:SAMPLE " FELL,
     SLEEP_TROUBLE_REFUSED, 1},
    {"fails, and is silent", CALL1 | ASKS, BEGIN8 "500:ASK lost:KILL", SLEEP_TROUBLE_REFUSED, 0},
    {"is cut", CALL1 | ASKS, BEGIN8 "lost:ASK no:REFUSED", SLEEP_TROUBLE_CUT, 0},
    {"is cut, but sleeps", CALL1 | ASKS, BEGIN8 "lost:ASK yes:SAMPLE " FELL, SLEEP_TROUBLE_CUT, 1},
    {"is cut in its second call", CALL3, BEGIN8 "200:CALL lost:SAMPLE " FELL, SLEEP_TROUBLE_CUT, 1},
    {"refuses the second call", CALL3, BEGIN8 "200:CALL 404:SAMPLE " HALF_A_SECOND_X10 "REFUSED",
     SLEEP_TROUBLE_ABSENT, 8},
    {"is silent after it was told", CALL1 | ASKS,
     BEGIN8 "200:ASK lost:WAIT timer:ASK lost:WAIT timer:ASK lost:KILL", SLEEP_TROUBLE_CUT, 0},
    {"says for too long that it is awake", CALL1 | ASKS,
     BEGIN8 "200:ASK +14000 no:WAIT timer:ASK +1000 no:REFUSED", SLEEP_TROUBLE_UNMOVED, 0},
    {"has no time left to be measured for long", CALL1 | ASKS,
     BEGIN8 "200:ASK +15000 yes:SAMPLE 8:DONE", SLEEP_FINE, 8},
    {"is idle", CALL1 | IDLE, "begin:SAMPLE 8:IDLE yes:CALL 200:SAMPLE " FELL, SLEEP_FINE, 1},
    {"becomes idle", CALL1 | IDLE,
     "begin:SAMPLE 8:IDLE no:WAIT timer:IDLE lost:WAIT timer:IDLE "
     "yes:CALL 200:SAMPLE " FELL,
     SLEEP_FINE, 1},
    {"cannot be asked whether it is idle", CALL1 | IDLE,
     "begin:SAMPLE 8:IDLE unknown:CALL 404:REFUSED", SLEEP_TROUBLE_ABSENT, 0},
    {"is never idle", CALL1 | IDLE, "begin:SAMPLE 8:IDLE +9000 no:WAIT timer:IDLE +1000 no:REFUSED",
     SLEEP_TROUBLE_BUSY, 0},
    {"is silent before", CALL1 | IDLE,
     "begin:SAMPLE 8:IDLE lost:WAIT timer:IDLE lost:WAIT "
     "timer:IDLE lost:KILL",
     SLEEP_TROUBLE_CUT, 0},
    /* resume */
    {"wakes", WAKES | CALL1 | ASKS | HEALTH,
     "begin:CALL 200:ASK no:HEALTH 503:WAIT timer:HEALTH lost:WAIT timer:HEALTH 200:DONE",
     SLEEP_FINE, 0},
    {"wakes in three steps", WAKES | CALL3, "begin:CALL 200:CALL 200:CALL 200:DONE", SLEEP_FINE, 0},
    {"wakes by the next request", WAKES | HEALTH, "begin:HEALTH 200:DONE", SLEEP_FINE, 0},
    {"cannot be asked at all", WAKES, "begin:DONE", SLEEP_FINE, 0},
    {"is not asked whether it is idle", WAKES | IDLE | CALL1, "begin:CALL 200:DONE", SLEEP_FINE, 0},
    {"takes its time to wake", WAKES | CALL1 | ASKS,
     "begin:CALL 200:ASK yes:WAIT +14000 timer:ASK yes:WAIT timer:ASK no:DONE", SLEEP_FINE, 0},
    {"never wakes", WAKES | CALL1 | ASKS,
     "begin:CALL 200:ASK yes:WAIT timer:ASK +15000 yes:REFUSED", SLEEP_TROUBLE_UNMOVED, 0},
    {"never wakes, and it had its answer", WAKES | CALL1 | ASKS | PROMPT,
     "begin:CALL 200:ASK yes:WAIT timer:ASK +2000 yes:REFUSED", SLEEP_TROUBLE_UNMOVED, 0},
    {"runs out of memory, and sleeps on", WAKES | CALL1 | ASKS, "begin:CALL 500:ASK yes:REFUSED",
     SLEEP_TROUBLE_REFUSED, 0},
    {"runs out of memory, and is half awake", WAKES | CALL1 | ASKS, "begin:CALL 500:ASK no:KILL",
     SLEEP_TROUBLE_REFUSED, 0},
    {"runs out of memory, and says nothing", WAKES | CALL1, "begin:CALL 500:KILL",
     SLEEP_TROUBLE_REFUSED, 0},
    {"does not know how to wake", WAKES | CALL1, "begin:CALL 404:REFUSED", SLEEP_TROUBLE_ABSENT, 0},
    {"fails half way", WAKES | CALL3 | ASKS, "begin:CALL 200:CALL 404:ASK no:KILL",
     SLEEP_TROUBLE_ABSENT, 0},
    {"dies", WAKES | CALL1 | ASKS, "begin:CALL lost:ASK lost:KILL", SLEEP_TROUBLE_CUT, 0},
    {"dies, and nobody can be asked", WAKES | CALL1, "begin:CALL lost:KILL", SLEEP_TROUBLE_CUT, 0},
};

static struct sleep_plan plan_of(uint32_t has)
{
    return (struct sleep_plan){.wakes = has & WAKES,
                               .call_count = has & CALL3   ? 3
                                             : has & CALL1 ? 1
                                                           : 0,
                               .asks_idle = has & IDLE,
                               .asks = has & ASKS,
                               .has_health = has & HEALTH,
                               .prompt = has & PROMPT,
                               .limit_ns = 20 * NS_PER_S};
}

static struct sleep_event event_of(const char *word, size_t n)
{
    for (size_t i = 0; i < countof(event_words); i++)
        if (strlen(event_words[i].word) == n && strncmp(event_words[i].word, word, n) == 0)
            return event_words[i].ev;
    assert_int_equal(n, 1);
    uint64_t bytes = (uint64_t)(*word - '0') * GIB;
    return (struct sleep_event){
        .type = SLEEP_SAMPLE, .measure = SLEEP_SEEN, .bytes = bytes, .most_bytes = bytes};
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(stories); i++) {
        struct sleep_plan plan = plan_of(stories[i].has);
        struct sleep m;
        uint64_t now = NS_PER_S;
        sleep_init(&m, &plan);
        for (const char *at = stories[i].story; *at;) {
            size_t n = strcspn(at, ":"), end = strcspn(at, " ");
            if (*at == '+') {
                now += strtoul(at + 1, NULL, 10) * NS_PER_MS;
            } else {
                struct sleep_event ev = event_of(at, n);
                struct sleep_action got = sleep_step(&m, &ev, now += NS_PER_MS);
                const char *word = action_words[got.what];
                if (strlen(word) != end - n - 1 || strncmp(word, at + n + 1, end - n - 1) != 0)
                    fail_msg("%s: at '%.*s': got '%s'", stories[i].what, (int)end, at, word);
                assert_true((got.what == SLEEP_DO_WAIT) == (got.delay_ns != 0));
            }
            at += end + (at[end] == ' ');
        }
        if (m.trouble != stories[i].trouble || m.residue_bytes != stories[i].residue_gib * GIB)
            fail_msg("%s: trouble %d, residue %llu", stories[i].what, m.trouble,
                     (unsigned long long)m.residue_bytes);
    }
}

/* Whatever is answered, it ends, as long as something is answered at all and time goes by: and it
 * never says that all is fine where nothing was. */
static void test_it_always_ends(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (uint32_t run = 0; run < 20000; run++) {
        struct sleep_plan plan = plan_of(run % 128);
        struct sleep m;
        sleep_init(&m, &plan);
        struct sleep_action todo = sleep_step(&m, &(struct sleep_event){.type = SLEEP_BEGIN}, 0);
        uint32_t i = 0;
        for (; i < 1000 && todo.what < SLEEP_DO_DONE; i++) {
            seed = seed * 1664525U + 1013904223U;
            struct sleep_event ev = {.type = SLEEP_TIMER};
            if (todo.what == SLEEP_DO_SAMPLE)
                ev = (struct sleep_event){.type = SLEEP_SAMPLE,
                                          .measure = (enum sleep_measure)((seed >> 16) % 3),
                                          .bytes = (seed >> 20) % 9 * GIB};
            else if (todo.what != SLEEP_DO_WAIT)
                ev = event_words[2 + (seed >> 16) % 10].ev;
            todo = sleep_step(&m, &ev, i * 50 * NS_PER_MS);
        }
        if (todo.what < SLEEP_DO_DONE)
            fail_msg("run %u does not end: phase %d", run, m.phase);
        if (todo.what != SLEEP_DO_DONE && m.trouble == SLEEP_FINE)
            fail_msg("run %u ends without a reason", run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),           cmocka_unit_test(test_fill),
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_it_always_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
