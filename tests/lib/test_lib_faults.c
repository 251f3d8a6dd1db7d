/* The n-th allocation of the library fails, for every n, through gates, brokers and pools: each
 * call does its work or says that it could not, nothing else breaks, and nothing leaks. Linked with
 * the static library, whose allocations come through the functions below (ld --wrap). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <wharf/wharf.h>

#define GIB (UINT64_C(1) << 30)
#define MINUTE INT64_C(60000000000)

static atomic_long fail_at; /* counted down at each allocation; 0: that one fails */
static atomic_long living;  /* what has been allocated and not freed */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *ptr);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *ptr);

static bool fails(void)
{
    bool now = atomic_fetch_sub(&fail_at, 1) == 0;
    if (now)
        errno = ENOMEM;
    return now;
}

static void *count(void *ptr)
{
    if (ptr)
        atomic_fetch_add(&living, 1);
    return ptr;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t items, size_t size)
{
    return fails() ? NULL : count(__real_calloc(items, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (fails())
        return NULL;
    return old ? __real_realloc(old, size) : count(__real_realloc(old, size));
}

char *__wrap_strdup(const char *text)
{
    char *copy = __wrap_malloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

void __wrap_free(void *ptr)
{
    if (ptr)
        atomic_fetch_sub(&living, 1);
    __real_free(ptr);
}

/* Of a call that needs memory: it has done its work, or says that there is none. */
static bool went(int rc)
{
    assert_true(rc == 0 || rc == -ENOMEM);
    return rc == 0;
}

static void gates(void)
{
    struct wharf_gate *g = wharf_gate_new(&(struct wharf_gate_options){.limit = 1});
    struct wharf_inbox *inbox = wharf_inbox_new();
    struct wharf_cancel *cancel = wharf_cancel_new();
    struct wharf_gate_wait *w = NULL;
    void *arg;
    if (g && inbox && cancel) {
        assert_int_equal(wharf_gate_acquire(g, WHARF_NORMAL, 0, cancel), 0);
        int rc = wharf_gate_begin(g, WHARF_NORMAL, inbox, g, &w);
        assert_true(rc == -EINPROGRESS || rc == -ENOMEM);
        assert_int_equal(wharf_gate_release(g), 0);
        assert_int_equal(wharf_inbox_next(inbox, &arg), rc == -EINPROGRESS);
    }
    wharf_cancel_free(cancel);
    wharf_inbox_free(inbox);
    wharf_gate_free(g);
}

static int load(void *arg, const char *model, const char *device)
{
    (void)arg;
    (void)model;
    (void)device;
    return 0;
}

static int unload(void *arg, const char *model)
{
    (void)arg;
    (void)model;
    return 0;
}

static int sample(void *arg, const char *device, uint64_t *ret_used_bytes)
{
    (void)arg;
    (void)device;
    *ret_used_bytes = 0;
    return 0;
}

static void hear(void *arg, const struct wharf_event *e)
{
    (void)e;
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void use_broker(struct wharf_broker *b)
{
    struct wharf_inbox *inbox = wharf_inbox_new();
    struct wharf_answer answer, second;
    struct wharf_call *call;
    struct wharf_order order = {.kind = WHARF_ENTER, .model = "m", .timeout_ns = MINUTE};
    assert_int_equal(wharf_broker_do(b, &order, NULL, &answer), 0);
    if (inbox && went(wharf_broker_begin(b, &order, &second, inbox, NULL, &call)))
        wharf_call_cancel(call);
    order.kind = WHARF_UNLOAD;
    wharf_broker_leave(b, answer.id);
    assert_int_equal(wharf_broker_do(b, &order, NULL, NULL), 0);
    assert_int_equal(wharf_broker_refresh(b, MINUTE), 0);
    wharf_inbox_free(inbox);
}

static void brokers(void)
{
    static const struct wharf_device device = {.name = "d", .total_bytes = 8 * GIB};
    static const struct wharf_placement place = {"d", GIB, 0};
    static const struct wharf_model model = {
        .name = "m", .placements = &place, .placement_count = 1, .slots_max = 2};
    static const struct wharf_wish wish = {.model = "m"};
    static const struct wharf_mode mode = {"on", &wish, 1};
    static const struct wharf_named_gate gate = {"g", 1};
    atomic_int heard = 0;
    struct wharf_broker *b = wharf_broker_new(&(struct wharf_broker_options){
        .devices = &device,
        .device_count = 1,
        .models = &model,
        .model_count = 1,
        .modes = &mode,
        .mode_count = 1,
        .gates = &gate,
        .gate_count = 1,
        .arg = &heard,
        .ops = {.load = load, .unload = unload, .sample = sample, .event = hear}});
    if (b)
        use_broker(b);
    else
        assert_int_equal(errno, ENOMEM);
    wharf_broker_free(b);
}

static int work(void *arg, const char *device)
{
    (void)device;
    ++*(int *)arg;
    return 0;
}

static void use_pool(struct wharf_pool *p)
{
    const struct wharf_job job = {.name = "a", .bytes = GIB};
    struct wharf_inbox *inbox = wharf_inbox_new();
    struct wharf_pool_wait *w;
    struct wharf_pool_stats s;
    int ran = 0;
    bool went_in = went(wharf_pool_run(p, &job, MINUTE, work, &ran, NULL));
    assert_int_equal(ran, went_in);
    if (inbox && went(wharf_pool_begin(p, &job, MINUTE, inbox, NULL, &w)))
        wharf_pool_cancel(w);
    wharf_pool_stats(p, &s);
    assert_int_equal(s.active + s.waiting + s.reserved_bytes, 0);
    wharf_inbox_free(inbox);
}

static void pools(void)
{
    struct wharf_pool *p = wharf_pool_new(&(struct wharf_pool_options){.total_bytes = 8 * GIB});
    if (p)
        use_pool(p);
    else
        assert_int_equal(errno, ENOMEM);
    wharf_pool_free(p);
}

static void fail_each(void (*scenario)(void))
{
    long n = -1, left;
    do {
        atomic_store(&fail_at, ++n);
        scenario();
        left = atomic_load(&fail_at);
        assert_int_equal(atomic_load(&living), 0);
    } while (left < 0);
    assert_true(n > 2);
}

static void test_gates(void **state)
{
    (void)state;
    fail_each(gates);
}

static void test_brokers(void **state)
{
    (void)state;
    fail_each(brokers);
}

static void test_pools(void **state)
{
    (void)state;
    fail_each(pools);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gates), cmocka_unit_test(test_brokers),
                                       cmocka_unit_test(test_pools)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
