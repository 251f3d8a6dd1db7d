/* Pools through the public header: what the tests of the seed (test_seed_002.c) do not ask. */
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
#include <time.h>
#include <wharf/pool.h>

#include "fake_gpus.h"

#define MS INT64_C(1000000)
#define MINUTE (60000 * MS)

struct world {
    struct wharf_pool *pool;
    _Atomic uint64_t used_bytes;
    atomic_int rc;
};

static int sample(void *arg, struct wharf_pool_reading *ret)
{
    struct world *w = arg;
    ret->used_bytes = atomic_load(&w->used_bytes);
    ret->utilisation_percent = 50;
    return atomic_load(&w->rc);
}

/* 10 GiB, all of them to be given out, by numbers of the test's own. */
static void start(struct world *w, uint32_t jobs_max)
{
    *w = (struct world){.used_bytes = 0};
    w->pool = wharf_pool_new(&(struct wharf_pool_options){.device = "mine",
                                                          .total_bytes = 10 * GIB,
                                                          .limit_permille = 1000,
                                                          .jobs_max = jobs_max,
                                                          .sample = sample,
                                                          .arg = w});
    assert_non_null(w->pool);
}

static struct wharf_job job_of(const char *name, uint64_t bytes)
{
    return (struct wharf_job){.name = name, .bytes = bytes, .wharf_class = WHARF_NORMAL};
}

static int try_in(struct wharf_pool *p, const char *name, uint64_t bytes)
{
    const struct wharf_job job = job_of(name, bytes);
    return wharf_pool_allocate(p, &job, 0, NULL, NULL);
}

static struct wharf_pool_stats stats_of(struct wharf_pool *p)
{
    struct wharf_pool_stats s;
    wharf_pool_stats(p, &s);
    return s;
}

static struct wharf_pool_device device_of(struct wharf_pool *p)
{
    struct wharf_pool_device d;
    assert_int_equal(wharf_pool_device(p, 0, &d), 0);
    return d;
}

static void test_numbers_of_the_program(void **state)
{
    (void)state;
    struct world w;
    start(&w, 0);
    const char *device;
    const struct wharf_job job = {.name = "a", .bytes = GIB, .device = "mine"};
    w.used_bytes = 7 * GIB;
    assert_int_equal(device_of(w.pool).allocated_bytes, 7 * GIB);
    assert_int_equal(device_of(w.pool).utilisation_percent, 50);
    assert_int_equal(try_in(w.pool, "b", 4 * GIB), -ETIMEDOUT);
    assert_int_equal(try_in(w.pool, "b", 2 * GIB), 0);
    assert_int_equal(wharf_pool_allocate(w.pool, &job, 0, NULL, &device), 0);
    assert_string_equal(device, "mine");
    wharf_pool_free(w.pool);
}

static void test_without_samples_what_jobs_have_is_all(void **state)
{
    (void)state;
    struct wharf_pool *p = wharf_pool_new(&(struct wharf_pool_options){.total_bytes = 10 * GIB});
    assert_non_null(p);
    assert_int_equal(try_in(p, "a", 5 * GIB), 0);
    assert_int_equal(try_in(p, "b", 5 * GIB), -ETIMEDOUT);
    assert_int_equal(device_of(p).allocated_bytes, 5 * GIB);
    assert_int_equal(wharf_pool_release(p, "a", 0), 0);
    assert_int_equal(device_of(p).allocated_bytes, 0);
    assert_int_equal(device_of(p).utilisation_percent, -1);
    wharf_pool_free(p);
}

static void test_a_reading_that_fails_leaves_the_last_one(void **state)
{
    (void)state;
    struct world w;
    start(&w, 0);
    w.used_bytes = 3 * GIB;
    assert_int_equal(device_of(w.pool).allocated_bytes, 3 * GIB);
    w.rc = -EIO;
    w.used_bytes = 9 * GIB;
    assert_int_equal(device_of(w.pool).allocated_bytes, 3 * GIB);
    assert_true(device_of(w.pool).stale);
    w.rc = 0;
    assert_false(device_of(w.pool).stale);
    wharf_pool_free(w.pool);
}

static void test_orders_that_make_no_sense(void **state)
{
    (void)state;
    struct world w;
    start(&w, 0);
    struct wharf_job job = job_of(NULL, 1);
    assert_int_equal(wharf_pool_allocate(w.pool, &job, 0, NULL, NULL), -EINVAL);
    job.name = "";
    assert_int_equal(wharf_pool_allocate(w.pool, &job, 0, NULL, NULL), -EINVAL);
    job.name = "a";
    job.wharf_class = (enum wharf_class)7;
    assert_int_equal(wharf_pool_allocate(w.pool, &job, 0, NULL, NULL), -EINVAL);
    assert_int_equal(wharf_pool_can_run(w.pool, &job), -EINVAL);
    job = (struct wharf_job){.name = "a", .bytes = 1, .device = "yours"};
    assert_int_equal(wharf_pool_allocate(w.pool, &job, 0, NULL, NULL), -ENOENT);
    assert_int_equal(stats_of(w.pool).active + stats_of(w.pool).waiting, 0);
    wharf_pool_free(w.pool);
    static const struct wharf_pool_options wrong[] = {{.limit_permille = 1001, .total_bytes = 1},
                                                      {.device = "gpu9"},
                                                      {.device = "cuda:1x"},
                                                      {.sample = sample}};
    for (size_t i = 0; i < 4; i++) {
        errno = 0;
        assert_null(wharf_pool_new(&wrong[i]));
        assert_int_equal(errno, EINVAL);
    }
    assert_null(wharf_pool_new(&(struct wharf_pool_options){.device = "cuda:5"}));
    assert_int_equal(errno, ENODEV);
}

static void test_a_job_without_bytes_takes_a_slot(void **state)
{
    (void)state;
    struct world w;
    start(&w, 1);
    assert_int_equal(try_in(w.pool, "a", 0), 0);
    assert_int_equal(try_in(w.pool, "b", 0), -ETIMEDOUT);
    assert_int_equal(wharf_pool_release(w.pool, "a", 0), 0);
    assert_int_equal(try_in(w.pool, "b", 0), 0);
    wharf_pool_free(w.pool);
}

/* Until so many wait. */
static void wait_for_waiting(struct wharf_pool *p, uint32_t count)
{
    while (stats_of(p).waiting != count)
        sched_yield();
}

struct waiter {
    struct world *w;
    struct wharf_cancel *cancel;
    struct wharf_job job;
    int rc;
};

static void *wait_in(void *arg)
{
    struct waiter *x = arg;
    x->rc = wharf_pool_allocate(x->w->pool, &x->job, MINUTE, x->cancel, NULL);
    return NULL;
}

static void test_cancel_and_order(void **state)
{
    (void)state;
    struct world w;
    start(&w, 1);
    assert_int_equal(try_in(w.pool, "first", GIB), 0);
    struct waiter cancelled = {&w, wharf_cancel_new(), job_of("cancelled", GIB), 1};
    struct waiter waits = {&w, NULL, job_of("waits", GIB), 1};
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, wait_in, &cancelled), 0);
    wait_for_waiting(w.pool, 1);
    assert_int_equal(pthread_create(&threads[1], NULL, wait_in, &waits), 0);
    wait_for_waiting(w.pool, 2);
    assert_int_equal(try_in(w.pool, "waits", GIB), -EEXIST);
    assert_int_equal(wharf_pool_release(w.pool, "waits", 0), -ENOENT); /* it is not in */
    wharf_cancel_set(cancelled.cancel);
    pthread_join(threads[0], NULL);
    assert_int_equal(cancelled.rc, -ECANCELED);
    assert_int_equal(wharf_pool_release(w.pool, "first", 0), 0);
    pthread_join(threads[1], NULL);
    assert_int_equal(waits.rc, 0);
    assert_int_equal(stats_of(w.pool).refused, 1);
    wharf_cancel_free(cancelled.cancel);
    wharf_pool_free(w.pool);
}

static void test_without_blocking(void **state)
{
    (void)state;
    struct world w;
    start(&w, 1);
    struct wharf_inbox *inbox = wharf_inbox_new();
    struct wharf_pool_wait *a, *b, *c;
    const struct wharf_job jobs[] = {job_of("a", GIB), job_of("b", GIB), job_of("c", GIB)};
    struct pollfd fd = {.fd = wharf_inbox_fd(inbox), .events = POLLIN};
    const char *device;
    void *arg;
    assert_int_equal(wharf_pool_begin(w.pool, &jobs[0], MINUTE, inbox, &a, &a), 0);
    assert_int_equal(wharf_pool_begin(w.pool, &jobs[1], MINUTE, inbox, &b, &b), 0);
    assert_int_equal(wharf_pool_begin(w.pool, &jobs[2], MINUTE, inbox, &c, &c), 0);
    assert_int_equal(wharf_pool_begin(w.pool, &jobs[2], MINUTE, inbox, &c, &c), -EEXIST);
    assert_int_equal(poll(&fd, 1, 60000), 1);
    assert_true(wharf_inbox_next(inbox, &arg));
    assert_ptr_equal(arg, &a);
    assert_int_equal(wharf_pool_finish(a, &device), 0);
    assert_string_equal(device, "mine");
    wharf_pool_cancel(b);
    assert_int_equal(wharf_pool_release(w.pool, "a", 0), 0);
    assert_int_equal(poll(&fd, 1, 60000), 1);
    assert_true(wharf_inbox_next(inbox, &arg));
    assert_ptr_equal(arg, &c);
    assert_int_equal(wharf_pool_finish(c, NULL), 0);
    assert_int_equal(stats_of(w.pool).active, 1);
    assert_int_equal(stats_of(w.pool).refused, 1);
    wharf_pool_free(w.pool);
    wharf_inbox_free(inbox);
}

static int never_returns(void *arg, const char *device)
{
    (void)device;
    atomic_store((atomic_bool *)arg, true);
    for (;;) {
        pthread_testcancel();
        sched_yield();
    }
    return 0;
}

struct cancelled_run {
    struct world *w;
    atomic_bool runs;
};

static void *run_for_ever(void *arg)
{
    struct cancelled_run *r = arg;
    const struct wharf_job job = job_of("a", GIB);
    (void)!wharf_pool_run(r->w->pool, &job, MINUTE, never_returns, &r->runs, NULL);
    return NULL;
}

static void test_a_thread_that_is_cancelled_gives_back(void **state)
{
    (void)state;
    struct world w;
    start(&w, 1);
    struct cancelled_run r = {.w = &w};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_for_ever, &r), 0);
    while (!atomic_load(&r.runs))
        sched_yield();
    assert_int_equal(pthread_cancel(thread), 0);
    pthread_join(thread, NULL);
    struct wharf_pool_stats s = stats_of(w.pool);
    assert_int_equal(s.active, 0);
    assert_int_equal(s.failed, 1);
    wharf_pool_free(w.pool);
}

static void test_visible_devices(void **state)
{
    (void)state;
    static const struct {
        const char *list, *products;
    } cases[] = {{"2,0", "Fake H0,Fake H2,"},
                 {"GPU-2", "Fake H1,"},
                 {"0,9,1", "Fake H0,"},
                 {"", NULL},
                 {"-1", NULL},
                 {"1", "Fake H1,"}};
    fake_gpus(3, 0, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char seen[64] = "";
        setenv("CUDA_VISIBLE_DEVICES", cases[i].list, 1);
        struct wharf_pool *p = wharf_pool_new(&(struct wharf_pool_options){.device = "cuda"});
        struct wharf_pool_device d;
        for (uint32_t n = 0; p && wharf_pool_device(p, n, &d) == 0; n++)
            snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s,", d.product);
        assert_string_equal(seen, cases[i].products ? cases[i].products : "");
        assert_true((p == NULL) == (cases[i].products == NULL));
        wharf_pool_free(p);
    }
    unsetenv("CUDA_VISIBLE_DEVICES");
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 * MS + t.tv_nsec;
}

/* Last, since the thread that is in the driver stays there. */
static void test_a_driver_that_hangs(void **state)
{
    (void)state;
    fake_gpus(1, GIB, NULL);
    struct wharf_pool *p = wharf_pool_new(&(struct wharf_pool_options){.read_ns_max = 50 * MS});
    assert_non_null(p);
    assert_int_equal(device_of(p).allocated_bytes, GIB);
    fake_gpus(1, 2 * GIB, "nvmlDeviceGetMemoryInfo_v2");
    int64_t since_ns = now_ns();
    struct wharf_pool_device d = device_of(p);
    assert_true(d.stale);
    assert_int_equal(d.allocated_bytes, GIB);
    assert_int_equal(try_in(p, "a", GIB), 0);
    wharf_pool_free(p);
    assert_null(wharf_pool_new(&(struct wharf_pool_options){.read_ns_max = 50 * MS}));
    assert_int_equal(errno, ETIMEDOUT);
    assert_true(now_ns() - since_ns < MINUTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_of_the_program),
        cmocka_unit_test(test_without_samples_what_jobs_have_is_all),
        cmocka_unit_test(test_a_reading_that_fails_leaves_the_last_one),
        cmocka_unit_test(test_orders_that_make_no_sense),
        cmocka_unit_test(test_a_job_without_bytes_takes_a_slot),
        cmocka_unit_test(test_cancel_and_order),
        cmocka_unit_test(test_without_blocking),
        cmocka_unit_test(test_a_thread_that_is_cancelled_gives_back),
        cmocka_unit_test(test_visible_devices),
        cmocka_unit_test(test_a_driver_that_hangs),
    };
    fake_gpus_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_gpus_fini();
    return failed;
}
