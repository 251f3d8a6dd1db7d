/* Orders of the core's to a kind of resident that does nothing but remember them, and what the core
 * makes of each end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server_world.h"

/* What was asked of the fake since the last look. */
static char calls[256];
static struct resident *fake; /* owned; the newest */

static void note(const char *what)
{
    size_t n = strlen(calls);
    snprintf(calls + n, sizeof(calls) - n, "%s%s", n ? "+" : "", what);
}

static void on_unload(struct resident *r)
{
    assert_ptr_equal(r, fake);
    note("unload");
}

static void on_move(struct resident *r)
{
    assert_int_equal(r->order.placement, 1 - r->placement);
    note("move");
}

static void on_suspend(struct resident *r)
{
    assert_ptr_equal(r, fake);
    note("suspend");
}

static void on_resume(struct resident *r)
{
    assert_int_equal(r->order.devices, r->devices);
    note("resume");
}

static void on_abort(struct resident *r)
{
    assert_int_equal(r->open, RESIDENT_LOAD);
    note("abort");
}

static void on_kill(struct resident *r)
{
    assert_ptr_equal(r, fake);
    note("kill");
}

static struct origin *no_origin(struct resident *r)
{
    (void)r;
    return NULL;
}

static void on_refused(struct resident *r)
{
    resident_complete(r, RESIDENT_BROKEN, REASON_NONE, 0);
}

static bool no_claims(struct resident *r, uint32_t device, struct resident_claim *claims,
                      uint32_t count, uint64_t *ret_bytes)
{
    (void)claims;
    (void)count;
    if (device != 0 || !r->devices)
        return false;
    *ret_bytes = GIB;
    return true;
}

static void describe(const struct resident *r, struct resident_view *ret)
{
    ret->pid = 4711;
    (void)r;
}

static void on_probe(struct server *s, uint32_t backend)
{
    (void)s;
    note(backend == 3 ? "probe" : "probe of another");
}

static bool backend(struct server *s, uint32_t number, struct resident_backend *ret)
{
    static const uint32_t models[] = {0};
    (void)s;
    if (number == 3)
        *ret = (struct resident_backend){"there", "it hangs", models, 1, false};
    return number == 3;
}

static void on_load(struct server *s, uint32_t slot, const struct resident_order *order);

static const struct resident_ops able = {.word = "fake",
                                         .load = on_load,
                                         .unload = on_unload,
                                         .move = on_move,
                                         .suspend = on_suspend,
                                         .resume = on_resume,
                                         .abort = on_abort,
                                         .kill = on_kill,
                                         .origin = no_origin,
                                         .refused = on_refused,
                                         .uses = no_claims,
                                         .describe = describe,
                                         .probe = on_probe,
                                         .backend = backend};
/* One that can do what it must, and no more. */
static const struct resident_ops unable = {.word = "poor",
                                           .load = on_load,
                                           .unload = on_unload,
                                           .abort = on_abort,
                                           .kill = on_kill,
                                           .origin = no_origin,
                                           .refused = on_refused,
                                           .describe = describe};
static const struct resident_ops *const kinds_able[] = {&able}, *const kinds_unable[] = {&unable};

static void drop(void)
{
    if (fake)
        resident_fini(fake);
    free(fake);
    fake = NULL;
}

static void on_load(struct server *s, uint32_t slot, const struct resident_order *order)
{
    drop();
    fake = alloc_zeroed(1, sizeof(*fake));
    resident_begin(fake, s->residents.kinds[0], s, slot, order);
    note("load");
}

/* Nothing is used: what has gone has settled. */
static void sample(struct server *s)
{
    runner_event(&s->runner,
                 (struct event){.type = EVENT_DEVICE_SAMPLE, .sample = {.taken = {uv_hrtime()}}});
}

/* One model that may sit on a device, or on the host, and can sleep. */
static struct server *begin_unbooted(bool can)
{
    struct server *s = server_world_new("models: {m: {cmd: 'x ${PORT}', unloadTimeout: 5s}}");
    struct core_model_policy model = {.present = true,
                                      .movable = true,
                                      .suspends = true,
                                      .hash_process = 1,
                                      .slots_max = 1,
                                      .queue_max = 1,
                                      .backend = 3,
                                      .placements = {{.device_mask = 1, .bytes = GIB}, {0}},
                                      .placement_count = 2,
                                      .load_ns_max = 3600 * NS_PER_S,
                                      .unload_ns_max = 3600 * NS_PER_S};
    struct core_device_policy device = {.limit_permille = 1000};
    struct core_group_policy group = {0};
    struct core_config config = {.sched = SCHEDULER_FIFO,
                                 .plan = PLAN_FIT,
                                 .suspend_bytes_max = 8 * GIB,
                                 .models = &model,
                                 .model_count = 1,
                                 .groups = &group,
                                 .group_count = 1,
                                 .devices = &device,
                                 .device_count = 1};
    s->residents.kinds = can ? kinds_able : kinds_unable;
    s->residents.kind_count = 1;
    runner_event(&s->runner, (struct event){.type = EVENT_CONFIG, .config = &config});
    runner_event(&s->runner,
                 (struct event){.type = EVENT_DEVICE_FOUND, .found = {.total_bytes = 4 * GIB}});
    sample(s);
    calls[0] = '\0';
    return s;
}

static struct server *begin(bool can)
{
    struct server *s = begin_unbooted(can);
    runner_event(&s->runner, (struct event){.type = EVENT_BOOT_DONE});
    return s;
}

static void end(struct server *s)
{
    drop();
    server_world_free(s);
}

static void order(struct server *s, enum command what)
{
    if (what == COMMAND_MOVE)
        runner_move(&s->runner, SERVER_TAG_NOBODY, 0, fake ? 1 - fake->placement : 1);
    else
        runner_command(&s->runner, SERVER_TAG_NOBODY, 0, what, REASON_COMMAND);
}

static void complete(enum resident_end how)
{
    assert_non_null(fake);
    resident_complete(fake, how, REASON_NONE, 0);
}

static void hurry(struct server *s, bool load, uint64_t off)
{
    struct effect e = {.type = load ? EFFECT_ABORT : EFFECT_KILL,
                       .op = (fake ? fake->order.op : 1) + off};
    (load ? resident_abort : resident_kill)(s, &e);
}

static const struct {
    const char *word;
    int what; /* of the command, or of the end */
    enum { COMMAND, END, HURRY, STALE, ADOPT, REFUSE, DOWN, NOTHING } is;
} words[] = {
    {"load", COMMAND_LOAD, COMMAND},
    {"unload", COMMAND_UNLOAD_NOW, COMMAND},
    {"move", COMMAND_MOVE, COMMAND},
    {"suspend", COMMAND_SUSPEND, COMMAND},
    {"done", RESIDENT_DONE, END},
    {"failed", RESIDENT_FAILED, END},
    {"at_source", RESIDENT_AT_SOURCE, END},
    {"at_target", RESIDENT_AT_TARGET, END},
    {"gone", RESIDENT_GONE, END},
    {"stuck", RESIDENT_STUCK, END},
    {"broken", RESIDENT_BROKEN, END},
    {"unknown", RESIDENT_UNKNOWN, END},
    {"abort", true, HURRY},
    {"kill", false, HURRY},
    {"old_abort", true, STALE},
    {"old_kill", false, STALE},
    {"adopt", 0, ADOPT},
    {"refused", 0, REFUSE},
    {"down", 0, DOWN},
    {"sampled", 0, NOTHING}, /* as before each step */
};

static void do_step(struct server *s, const char *word, size_t n)
{
    for (size_t i = 0; i < countof(words); i++) {
        if (strlen(words[i].word) != n || strncmp(words[i].word, word, n) != 0)
            continue;
        if (words[i].is == COMMAND) {
            order(s, (enum command)words[i].what);
        } else if (words[i].is == END) {
            complete((enum resident_end)words[i].what);
        } else if (words[i].is == REFUSE) {
            resident_refused(s, 0);
        } else if (words[i].is == DOWN) {
            runner_event(&s->runner,
                         (struct event){.type = EVENT_BACKEND_DOWN, .backend = {.backend = 3}});
        } else if (words[i].is == ADOPT) {
            drop();
            fake = alloc_zeroed(1, sizeof(*fake));
            resident_begin(fake, s->residents.kinds[0], s, 0, NULL);
            resident_adopt(fake, 0, 1, ADOPTED_LOADED);
        } else if (words[i].is != NOTHING) {
            hurry(s, words[i].what, words[i].is == STALE);
        }
        return;
    }
    fail_msg("no step '%.*s'", (int)n, word);
}

#define LOADED "load/load/loading done//loaded "

/* step/what the kind is asked for/state of the model then. */
static const struct {
    const char *what, *story;
    bool unable;
} stories[] = {
    {"loads and unloads", LOADED "unload/unload/unloading done//unloaded", false},
    {"fails to load", "load/load/loading failed//error", false},
    {"ends while it loads", "load/load/loading gone//error", false},
    {"cannot even try to load", "load/load/loading at_source//error", false},
    {"is broken while it loads: no end yet", "load/load/loading broken//loading done//loaded",
     false},
    {"is given up", "load/load/loading abort/abort/loading stuck//error gone//error", false},
    {"is hurried for what is over",
     LOADED "abort//loaded kill//loaded old_abort//loaded old_kill//loaded", false},
    {"is hurried for an op that it has not",
     "load/load/loading old_abort//loading kill//loading old_kill//loading abort/abort/loading",
     false},
    {"is hurried when nobody is there", "abort//unloaded kill//unloaded", false},
    {"is killed while it unloads",
     LOADED "unload/unload/unloading abort//unloading "
            "kill/kill/unloading gone//unloaded",
     false},
    {"is stuck, and goes after all",
     LOADED "unload/unload/unloading kill/kill/unloading stuck//stuck gone//unloaded", false},
    {"ends by itself", LOADED "gone//unloaded", false},
    {"ends twice", LOADED "gone//unloaded gone//unloaded done//unloaded", false},
    {"is broken by itself", LOADED "broken/unload/unloading gone//unloaded", false},
    {"is broken while it unloads",
     LOADED "unload/unload/unloading broken//unloading "
            "gone//unloaded",
     false},
    {"refuses a request", LOADED "refused/unload/unloading done//unloaded", false},
    {"refuses one during an op", LOADED "suspend/suspend/suspending refused//suspending", false},
    {"has late ends", LOADED "done//loaded failed//loaded stuck//loaded at_source//loaded", false},
    {"moves there and back", LOADED "move/move/moving done//loaded move/move/moving done//loaded",
     false},
    {"stays where it is", LOADED "move/move/moving at_source//loaded move/move/moving", false},
    {"fails to move", LOADED "move/move/moving failed//loaded", false},
    {"arrives, but not as it should", LOADED "move/move/moving at_target//loaded", false},
    {"ends on its way", LOADED "move/move/moving broken//moving gone//unloaded gone//unloaded",
     false},
    {"is killed on its way",
     LOADED "move/move/moving kill/kill/moving stuck//unloaded gone//unloaded", false},
    {"sleeps and wakes",
     LOADED "suspend/suspend/suspending done//suspended "
            "load/resume/resuming done//loaded",
     false},
    {"does not want to sleep", LOADED "suspend/suspend/suspending failed//loaded", false},
    {"ends on the way to sleep", LOADED "suspend/suspend/suspending gone//unloaded", false},
    {"ends asleep", LOADED "suspend/suspend/suspending done//suspended gone//unloaded", false},
    {"does not wake",
     LOADED "suspend/suspend/suspending done//suspended "
            "load/resume/resuming at_source/unload/unloading",
     false},
    {"ends while it wakes",
     LOADED "suspend/suspend/suspending done//suspended load/resume/resuming gone//unloaded",
     false},
    {"ends while somebody waits for it to wake: it is loaded anew once its memory is free",
     LOADED "suspend/suspend/suspending done//suspended load/resume/resuming gone//unloaded "
            "sampled/load/loading done//loaded",
     false},
    {"does not wake for somebody who waits: it is unloaded and loaded anew",
     LOADED "suspend/suspend/suspending done//suspended load/resume/resuming "
            "at_source/unload/unloading done//unloaded sampled/load/loading done//loaded",
     false},
    {"is killed while it wakes",
     LOADED "suspend/suspend/suspending done//suspended "
            "load/resume/resuming kill/kill/resuming",
     false},
    {"is there already", "adopt//loaded unload/unload/unloading done//unloaded", false},
    {"is adopted and moves", "adopt//loaded move/move/moving done//loaded", false},
    {"loses its backend in an op",
     LOADED "unload/unload/unloading unknown//unloading "
            "down//unloaded done//unloaded",
     false},
    {"cannot move", LOADED "move//loaded", true},
    {"cannot sleep", LOADED "suspend//loaded", true},
};

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(stories); i++) {
        struct server *s = begin(!stories[i].unable);
        for (const char *at = stories[i].story; *at;) {
            size_t n = strcspn(at, "/"), all = strcspn(at, " ");
            struct core_model_view v;
            char got[320];
            calls[0] = '\0';
            sample(s);
            do_step(s, at, n);
            core_view_model(s->runner.core, 0, &v);
            snprintf(got, sizeof(got), "%s/%s", calls, model_state_text(v.state));
            if (strlen(got) != all - n - 1 || strncmp(got, at + n + 1, all - n - 1) != 0)
                fail_msg("%s: at '%.*s': got '%s'", stories[i].what, (int)all, at, got);
            core_check(s->runner.core);
            at += all + (at[all] == ' ');
        }
        end(s);
    }
}

/* Where it sits follows what was ordered, when it was done. */
static void test_places(void **state)
{
    (void)state;
    struct server *s = begin(true);
    order(s, COMMAND_LOAD);
    assert_int_equal(fake->placement, 0);
    assert_int_equal(fake->devices, 1);
    assert_int_equal(fake->order.bytes, GIB);
    complete(RESIDENT_DONE);
    order(s, COMMAND_MOVE);
    assert_int_equal(fake->placement, 0);
    complete(RESIDENT_AT_SOURCE);
    assert_int_equal(fake->placement, 0);
    order(s, COMMAND_MOVE);
    complete(RESIDENT_DONE);
    assert_int_equal(fake->placement, 1);
    assert_int_equal(fake->devices, 0);
    end(s);
}

/* Nobody is there for an op, which cannot happen as things are: the core is told all the same. */
static void test_nobody(void **state)
{
    static const enum effect_type orders[] = {EFFECT_UNLOAD, EFFECT_MOVE, EFFECT_SUSPEND};
    static const enum command by[] = {COMMAND_UNLOAD_NOW, COMMAND_MOVE, COMMAND_SUSPEND};
    (void)state;
    for (size_t i = 0; i < countof(orders); i++) {
        struct server *s = begin(true);
        struct core_model_view v;
        order(s, COMMAND_LOAD);
        complete(RESIDENT_DONE);
        drop();
        order(s, by[i]);
        core_view_model(s->runner.core, 0, &v);
        assert_int_equal(v.state, MODEL_UNLOADED);
        end(s);
    }
}

static void test_probe(void **state)
{
    (void)state;
    struct server *s = begin(true);
    resident_probe(s, &(struct effect){.type = EFFECT_BACKEND_PROBE, .backend = 3});
    assert_string_equal(calls, "probe");
    end(s);
    s = begin(false); /* a kind without backends */
    resident_probe(s, &(struct effect){.type = EFFECT_BACKEND_PROBE, .backend = 3});
    assert_string_equal(calls, "");
    end(s);
}

/* What is there already before the core may decide, and is stopped before that, is unloaded. */
static void test_stopped_before_the_boot(void **state)
{
    (void)state;
    struct server *s = begin_unbooted(true);
    order(s, COMMAND_LOAD);
    assert_string_equal(calls, "");
    do_step(s, "adopt", 5);
    runner_event(&s->runner, (struct event){.type = EVENT_DRAIN});
    assert_string_equal(calls, "unload");
    assert_false(s->drained);
    complete(RESIDENT_DONE);
    assert_true(s->drained);
    end(s);
}

/* By the name that its kind gives it, or by its number. */
static void test_degraded_backend(void **state)
{
    static const char *const names[] = {"\"name\":\"3\"",
                                        "\"name\":\"there\",\"reason\":\"it hangs\","
                                        "\"models\":[\"m\"]"};
    (void)state;
    for (int can = 0; can <= 1; can++) {
        struct server *s = begin(can);
        struct event ev = {.type = EVENT_BACKEND_DOWN, .backend = {.backend = 3}};
        runner_event(&s->runner, ev);
        assert_true(server_world_told(s, "degraded", names[can]));
        assert_int_equal(s->degraded.count, 1);
        assert_false(server_world_told(s, "recovered", ""));
        ev.type = EVENT_BACKEND_UP;
        runner_event(&s->runner, ev);
        assert_true(server_world_told(s, "recovered", names[can]));
        assert_int_equal(s->degraded.count, 0);
        end(s);
    }
}

/* An op that nobody ends is told once, well after the core's own deadline for it. */
static void test_overdue(void **state)
{
    (void)state;
    struct server *s = begin(true);
    const uint64_t limit = 5 * NS_PER_S; /* unloadTimeout */
    uint64_t now = 0;
    order(s, COMMAND_LOAD);
    complete(RESIDENT_DONE);
    s->residents.watched_ns = 0;
    residents_watch(s, now += 1000 * NS_PER_S); /* nothing is open */
    order(s, COMMAND_UNLOAD_NOW);
    for (uint64_t open = 0; open < limit + RESIDENT_OVERDUE_NS; open += 5 * NS_PER_S) {
        residents_watch(s, now += 5 * NS_PER_S);
        assert_false(server_world_told(s, "no_progress", ""));
    }
    residents_watch(s, now += 5 * NS_PER_S);
    assert_true(
        server_world_told(s, "no_progress", "{\"model\":\"m\",\"op\":\"unload\",\"seconds\":70}"));
    uint64_t told = s->events.next;
    residents_watch(s, now += 5 * NS_PER_S);
    assert_int_equal(s->events.next, told);
    end(s);
}

/* The daemon was stopped for an hour: that is nobody's fault. */
static void test_a_gap_is_not_overdue(void **state)
{
    (void)state;
    struct server *s = begin(true);
    order(s, COMMAND_LOAD);
    s->residents.watched_ns = 0;
    residents_watch(s, 5 * NS_PER_S);
    residents_watch(s, 3600 * NS_PER_S);
    assert_false(server_world_told(s, "no_progress", ""));
    end(s);
}

/* What the main process uses is the model's before anybody looks for descendants. What is seen to
 * use nothing is seen all the same. */
static void test_uses(void **state)
{
    (void)state;
    struct server *s = begin(false);
    struct resident_claim claims[] = {{.pid = 1, .bytes = 10, .slot = CORE_SLOT_NONE},
                                      {.pid = 4711, .bytes = 20, .slot = CORE_SLOT_NONE},
                                      {.pid = 4711, .bytes = 5, .slot = CORE_SLOT_NONE}};
    struct sample_use uses[3];
    assert_int_equal(resident_uses(s, 0, claims, 3, uses, 3), 0);
    assert_int_equal(claims[1].slot, CORE_SLOT_NONE);
    order(s, COMMAND_LOAD);
    assert_int_equal(resident_uses(s, 0, claims, 1, uses, 3), 0);
    assert_int_equal(resident_uses(s, 0, claims, 3, uses, 3), 1);
    assert_int_equal(uses[0].model, 0);
    assert_int_equal(uses[0].bytes, 25);
    assert_int_equal(claims[0].slot, CORE_SLOT_NONE);
    assert_int_equal(claims[2].slot, 0);
    claims[1].bytes = claims[2].bytes = 0;
    assert_int_equal(resident_uses(s, 0, claims, 3, uses, 3), 1);
    assert_int_equal(uses[0].bytes, 0);
    end(s);
    s = begin(true); /* a kind that knows better */
    order(s, COMMAND_LOAD);
    assert_int_equal(resident_uses(s, 0, claims, 1, uses, 3), 1);
    assert_int_equal(uses[0].bytes, GIB);
    assert_int_equal(resident_uses(s, 1, claims, 1, uses, 3), 0);
    end(s);
}

/* What was looked up before is not looked up again. */
static void test_known_claims(void **state)
{
    (void)state;
    struct server *s = begin(false);
    struct resident_claim claims[] = {
        {.pid = 7, .bytes = 10, .slot = 0, .known = true},
        {.pid = 4711, .bytes = 20, .slot = CORE_SLOT_NONE, .known = true},
        {.pid = 4711, .bytes = 5, .slot = CORE_SLOT_NONE}};
    struct sample_use uses[3];
    order(s, COMMAND_LOAD);
    assert_int_equal(resident_uses(s, 0, claims, 3, uses, 3), 1);
    assert_int_equal(uses[0].bytes, 15);
    assert_int_equal(claims[0].slot, 0);
    assert_int_equal(claims[1].slot, CORE_SLOT_NONE);
    assert_int_equal(claims[2].slot, 0);
    end(s);
}

/* A backend of a kind that has no name for it, or of none, goes by its number. */
static void test_a_backend_without_a_name(void **state)
{
    (void)state;
    struct server *s = begin(true);
    resident_probe(s, &(struct effect){.type = EFFECT_BACKEND_PROBE, .backend = 4});
    runner_event(&s->runner, (struct event){.type = EVENT_BACKEND_DOWN, .backend = {.backend = 4}});
    assert_true(server_world_told(s, "degraded", "\"name\":\"4\""));
    end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_stopped_before_the_boot),
        cmocka_unit_test(test_degraded_backend),
        cmocka_unit_test(test_overdue),
        cmocka_unit_test(test_a_gap_is_not_overdue),
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_known_claims),
        cmocka_unit_test(test_a_backend_without_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
