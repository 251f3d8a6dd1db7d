/* Gates through the public header, as programs use them: order, limits, every way to stop waiting,
 * and many threads at once. */
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
#include <stdlib.h>
#include <wharf/gate.h>

#define SECOND INT64_C(1000000000)
#define countof(array) (sizeof(array) / sizeof((array)[0]))

static struct wharf_gate *gate_of(uint32_t limit)
{
    struct wharf_gate *g = wharf_gate_new(&(struct wharf_gate_options){.limit = limit});
    assert_non_null(g);
    return g;
}

static struct wharf_gate_stats stats_of(struct wharf_gate *g)
{
    struct wharf_gate_stats s;
    wharf_gate_stats(g, &s);
    return s;
}

static uint32_t waiting(struct wharf_gate *g)
{
    struct wharf_gate_stats s = stats_of(g);
    return s.foreground_waiting + s.normal_waiting + s.background_waiting;
}

static void enter(struct wharf_gate *g)
{
    assert_int_equal(wharf_gate_acquire(g, WHARF_NORMAL, 0, NULL), 0);
}

static void leave(struct wharf_gate *g)
{
    assert_int_equal(wharf_gate_release(g), 0);
}

/* name: its first letter is its class, and it is what comes back. */
static struct wharf_gate_wait *begin(struct wharf_gate *g, struct wharf_inbox *inbox,
                                     const char *name)
{
    struct wharf_gate_wait *w = NULL;
    enum wharf_class class = name[0] == 'f'   ? WHARF_FOREGROUND
                             : name[0] == 'n' ? WHARF_NORMAL
                                              : WHARF_BACKGROUND;
    assert_int_equal(wharf_gate_begin(g, class, inbox, (void *)(uintptr_t)name, &w), -EINPROGRESS);
    assert_non_null(w);
    return w;
}

static bool readable(const struct wharf_inbox *inbox)
{
    struct pollfd p = {.fd = wharf_inbox_fd(inbox), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void expect(struct wharf_inbox *inbox, const char *name)
{
    void *arg = NULL;
    assert_true(readable(inbox));
    assert_true(wharf_inbox_next(inbox, &arg));
    assert_string_equal(arg, name);
}

static void expect_nothing(struct wharf_inbox *inbox)
{
    void *arg = NULL;
    assert_false(readable(inbox));
    assert_false(wharf_inbox_next(inbox, &arg));
}

static void test_limits(void **state)
{
    (void)state;
    static const struct wharf_gate_options wrong[] = {{.limit = 0},
                                                      {.limit = WHARF_GATE_LIMIT_MAX + 1}};
    for (size_t i = 0; i < countof(wrong); i++) {
        errno = 0;
        assert_null(wharf_gate_new(&wrong[i]));
        assert_int_equal(errno, EINVAL);
    }
    struct wharf_gate *g = gate_of(3);
    for (int i = 0; i < 3; i++)
        enter(g);
    assert_int_equal(wharf_gate_acquire(g, WHARF_FOREGROUND, 0, NULL), -ETIMEDOUT);
    leave(g);
    enter(g);
    for (int i = 0; i < 3; i++)
        leave(g);
    assert_int_equal(wharf_gate_release(g), -EPERM);
    assert_int_equal(wharf_gate_acquire(g, (enum wharf_class)7, 0, NULL), -EINVAL);
    wharf_gate_free(g);
    wharf_gate_free(NULL);
}

static void test_order(void **state)
{
    (void)state;
    struct wharf_gate *g = gate_of(1);
    struct wharf_inbox *inbox = wharf_inbox_new();
    static const char *const came[] = {"b0", "n0", "b1", "f0", "n1", "f1"};
    static const char *const served[] = {"f0", "f1", "n0", "n1", "b0", "b1"};
    enter(g);
    for (size_t i = 0; i < countof(came); i++)
        (void)begin(g, inbox, came[i]);
    expect_nothing(inbox);
    for (size_t i = 0; i < countof(served); i++) {
        /* Who comes now waits behind all, even while the slot changes hands. */
        assert_int_equal(wharf_gate_acquire(g, WHARF_FOREGROUND, 0, NULL), -ETIMEDOUT);
        leave(g);
        expect(inbox, served[i]);
        expect_nothing(inbox);
    }
    leave(g);
    enter(g);
    leave(g);
    wharf_inbox_free(inbox);
    wharf_gate_free(g);
}

static void test_those_who_waited_too_long_go_first(void **state)
{
    (void)state;
    struct wharf_gate *g =
        wharf_gate_new(&(struct wharf_gate_options){.limit = 1, .background_wait_ns_max = 1});
    struct wharf_inbox *inbox = wharf_inbox_new();
    enter(g);
    (void)begin(g, inbox, "b0");
    (void)begin(g, inbox, "f0");
    (void)begin(g, inbox, "b1");
    leave(g);
    expect(inbox, "b0");
    leave(g);
    expect(inbox, "b1");
    leave(g);
    expect(inbox, "f0");
    leave(g);
    wharf_inbox_free(inbox);
    wharf_gate_free(g);
}

static void test_cancel_of_a_wait(void **state)
{
    (void)state;
    struct wharf_gate *g = gate_of(1);
    struct wharf_inbox *inbox = wharf_inbox_new();
    enter(g);
    struct wharf_gate_wait *first = begin(g, inbox, "f0"), *second = begin(g, inbox, "f1");
    (void)begin(g, inbox, "f2");
    wharf_gate_cancel(second);
    leave(g);
    assert_true(readable(inbox));
    wharf_gate_cancel(first); /* it had been granted, and nobody was told: the next comes in */
    expect(inbox, "f2");
    expect_nothing(inbox);
    leave(g);
    struct wharf_gate_stats s = stats_of(g);
    assert_int_equal(s.inside, 0);
    assert_int_equal(s.entered, 3);
    assert_int_equal(s.waited, 2);
    assert_int_equal(s.cancelled, 1);
    assert_true(s.wait_ns_max <= s.wait_ns && s.wait_ns > 0);
    wharf_inbox_free(inbox);
    wharf_gate_free(g);
}

struct call {
    struct wharf_gate *gate;
    int64_t timeout_ns;
    struct wharf_cancel *cancel;
    int rc;
    pthread_t thread;
};

static void *acquire(void *arg)
{
    struct call *call = arg;
    call->rc = wharf_gate_acquire(call->gate, WHARF_BACKGROUND, call->timeout_ns, call->cancel);
    return NULL;
}

static void start(struct call *call)
{
    uint32_t before = waiting(call->gate);
    assert_int_equal(pthread_create(&call->thread, NULL, acquire, call), 0);
    while (waiting(call->gate) == before)
        sched_yield();
}

static int end(struct call *call)
{
    assert_int_equal(pthread_join(call->thread, NULL), 0);
    return call->rc;
}

static void test_blocking(void **state)
{
    (void)state;
    struct wharf_gate *g = gate_of(1);
    struct wharf_cancel *cancel = wharf_cancel_new();
    enter(g);
    assert_int_equal(wharf_gate_acquire(g, WHARF_NORMAL, 1000, NULL), -ETIMEDOUT);
    struct call one = {.gate = g, .timeout_ns = WHARF_FOREVER},
                two = {.gate = g, .timeout_ns = 3600 * SECOND, .cancel = cancel};
    start(&one);
    start(&two);
    wharf_cancel_set(cancel);
    assert_int_equal(end(&two), -ECANCELED);
    leave(g);
    assert_int_equal(end(&one), 0);
    /* Set, it ends what would wait, and nothing else. */
    assert_int_equal(wharf_gate_acquire(g, WHARF_NORMAL, WHARF_FOREVER, cancel), -ECANCELED);
    leave(g);
    assert_int_equal(wharf_gate_acquire(g, WHARF_NORMAL, WHARF_FOREVER, cancel), 0);
    leave(g);
    assert_int_equal(stats_of(g).cancelled, 2);
    wharf_cancel_free(cancel);
    wharf_gate_free(g);
}

static void test_close(void **state)
{
    (void)state;
    struct wharf_gate *g = gate_of(1);
    struct wharf_inbox *inbox = wharf_inbox_new();
    enter(g);
    struct call call = {.gate = g, .timeout_ns = WHARF_FOREVER};
    start(&call);
    struct wharf_gate_wait *w = begin(g, inbox, "f0");
    wharf_gate_close(g);
    assert_int_equal(end(&call), -ESHUTDOWN);
    wharf_gate_cancel(w);
    expect_nothing(inbox);
    leave(g);
    assert_int_equal(wharf_gate_acquire(g, WHARF_NORMAL, 0, NULL), -ESHUTDOWN);
    assert_int_equal(wharf_gate_begin(g, WHARF_NORMAL, inbox, NULL, &w), -ESHUTDOWN);
    wharf_inbox_free(inbox);
    wharf_gate_free(g);
}

#define THREADS 8
#define ROUNDS 4000
#define SLOTS 3

struct crowd {
    struct wharf_gate *gate;
    _Atomic int inside, most, came;
    pthread_t threads[THREADS];
};

static void be_inside(struct crowd *c)
{
    int now = atomic_fetch_add(&c->inside, 1) + 1, most = atomic_load(&c->most);
    while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
        ;
    atomic_fetch_add(&c->came, 1);
    sched_yield();
    atomic_fetch_sub(&c->inside, 1);
}

/* By blocking, with and without a timeout, and by an inbox, with cancels at every moment. */
static void *jostle(void *arg)
{
    static const enum wharf_class classes[] = {WHARF_FOREGROUND, WHARF_NORMAL, WHARF_BACKGROUND};
    static const int64_t timeouts[] = {0, 1000, 100000, WHARF_FOREVER};
    struct crowd *c = arg;
    struct wharf_inbox *inbox = wharf_inbox_new();
    unsigned seed = (unsigned)(uintptr_t)inbox;
    for (int i = 0; i < ROUNDS; i++) {
        enum wharf_class class = classes[(unsigned)rand_r(&seed) % countof(classes)];
        bool inside;
        if (rand_r(&seed) % 2) {
            int64_t timeout_ns = timeouts[(unsigned)rand_r(&seed) % countof(timeouts)];
            inside = wharf_gate_acquire(c->gate, class, timeout_ns, NULL) == 0;
        } else {
            struct wharf_gate_wait *w = NULL;
            void *told = NULL;
            inside = wharf_gate_begin(c->gate, class, inbox, c, &w) == 0;
            if (!inside && rand_r(&seed) % 2) {
                wharf_gate_cancel(w);
            } else if (!inside) {
                struct pollfd p = {.fd = wharf_inbox_fd(inbox), .events = POLLIN};
                inside = poll(&p, 1, -1) == 1 && wharf_inbox_next(inbox, &told) && told == c;
            }
        }
        if (!inside)
            continue;
        be_inside(c);
        if (wharf_gate_release(c->gate) != 0)
            abort();
    }
    wharf_inbox_free(inbox);
    return NULL;
}

static void test_a_crowd(void **state)
{
    (void)state;
    struct crowd c = {.gate = gate_of(SLOTS)};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&c.threads[i], NULL, jostle, &c), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(c.threads[i], NULL), 0);
    struct wharf_gate_stats s = stats_of(c.gate);
    assert_true(atomic_load(&c.most) <= SLOTS);
    assert_int_equal(s.inside, 0);
    assert_int_equal(waiting(c.gate), 0);
    assert_true(s.entered >= (uint64_t)atomic_load(&c.came)); /* some were granted, and cancelled */
    assert_true(s.entered <= THREADS * ROUNDS && s.waited <= s.entered);
    wharf_gate_free(c.gate);
}

static void test_resize(void **state)
{
    (void)state;
    struct wharf_gate *g = gate_of(1);
    struct wharf_inbox *inbox = wharf_inbox_new();
    void *arg;
    enter(g);
    (void)begin(g, inbox, "n1");
    (void)begin(g, inbox, "n2");
    struct wharf_gate_wait *last = begin(g, inbox, "n3");
    assert_int_equal(wharf_gate_resize(g, 3), 0); /* lets in two */
    assert_true(wharf_inbox_next(inbox, &arg));
    assert_string_equal(arg, "n1");
    assert_true(wharf_inbox_next(inbox, &arg));
    assert_string_equal(arg, "n2");
    assert_false(wharf_inbox_next(inbox, &arg));
    assert_int_equal(wharf_gate_resize(g, 1), 0); /* puts nobody out */
    assert_int_equal(stats_of(g).inside, 3);
    assert_int_equal(stats_of(g).limit, 1);
    leave(g);
    leave(g);
    assert_false(wharf_inbox_next(inbox, &arg));
    leave(g);
    assert_true(wharf_inbox_next(inbox, &arg));
    (void)last;
    assert_int_equal(wharf_gate_acquire(g, WHARF_NORMAL, 0, NULL), -ETIMEDOUT);
    leave(g);
    enter(g); /* by the new limit, without the lock too */
    assert_int_equal(wharf_gate_acquire(g, WHARF_NORMAL, 0, NULL), -ETIMEDOUT);
    leave(g);
    assert_int_equal(wharf_gate_resize(g, 0), -EINVAL);
    assert_int_equal(wharf_gate_resize(g, WHARF_GATE_LIMIT_MAX + 1), -EINVAL);
    wharf_inbox_free(inbox);
    wharf_gate_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_those_who_waited_too_long_go_first),
        cmocka_unit_test(test_cancel_of_a_wait),
        cmocka_unit_test(test_blocking),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_a_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
