/* Many threads that come, wait, give up and leave at random, while limits change: nobody is inside
 * beyond the limit, nobody is forgotten, and all that was counted adds up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <wharf/wharf.h>

#define GIB (UINT64_C(1) << 30)
#define MINUTE INT64_C(60000000000)
#define THREADS 6
#define ROUNDS 2000
#define LIMIT_MAX 4

struct crowd {
    struct wharf_gate *gate;
    struct wharf_pool *pool;
    atomic_int inside, next;
    atomic_ulong entered, gave_up;
};

/* Of a thread of its own: a small generator will do. */
static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % below;
}

static void *come_and_go(void *arg)
{
    static const enum wharf_class classes[] = {WHARF_FOREGROUND, WHARF_NORMAL, WHARF_BACKGROUND};
    struct crowd *c = arg;
    uint64_t seed = (uint64_t)atomic_fetch_add(&c->next, 1) + 1;
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t patience = draw(&seed, 3);
        int64_t timeout_ns = patience == 0 ? 0 : patience == 1 ? draw(&seed, 50000) : MINUTE;
        int rc = wharf_gate_acquire(c->gate, classes[draw(&seed, 3)], timeout_ns, NULL);
        assert_true(rc == 0 || (rc == -ETIMEDOUT && patience < 2));
        if (rc < 0) {
            atomic_fetch_add(&c->gave_up, 1);
            continue;
        }
        assert_true(atomic_fetch_add(&c->inside, 1) < LIMIT_MAX);
        atomic_fetch_add(&c->entered, 1);
        if (draw(&seed, 100) == 0)
            assert_int_equal(wharf_gate_resize(c->gate, 1 + draw(&seed, LIMIT_MAX)), 0);
        atomic_fetch_sub(&c->inside, 1);
        assert_int_equal(wharf_gate_release(c->gate), 0);
    }
    return NULL;
}

static void run_all(struct crowd *c, void *(*run)(void *))
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, c), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void test_gate(void **state)
{
    (void)state;
    struct crowd c = {.gate = wharf_gate_new(&(struct wharf_gate_options){.limit = 2})};
    struct wharf_gate_stats s;
    run_all(&c, come_and_go);
    wharf_gate_stats(c.gate, &s);
    assert_int_equal(s.inside, 0);
    assert_int_equal(s.foreground_waiting + s.normal_waiting + s.background_waiting, 0);
    assert_int_equal(s.entered, atomic_load(&c.entered));
    assert_int_equal(atomic_load(&c.entered) + atomic_load(&c.gave_up), THREADS * ROUNDS);
    assert_true(s.cancelled <= atomic_load(&c.gave_up));
    wharf_gate_free(c.gate);
}

static int be_inside(void *arg, const char *device)
{
    struct crowd *c = arg;
    (void)device;
    assert_true(atomic_fetch_add(&c->inside, 1) < LIMIT_MAX);
    atomic_fetch_sub(&c->inside, 1);
    return 0;
}

static void *work(void *arg)
{
    struct crowd *c = arg;
    uint64_t seed = (uint64_t)atomic_fetch_add(&c->next, 1) + 1;
    char name[16];
    snprintf(name, sizeof(name), "%d", (int)seed);
    for (int i = 0; i < ROUNDS / 10; i++) {
        const struct wharf_job job = {.name = name, .bytes = draw(&seed, 6) * GIB};
        int64_t timeout_ns = draw(&seed, 2) ? MINUTE : draw(&seed, 100000);
        bool ran;
        int rc = wharf_pool_run(c->pool, &job, timeout_ns, be_inside, c, &ran);
        assert_true(rc == 0 || (rc == -ETIMEDOUT && timeout_ns < MINUTE));
        atomic_fetch_add(ran ? &c->entered : &c->gave_up, 1);
    }
    return NULL;
}

static void test_pool(void **state)
{
    (void)state;
    struct crowd c = {.pool = wharf_pool_new(&(struct wharf_pool_options){
                          .total_bytes = 8 * GIB, .limit_permille = 1000, .jobs_max = LIMIT_MAX})};
    struct wharf_pool_stats s;
    run_all(&c, work);
    wharf_pool_stats(c.pool, &s);
    assert_int_equal(s.active + s.waiting + s.reserved_bytes, 0);
    assert_int_equal(s.processed, atomic_load(&c.entered));
    assert_int_equal(s.refused, atomic_load(&c.gave_up));
    assert_true(s.peak_bytes <= 8 * GIB);
    wharf_pool_free(c.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gate), cmocka_unit_test(test_pool)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
