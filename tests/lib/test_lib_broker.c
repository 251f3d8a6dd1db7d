/* Brokers through the public header: a large model and a small one that moves, on a device of
 * 12 GiB, with functions that write down when they were called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wharf/broker.h>

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define MS INT64_C(1000000)
#define MINUTE (INT64_C(60000) * MS)
#define countof(array) (sizeof(array) / sizeof((array)[0]))

struct world {
    struct wharf_broker *broker;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char said[4096]; /* a word for each call and some events */
    int load_rc;
    bool hold;                      /* load waits until it is false */
    uint64_t vlm_bytes, clip_bytes; /* on the device */
    uint32_t under_way, most;       /* functions that ran at once */
};

static void lock(struct world *w)
{
    assert_int_equal(pthread_mutex_lock(&w->lock), 0);
}

static void unlock(struct world *w)
{
    assert_int_equal(pthread_mutex_unlock(&w->lock), 0);
}

static void say(struct world *w, const char *what, const char *model, const char *device)
{
    size_t n = strlen(w->said);
    snprintf(w->said + n, sizeof(w->said) - n, "%s%s %s%s%s", n ? ", " : "", what, model,
             device ? " " : "", device ? device : "");
}

/* With the lock held from here to finish. */
static void begin(struct world *w, const char *what, const char *model, const char *device)
{
    lock(w);
    say(w, what, model, device);
    w->under_way++;
    w->most = w->under_way > w->most ? w->under_way : w->most;
    unlock(w);
    sched_yield();
    lock(w);
}

static int finish(struct world *w, int rc)
{
    w->under_way--;
    unlock(w);
    return rc;
}

static void put(struct world *w, const char *model, const char *device)
{
    bool vlm = strcmp(model, "vlm") == 0;
    uint64_t *bytes = vlm ? &w->vlm_bytes : &w->clip_bytes;
    *bytes = strcmp(device, "cuda") != 0 ? 0 : vlm ? 10752 * MIB : 500 * MIB;
}

static int load(void *arg, const char *model, const char *device)
{
    struct world *w = arg;
    begin(w, "load", model, device);
    while (w->hold)
        pthread_cond_wait(&w->changed, &w->lock);
    if (w->load_rc == 0)
        put(w, model, device);
    return finish(w, w->load_rc);
}

static int unload(void *arg, const char *model)
{
    struct world *w = arg;
    begin(w, "unload", model, NULL);
    put(w, model, "");
    return finish(w, 0);
}

static int move(void *arg, const char *model, const char *device)
{
    struct world *w = arg;
    begin(w, "move", model, device);
    put(w, model, device);
    return finish(w, 0);
}

static int sample(void *arg, const char *device, uint64_t *ret_used_bytes)
{
    struct world *w = arg;
    assert_string_equal(device, "cuda");
    lock(w);
    *ret_used_bytes = w->vlm_bytes + w->clip_bytes;
    unlock(w);
    return 0;
}

static const struct wharf_device device = {.name = "cuda", .total_bytes = 12 * GIB};
static const struct wharf_placement vlm_places[] = {{"cuda", 10752 * MIB, 0}};
static const struct wharf_placement clip_places[] = {{"cuda", 500 * MIB, GIB}, {"cpu", 0, 0}};
static const struct wharf_model models[] = {
    {.name = "vlm",
     .placements = vlm_places,
     .placement_count = 1,
     .load_retries_max = 2,
     .slots_max = 2},
    {.name = "clip",
     .placements = clip_places,
     .placement_count = 2,
     .movable = true,
     .yields = true},
};
static const struct wharf_wish recording[] = {{.model = "vlm"}, {.model = "clip", .device = "cpu"}},
                               autopilot[] = {{.model = "vlm", .unloaded = true},
                                              {.model = "clip", .device = "cuda"}};
static const struct wharf_mode modes[] = {{"recording", recording, 2}, {"autopilot", autopilot, 2}};
static const struct wharf_named_gate gates[] = {{"jobs", 2}};

static const struct wharf_broker_options options = {
    .devices = &device,
    .device_count = 1,
    .models = models,
    .model_count = countof(models),
    .modes = modes,
    .mode_count = countof(modes),
    .gates = gates,
    .gate_count = 1,
    .ops = {.load = load, .unload = unload, .move = move, .sample = sample}};

static void start(struct world *w, const struct wharf_broker_options *from)
{
    struct wharf_broker_options o = *from;
    *w = (struct world){.load_rc = 0};
    assert_int_equal(pthread_mutex_init(&w->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&w->changed, NULL), 0);
    o.arg = w;
    w->broker = wharf_broker_new(&o);
    assert_non_null(w->broker);
}

static void stop(struct world *w)
{
    wharf_broker_free(w->broker);
    assert_int_equal(w->under_way, 0);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
}

static int order(struct world *w, struct wharf_order o)
{
    struct wharf_answer answer;
    o.timeout_ns = o.timeout_ns ? o.timeout_ns : MINUTE;
    int rc = wharf_broker_do(w->broker, &o, NULL, &answer);
    assert_int_equal(rc, answer.rc);
    assert_true(rc == 0 || *answer.why);
    return rc;
}

static struct wharf_model_view view(struct world *w, const char *model)
{
    struct wharf_model_view v;
    assert_int_equal(wharf_broker_view_model(w->broker, model, &v), 0);
    return v;
}

static void expect_said(struct world *w, const char *what)
{
    lock(w);
    assert_string_equal(w->said, what);
    w->said[0] = '\0';
    unlock(w);
}

static int set_mode(struct world *w, const char *mode)
{
    return order(w, (struct wharf_order){.kind = WHARF_MODE, .mode = mode});
}

static void test_modes(void **state)
{
    struct world w;
    (void)state;
    start(&w, &options);
    assert_null(wharf_broker_mode(w.broker));
    assert_int_equal(set_mode(&w, "recording"), 0);
    assert_string_equal(wharf_broker_mode(w.broker), "recording");
    assert_string_equal(view(&w, "vlm").state, "loaded");
    assert_string_equal(view(&w, "vlm").device, "cuda");
    assert_true(view(&w, "clip").on_cpu);
    lock(&w);
    assert_true(strstr(w.said, "load vlm cuda") && strstr(w.said, "load clip cpu"));
    w.said[0] = '\0';
    unlock(&w);
    assert_int_equal(set_mode(&w, "autopilot"), 0);
    expect_said(&w, "unload vlm, move clip cuda");
    assert_string_equal(view(&w, "clip").device, "cuda");
    /* It leaves before the other comes. */
    assert_int_equal(set_mode(&w, "recording"), 0);
    expect_said(&w, "move clip cpu, load vlm cuda");
    struct wharf_device_view d;
    assert_int_equal(wharf_broker_view_device(w.broker, "cuda", &d), 0);
    assert_true(d.total_bytes == 12 * GIB && d.own_bytes == 10752 * MIB);
    assert_int_equal(set_mode(&w, "nothing of the kind"), -ENOENT);
    assert_int_equal(set_mode(&w, NULL), 0);
    assert_null(wharf_broker_mode(w.broker));
    stop(&w);
}

static void test_a_mode_that_cannot_be_had(void **state)
{
    struct world w;
    struct wharf_model once[] = {models[0], models[1]};
    struct wharf_broker_options o = options;
    (void)state;
    once[0].load_retries_max = 0;
    o.models = once;
    start(&w, &o);
    w.load_rc = -EIO;
    assert_int_equal(set_mode(&w, "recording"), -EIO);
    assert_string_equal(wharf_broker_mode(w.broker), "recording");
    assert_string_not_equal(view(&w, "vlm").state, "loaded");
    stop(&w);
}

static void test_loads_and_unloads(void **state)
{
    struct world w;
    (void)state;
    start(&w, &options);
    for (int i = 0; i < 2; i++)
        assert_int_equal(order(&w, (struct wharf_order){.kind = WHARF_LOAD, .model = "vlm"}), 0);
    expect_said(&w, "load vlm cuda");
    for (int i = 0; i < 2; i++)
        assert_int_equal(order(&w, (struct wharf_order){.kind = WHARF_UNLOAD, .model = "vlm"}), 0);
    expect_said(&w, "unload vlm");
    static const struct {
        struct wharf_order order;
        int rc;
    } cases[] = {
        {{.kind = WHARF_LOAD, .model = "none"}, -ENOENT},
        {{.kind = WHARF_LOAD}, -ENOENT},
        {{.kind = WHARF_MOVE, .model = "clip"}, -EINVAL},
        {{.kind = WHARF_MOVE, .model = "clip", .device = "gpu7"}, -ENOENT},
        {{.kind = WHARF_MOVE, .model = "vlm", .device = "cpu"}, -ENOENT},
        {{.kind = WHARF_ENTER, .model = "none"}, -ENOENT},
        {{.kind = WHARF_ENTER, .model = "vlm", .wharf_class = 3}, -EINVAL},
        {{.kind = WHARF_LEASE}, -EINVAL},
        {{.kind = WHARF_LEASE, .bytes = 1, .device = "gpu7"}, -ENOENT},
        {{.kind = WHARF_LEASE, .bytes = 13 * GIB}, -ENOSPC},
        {{.kind = (enum wharf_order_kind)99}, -EINVAL},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct wharf_order o = cases[i].order;
        o.timeout_ns = MINUTE;
        int rc = wharf_broker_do(w.broker, &o, NULL, NULL);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %d, not %d", i, rc, cases[i].rc);
    }
    expect_said(&w, "");
    stop(&w);
}

static void let_load(struct world *w)
{
    lock(w);
    w->hold = false;
    pthread_cond_broadcast(&w->changed);
    unlock(w);
}

/* A load that is too slow has failed; done all the same, it is there. */
static void test_a_load_that_hangs(void **state)
{
    struct world w;
    struct wharf_model slow = models[0];
    struct wharf_broker_options o = options;
    (void)state;
    slow.load_ns_max = (uint64_t)(10 * MS);
    slow.load_retries_max = 0;
    o.models = &slow;
    o.model_count = 1;
    o.mode_count = 0;
    start(&w, &o);
    w.hold = true;
    assert_int_equal(order(&w, (struct wharf_order){.kind = WHARF_LOAD, .model = "vlm"}), -EIO);
    assert_string_not_equal(view(&w, "vlm").state, "loaded");
    let_load(&w);
    while (strcmp(view(&w, "vlm").state, "loaded") != 0)
        sched_yield();
    expect_said(&w, "load vlm cuda");
    assert_int_equal(order(&w, (struct wharf_order){.kind = WHARF_UNLOAD, .model = "vlm"}), 0);
    stop(&w);
}

static uint64_t enter(struct world *w, const char *model, int64_t timeout_ns, int want)
{
    struct wharf_answer a;
    struct wharf_order o = {
        .kind = WHARF_ENTER, .model = model, .wharf_class = WHARF_NORMAL, .timeout_ns = timeout_ns};
    assert_int_equal(wharf_broker_do(w->broker, &o, NULL, &a), want);
    return a.id;
}

static void test_on_demand(void **state)
{
    struct world w;
    (void)state;
    start(&w, &options);
    uint64_t one = enter(&w, "vlm", MINUTE, 0), two = enter(&w, "vlm", MINUTE, 0);
    expect_said(&w, "load vlm cuda");
    assert_int_equal(view(&w, "vlm").running, 2);
    (void)enter(&w, "vlm", 0, -ETIMEDOUT);
    (void)enter(&w, "vlm", MS, -ETIMEDOUT);
    wharf_broker_leave(w.broker, one);
    wharf_broker_leave(w.broker, one); /* a second time, nothing */
    uint64_t three = enter(&w, "vlm", 0, 0);
    assert_int_equal(view(&w, "vlm").running, 2);
    wharf_broker_leave(w.broker, two);
    wharf_broker_leave(w.broker, three);
    assert_int_equal(view(&w, "vlm").running, 0);
    stop(&w);
}

static void test_leases(void **state)
{
    static const char *const jobs[] = {"jobs"};
    struct world w;
    struct wharf_answer a[3];
    struct wharf_order o = {.kind = WHARF_LEASE,
                            .wharf_class = WHARF_BACKGROUND,
                            .bytes = 5 * GIB,
                            .gates = jobs,
                            .gate_count = 1};
    (void)state;
    start(&w, &options);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wharf_broker_do(w.broker, &o, NULL, &a[i]), 0);
        assert_string_equal(a[i].device, "cuda");
    }
    assert_int_equal(wharf_broker_do(w.broker, &o, NULL, NULL), -ETIMEDOUT);
    wharf_broker_leave(w.broker, a[0].id);
    o.timeout_ns = MINUTE;
    assert_int_equal(wharf_broker_do(w.broker, &o, NULL, &a[2]), 0);
    struct wharf_device_view d;
    assert_int_equal(wharf_broker_view_device(w.broker, "cuda", &d), 0);
    assert_true(d.leased_bytes == 10 * GIB);
    wharf_broker_leave(w.broker, a[1].id);
    wharf_broker_leave(w.broker, a[2].id);
    stop(&w);
}

static void expect_told(struct wharf_inbox *inbox, const void *what)
{
    struct pollfd p = {.fd = wharf_inbox_fd(inbox), .events = POLLIN};
    void *arg = NULL;
    assert_int_equal(poll(&p, 1, -1), 1);
    assert_true(wharf_inbox_next(inbox, &arg));
    assert_ptr_equal(arg, what);
}

static void test_without_blocking(void **state)
{
    struct world w;
    struct wharf_inbox *inbox = wharf_inbox_new();
    struct wharf_answer a[3];
    struct wharf_call *call[3];
    struct wharf_order o = {.kind = WHARF_ENTER, .model = "vlm", .timeout_ns = WHARF_FOREVER};
    (void)state;
    start(&w, &options);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wharf_broker_begin(w.broker, &o, &a[i], inbox, &a[i], &call[i]), 0);
    for (int i = 0; i < 2; i++) {
        expect_told(inbox, &a[i]);
        assert_int_equal(a[i].rc, 0);
    }
    wharf_call_cancel(call[2]); /* it waits */
    assert_int_equal(wharf_broker_begin(w.broker, &o, &a[2], inbox, &a[2], &call[2]), 0);
    wharf_broker_leave(w.broker, a[0].id);
    wharf_call_cancel(call[2]); /* it has been let in, and leaves */
    wharf_broker_leave(w.broker, a[1].id);
    assert_int_equal(view(&w, "vlm").running, 0);
    o.model = "none";
    assert_int_equal(wharf_broker_begin(w.broker, &o, &a[0], inbox, NULL, &call[0]), -ENOENT);
    assert_null(call[0]);
    wharf_inbox_free(inbox);
    stop(&w);
}

struct blocked {
    struct world *world;
    struct wharf_cancel *cancel;
    int rc;
};

static void *enter_blocked(void *arg)
{
    struct blocked *b = arg;
    struct wharf_order o = {.kind = WHARF_LOAD, .model = "vlm", .timeout_ns = WHARF_FOREVER};
    b->rc = wharf_broker_do(b->world->broker, &o, b->cancel, NULL);
    return NULL;
}

static void test_cancel(void **state)
{
    struct world w;
    pthread_t thread;
    (void)state;
    start(&w, &options);
    struct blocked b = {.world = &w, .cancel = wharf_cancel_new()};
    w.hold = true;
    assert_int_equal(pthread_create(&thread, NULL, enter_blocked, &b), 0);
    while (strcmp(view(&w, "vlm").state, "loading") != 0)
        sched_yield();
    wharf_cancel_set(b.cancel);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(b.rc, -ECANCELED);
    let_load(&w);
    wharf_cancel_free(b.cancel);
    stop(&w);
}

struct user {
    struct world *world;
    unsigned seed;
    pthread_t thread;
};

static void *use(void *arg)
{
    static const char *const names[] = {"vlm", "clip"};
    struct user *u = arg;
    for (int i = 0; i < 100; i++) {
        struct wharf_answer a = {0};
        struct wharf_order o = {
            .kind = (enum wharf_order_kind[]){WHARF_LOAD, WHARF_UNLOAD, WHARF_ENTER,
                                              WHARF_ENTER}[(unsigned)rand_r(&u->seed) % 4],
            .model = names[(unsigned)rand_r(&u->seed) % 2],
            .timeout_ns = (unsigned)rand_r(&u->seed) % 3 ? MINUTE : MS};
        int rc = wharf_broker_do(u->world->broker, &o, NULL, &a);
        if (rc == 0 && o.kind == WHARF_ENTER)
            wharf_broker_leave(u->world->broker, a.id);
    }
    return NULL;
}

/* At the end nothing runs, and the books agree with what is in use. */
static void test_many_users(void **state)
{
    struct world w;
    struct user users[6];
    (void)state;
    start(&w, &options);
    for (unsigned i = 0; i < countof(users); i++) {
        users[i] = (struct user){.world = &w, .seed = i};
        assert_int_equal(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
    }
    for (unsigned i = 0; i < countof(users); i++)
        assert_int_equal(pthread_join(users[i].thread, NULL), 0);
    for (size_t i = 0; i < countof(models); i++) {
        struct wharf_model_view v = view(&w, models[i].name);
        assert_int_equal(v.running + v.waiting, 0);
        assert_int_equal(
            order(&w, (struct wharf_order){.kind = WHARF_UNLOAD, .model = models[i].name}), 0);
    }
    assert_true(w.most <= countof(models));
    assert_true(w.vlm_bytes == 0 && w.clip_bytes == 0);
    stop(&w);
}

/* Whatever the program finds out is so, and nothing is called for it. */
static void test_what_the_program_finds(void **state)
{
    static const struct {
        const char *model, *device;
        int rc;
        const char *state, *at; /* of the model then; "cpu" too */
    } cases[] = {
        {"vlm", "cuda", 0, "loaded", "cuda"},      {"vlm", "cuda", 0, "loaded", "cuda"},
        {"clip", "cpu", 0, "loaded", "cpu"},       {"clip", "cuda", 0, "loaded", "cuda"},
        {"vlm", NULL, 0, "unloaded", NULL},        {"vlm", NULL, 0, "unloaded", NULL},
        {"vlm", "cpu", -ENOENT, "unloaded", NULL}, {"clip", "gpu7", -ENOENT, "loaded", "cuda"},
        {"clip", NULL, 0, "unloaded", NULL},
    };
    struct world w;
    (void)state;
    start(&w, &options);
    for (size_t i = 0; i < countof(cases); i++) {
        int rc = wharf_broker_found(w.broker, cases[i].model, cases[i].device);
        struct wharf_model_view v = view(&w, cases[i].model);
        const char *at = v.on_cpu ? "cpu" : v.device;
        if (rc != cases[i].rc || strcmp(v.state, cases[i].state) != 0 || !at != !cases[i].at ||
            (at && strcmp(at, cases[i].at) != 0))
            fail_msg("case %zu: %d, %s at %s", i, rc, v.state, at ? at : "none");
    }
    assert_int_equal(wharf_broker_found(w.broker, "none", NULL), -ENOENT);
    expect_said(&w, "");
    /* A load under way is left alone. */
    pthread_t thread;
    struct blocked b = {.world = &w, .cancel = wharf_cancel_new()};
    w.hold = true;
    assert_int_equal(pthread_create(&thread, NULL, enter_blocked, &b), 0);
    while (strcmp(view(&w, "vlm").state, "loading") != 0)
        sched_yield();
    assert_int_equal(wharf_broker_found(w.broker, "vlm", NULL), -EBUSY);
    let_load(&w);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(b.rc, 0);
    /* What settles is seen to be free, or taken, when sampling has returned. */
    lock(&w);
    w.clip_bytes = 3 * GIB;
    unlock(&w);
    assert_int_equal(wharf_broker_refresh(w.broker, MINUTE), 0);
    struct wharf_device_view d;
    assert_int_equal(wharf_broker_view_device(w.broker, "cuda", &d), 0);
    lock(&w);
    assert_true(d.used_bytes == w.vlm_bytes + 3 * GIB);
    unlock(&w);
    wharf_cancel_free(b.cancel);
    stop(&w);
}

static _Atomic unsigned samples;

/* Somebody has taken some of what a model has just left: that it is not all free is looked at
 * again, but not all the time, and nobody waits for that at the end. */
static int sample_taken(void *arg, const char *at, uint64_t *ret_used_bytes)
{
    (void)arg;
    (void)at;
    samples++;
    *ret_used_bytes = GIB;
    return 0;
}

static void test_what_does_not_come_free(void **state)
{
    enum { SAMPLES = 6 };
    struct world w;
    struct wharf_broker_options o = options;
    struct timespec began, now;
    (void)state;
    o.ops.sample = sample_taken;
    start(&w, &o);
    assert_int_equal(wharf_broker_found(w.broker, "vlm", "cuda"), 0);
    assert_int_equal(wharf_broker_refresh(w.broker, MINUTE), 0);
    assert_int_equal(order(&w, (struct wharf_order){.kind = WHARF_UNLOAD, .model = "vlm"}), 0);
    unsigned first = samples;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &began), 0);
    while (samples < first + SAMPLES)
        sched_yield();
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    int64_t took_ns = (now.tv_sec - began.tv_sec) * 1000 * MS + now.tv_nsec - began.tv_nsec;
    if (took_ns < (SAMPLES - 2) * 50 * MS)
        fail_msg("%d samples in %lld ns", SAMPLES, (long long)took_ns);
    struct wharf_device_view d;
    assert_int_equal(wharf_broker_view_device(w.broker, "cuda", &d), 0);
    assert_true(d.settling_bytes > 0);
    stop(&w);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &began), 0);
    assert_true(began.tv_sec - now.tv_sec <= 1);
}

static void test_setups_that_are_refused(void **state)
{
    static const struct wharf_model twice[] = {{.name = "a"}, {.name = "a"}};
    static const struct wharf_placement nowhere = {.device = "gpu9"};
    static const struct wharf_model lost = {
        .name = "a", .placements = &nowhere, .placement_count = 1};
    static const struct wharf_wish of_none = {.model = "none"};
    static const struct wharf_mode wrong = {"m", &of_none, 1};
    static const struct wharf_named_gate shut = {"g", 0};
    static const struct wharf_device cpu = {.name = "cpu"};
    static const struct wharf_broker_ops ops = {.load = load, .unload = unload};
    static const struct wharf_broker_options cases[] = {
        {.models = twice, .model_count = 2, .ops = ops},
        {.models = twice, .model_count = 1},
        {.models = &lost, .model_count = 1, .ops = ops},
        {.modes = &wrong, .mode_count = 1},
        {.gates = &shut, .gate_count = 1},
        {.devices = &cpu, .device_count = 1},
        {.devices = &device, .device_count = WHARF_DEVICES_MAX + 1},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        errno = 0;
        if (wharf_broker_new(&cases[i]) || errno != EINVAL)
            fail_msg("case %zu: errno %d", i, errno);
    }
}

static int can(struct world *w, struct wharf_order o)
{
    const char *why;
    int rc = wharf_broker_can(w->broker, &o, &why);
    assert_true(rc == 0 ? !*why : *why != '\0');
    assert_int_equal(wharf_broker_can(w->broker, &o, NULL), rc);
    return rc;
}

static void test_what_would_be_had(void **state)
{
    (void)state;
    struct world w;
    static const char *const jobs[] = {"jobs"};
    const struct wharf_order lease = {.kind = WHARF_LEASE, .bytes = 8 * GIB};
    const struct wharf_order slot = {.kind = WHARF_LEASE, .gates = jobs, .gate_count = 1};
    start(&w, &options);
    assert_int_equal(can(&w, lease), 0);
    assert_int_equal(can(&w, slot), 0);
    assert_int_equal(can(&w, (struct wharf_order){.kind = WHARF_LEASE, .bytes = 13 * GIB}),
                     -ENOSPC);
    assert_int_equal(can(&w, (struct wharf_order){.kind = WHARF_ENTER, .model = "vlm"}), 0);
    assert_int_equal(can(&w, (struct wharf_order){.kind = WHARF_LOAD, .model = "x"}), -ENOENT);
    assert_int_equal(can(&w, (struct wharf_order){.kind = WHARF_UNLOAD, .model = "vlm"}), -EINVAL);
    assert_int_equal(can(&w, (struct wharf_order){.kind = WHARF_LEASE}), -EINVAL);
    expect_said(&w, ""); /* nothing was done */
    struct wharf_order taken = lease;
    struct wharf_answer answer;
    taken.gates = jobs;
    taken.gate_count = 1;
    assert_int_equal(wharf_broker_do(w.broker, &taken, NULL, &answer), 0);
    assert_int_equal(can(&w, lease), -EAGAIN);
    assert_int_equal(can(&w, slot), 0); /* of two */
    assert_int_equal(can(&w, (struct wharf_order){.kind = WHARF_ENTER, .model = "vlm"}), -EAGAIN);
    struct wharf_lease_view views[2];
    assert_int_equal(wharf_broker_view_leases(w.broker, NULL, 0), 1);
    assert_int_equal(wharf_broker_view_leases(w.broker, views, 2), 1);
    assert_true(views[0].id == answer.id && views[0].granted && !views[0].settling);
    assert_true(views[0].bytes == 8 * GIB && views[0].wharf_class == WHARF_FOREGROUND);
    assert_true(views[0].granted_ns >= views[0].since_ns && views[0].since_ns);
    assert_string_equal(views[0].device, "cuda");
    wharf_broker_leave(w.broker, answer.id);
    assert_int_equal(wharf_broker_refresh(w.broker, MINUTE), 0);
    assert_int_equal(wharf_broker_view_leases(w.broker, views, 2), 0);
    assert_int_equal(can(&w, lease), 0);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_would_be_had),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_a_mode_that_cannot_be_had),
        cmocka_unit_test(test_loads_and_unloads),
        cmocka_unit_test(test_a_load_that_hangs),
        cmocka_unit_test(test_on_demand),
        cmocka_unit_test(test_leases),
        cmocka_unit_test(test_without_blocking),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_many_users),
        cmocka_unit_test(test_what_the_program_finds),
        cmocka_unit_test(test_what_does_not_come_free),
        cmocka_unit_test(test_setups_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
