/* The tests that the GPU manager of the second seed is known by, under their own names, asked of
 * wharf_pool. Real devices are those of a library in NVML's place (fake_gpus.h).
 *
 *     what the seed has                          what it is here
 *     GPUManager(device, jobs, limit)            wharf_pool_new
 *     get_gpu_manager()                          wharf_pool_default
 *     get_gpu_stats, get_memory_info             wharf_pool_stats, wharf_pool_device
 *     can_process_job(vram)                      wharf_pool_can_run
 *     allocate_job, cleanup_after_job            wharf_pool_allocate, wharf_pool_release
 *     managed_generation(job, vram)              wharf_pool_run
 *     torch.cuda.empty_cache()                   the option cleanup
 *     torch.cuda.synchronize()                   the program's own, inside its job
 *
 * test_gpu_manager_with_hunyuan and test_gpu_manager_with_batch_processor are about modules of the
 * seed's own: what they ask of the manager, that a stage takes its memory and gives it back, and
 * that a batch goes through one job at a time, is asked here. In Python the same names are asked of
 * the Python package. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <wharf/pool.h>

#include "fake_gpus.h"

#define MINUTE INT64_C(60000000000)

static struct wharf_pool *pool_with(const char *device, uint32_t jobs_max, uint32_t limit_permille)
{
    struct wharf_pool *p = wharf_pool_new(&(struct wharf_pool_options){
        .device = device, .jobs_max = jobs_max, .limit_permille = limit_permille});
    assert_non_null(p);
    return p;
}

static struct wharf_pool *pool(void)
{
    return pool_with(NULL, 0, 0);
}

static struct wharf_pool_stats stats_of(struct wharf_pool *p)
{
    struct wharf_pool_stats s;
    wharf_pool_stats(p, &s);
    return s;
}

static struct wharf_pool_device device_of(struct wharf_pool *p, uint32_t i)
{
    struct wharf_pool_device d;
    assert_int_equal(wharf_pool_device(p, i, &d), 0);
    return d;
}

static struct wharf_job job_of(const char *name, uint64_t bytes)
{
    return (struct wharf_job){.name = name, .bytes = bytes, .wharf_class = WHARF_BACKGROUND};
}

static int try_in(struct wharf_pool *p, const char *name, uint64_t bytes)
{
    const struct wharf_job job = job_of(name, bytes);
    return wharf_pool_allocate(p, &job, 0, NULL, NULL);
}

static int can_run(struct wharf_pool *p, uint64_t bytes)
{
    const struct wharf_job job = job_of("asked", bytes);
    return wharf_pool_can_run(p, &job);
}

static void out(struct wharf_pool *p, const char *name)
{
    assert_int_equal(wharf_pool_release(p, name, 0), 0);
}

static int setup(void **state)
{
    (void)state;
    fake_gpus(1, 0, NULL);
    return 0;
}

/* ---- initialization and configuration ---- */

static void test_gpu_manager_initialization(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    struct wharf_pool_stats s = stats_of(p);
    assert_int_equal(s.jobs_max, 3);
    assert_int_equal(s.active + s.processed + s.failed, 0);
    assert_int_equal(device_of(p, 0).limit_bytes, FAKE_GPU_BYTES * 8 / 10);
    wharf_pool_free(p);
}

static void test_gpu_manager_singleton(void **state)
{
    (void)state;
    struct wharf_pool *p = wharf_pool_default(NULL);
    assert_non_null(p);
    assert_ptr_equal(p, wharf_pool_default(&(struct wharf_pool_options){.jobs_max = 9}));
    assert_int_equal(stats_of(p).jobs_max, 3);
}

static void test_cuda_availability_check(void **state)
{
    (void)state;
    struct wharf_pool *p = pool_with("cuda", 0, 0);
    assert_string_equal(device_of(p, 0).name, "cuda:0");
    wharf_pool_free(p);
    fake_gpus(0, 0, NULL);
    assert_null(wharf_pool_new(&(struct wharf_pool_options){.device = "cuda"}));
    assert_int_equal(errno, ENODEV);
}

static void test_device_selection_auto(void **state)
{
    (void)state;
    struct wharf_pool *p = pool_with("auto", 0, 0);
    assert_string_equal(device_of(p, 0).name, "cuda:0");
    wharf_pool_free(p);
}

static void test_device_selection_cuda(void **state)
{
    (void)state;
    fake_gpus(2, 0, NULL);
    struct wharf_pool *p = pool_with("cuda:1", 0, 0);
    assert_int_equal(stats_of(p).devices, 1);
    assert_string_equal(device_of(p, 0).name, "cuda:1");
    assert_string_equal(device_of(p, 0).product, "Fake H1");
    wharf_pool_free(p);
}

static void test_device_selection_cpu(void **state)
{
    (void)state;
    struct wharf_pool *p = pool_with("cpu", 0, 0);
    struct wharf_pool_device d = device_of(p, 0);
    assert_string_equal(d.name, "cpu");
    assert_true(d.total_bytes > 0 && d.allocated_bytes > 0);
    assert_true(d.total_bytes > d.allocated_bytes);
    wharf_pool_free(p);
}

/* ---- statistics and monitoring ---- */

static void test_get_gpu_stats(void **state)
{
    (void)state;
    fake_gpus(1, 2 * GIB, NULL);
    struct wharf_pool *p = pool();
    assert_int_equal(try_in(p, "a", 3 * GIB), 0);
    struct wharf_pool_stats s = stats_of(p);
    assert_int_equal(s.devices, 1);
    assert_int_equal(s.active, 1);
    assert_int_equal(s.total_bytes, FAKE_GPU_BYTES);
    assert_int_equal(s.allocated_bytes, 2 * GIB);
    assert_int_equal(s.reserved_bytes, 3 * GIB);
    out(p, "a");
    assert_int_equal(stats_of(p).processed, 1);
    wharf_pool_free(p);
}

static void test_gpu_memory_info(void **state)
{
    (void)state;
    fake_gpus(1, 2 * GIB, NULL);
    struct wharf_pool *p = pool_with("cuda", 0, 1000);
    struct wharf_pool_device d = device_of(p, 0);
    assert_int_equal(d.total_bytes, FAKE_GPU_BYTES);
    assert_int_equal(d.allocated_bytes, 2 * GIB);
    assert_int_equal(d.reserved_bytes, 0);
    assert_int_equal(d.free_bytes, 10 * GIB);
    wharf_pool_free(p);
}

static void test_gpu_utilization_tracking(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    assert_int_equal(device_of(p, 0).utilisation_percent, 37);
    wharf_pool_free(p);
}

static void test_multiple_device_support(void **state)
{
    (void)state;
    const char *first, *second;
    const struct wharf_job a = job_of("a", 8 * GIB), b = job_of("b", 8 * GIB);
    fake_gpus(2, 0, NULL);
    struct wharf_pool *p = pool();
    assert_int_equal(stats_of(p).devices, 2);
    assert_int_equal(wharf_pool_allocate(p, &a, 0, NULL, &first), 0);
    assert_int_equal(wharf_pool_allocate(p, &b, 0, NULL, &second), 0);
    assert_string_not_equal(first, second);
    assert_int_equal(try_in(p, "c", 8 * GIB), -ETIMEDOUT);
    wharf_pool_free(p);
}

static void test_device_properties(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    struct wharf_pool_device d = device_of(p, 0);
    assert_string_equal(d.uuid, "GPU-10000000");
    assert_int_equal(d.total_bytes, FAKE_GPU_BYTES);
    assert_int_equal(wharf_pool_device(p, 1, &d), -ENOENT);
    wharf_pool_free(p);
}

static void test_memory_allocation(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    uint64_t before = device_of(p, 0).free_bytes;
    assert_int_equal(try_in(p, "a", GIB), 0);
    assert_int_equal(device_of(p, 0).free_bytes, before - GIB);
    out(p, "a");
    assert_int_equal(device_of(p, 0).free_bytes, before);
    wharf_pool_free(p);
}

static void test_max_memory_tracking(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    assert_int_equal(try_in(p, "a", 4 * GIB), 0);
    assert_int_equal(try_in(p, "b", 2 * GIB), 0);
    out(p, "a");
    assert_int_equal(stats_of(p).peak_bytes, 6 * GIB);
    assert_int_equal(device_of(p, 0).peak_bytes, 6 * GIB);
    wharf_pool_reset_peak(p);
    assert_int_equal(stats_of(p).peak_bytes, 2 * GIB);
    wharf_pool_free(p);
}

static void test_memory_reserved(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    assert_int_equal(try_in(p, "a", 4 * GIB), 0);
    assert_int_equal(device_of(p, 0).reserved_bytes, 4 * GIB);
    assert_int_equal(device_of(p, 0).allocated_bytes, 0);
    wharf_pool_free(p);
}

/* ---- jobs ---- */

static void test_can_process_job(void **state)
{
    (void)state;
    struct wharf_pool *p = pool_with(NULL, 1, 0);
    assert_int_equal(can_run(p, GIB), 0);
    assert_int_equal(try_in(p, "a", GIB), 0);
    assert_int_equal(can_run(p, GIB), -EAGAIN);
    assert_int_equal(can_run(p, 11 * GIB), -ENOSPC);
    wharf_pool_free(p);
}

static void test_allocate_job(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    assert_int_equal(try_in(p, "a", GIB), 0);
    assert_int_equal(try_in(p, "a", GIB), -EEXIST);
    assert_int_equal(stats_of(p).active, 1);
    wharf_pool_free(p);
}

static void test_cleanup_after_job(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    assert_int_equal(try_in(p, "a", GIB), 0);
    out(p, "a");
    assert_int_equal(wharf_pool_release(p, "a", 0), -ENOENT);
    assert_int_equal(wharf_pool_release(p, NULL, 0), -ENOENT);
    struct wharf_pool_stats s = stats_of(p);
    assert_int_equal(s.active + s.reserved_bytes, 0);
    wharf_pool_free(p);
}

static void empty_cache(void *arg, const char *job, const char *device)
{
    char *said = arg;
    snprintf(said, 32, "%s of %s", job, device);
    fake_gpus(1, 0, NULL);
}

static void test_memory_cleanup(void **state)
{
    (void)state;
    char said[32] = "";
    struct wharf_pool *p =
        wharf_pool_new(&(struct wharf_pool_options){.cleanup = empty_cache, .arg = said});
    assert_int_equal(try_in(p, "a", 4 * GIB), 0);
    fake_gpus(1, 4 * GIB, NULL); /* it takes what it said */
    out(p, "a");
    assert_string_equal(said, "a of cuda:0");
    assert_int_equal(try_in(p, "b", 9 * GIB), 0);
    wharf_pool_free(p);
}

static void test_concurrent_job_limit(void **state)
{
    (void)state;
    struct wharf_pool *p = pool_with(NULL, 2, 0);
    assert_int_equal(try_in(p, "a", MIB), 0);
    assert_int_equal(try_in(p, "b", MIB), 0);
    assert_int_equal(try_in(p, "c", MIB), -ETIMEDOUT);
    assert_int_equal(stats_of(p).refused, 1);
    out(p, "a");
    assert_int_equal(try_in(p, "c", MIB), 0);
    wharf_pool_free(p);
}

static void can_allocate(uint64_t bytes, int rc)
{
    struct wharf_pool *p = pool();
    assert_int_equal(can_run(p, bytes), rc);
    assert_int_equal(try_in(p, "a", bytes), rc);
    wharf_pool_free(p);
}

static void test_can_allocate_various_sizes_100MB(void **state)
{
    (void)state;
    can_allocate(100 * MIB, 0);
}

static void test_can_allocate_various_sizes_1000MB(void **state)
{
    (void)state;
    can_allocate(1000 * MIB, 0);
}

static void test_can_allocate_various_sizes_5000MB(void **state)
{
    (void)state;
    can_allocate(5000 * MIB, 0);
}

/* More than 0.8 of the device. */
static void test_can_allocate_various_sizes_10000MB(void **state)
{
    (void)state;
    can_allocate(10000 * MIB, -ENOSPC);
}

static int generate(void *arg, const char *device)
{
    struct wharf_pool *p = arg;
    assert_string_equal(device, "cuda:0");
    assert_int_equal(stats_of(p).active, 1);
    assert_int_equal(stats_of(p).reserved_bytes, 2 * GIB);
    return 0;
}

static void test_managed_generation_context(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    const struct wharf_job job = job_of("a", 2 * GIB);
    bool ran = false;
    assert_int_equal(wharf_pool_run(p, &job, MINUTE, generate, p, &ran), 0);
    assert_true(ran);
    struct wharf_pool_stats s = stats_of(p);
    assert_int_equal(s.active + s.reserved_bytes, 0);
    assert_int_equal(s.processed, 1);
    wharf_pool_free(p);
}

/* ---- limits, the device, errors ---- */

static void test_memory_limit_enforcement(void **state)
{
    (void)state;
    struct wharf_pool *p = pool_with(NULL, 0, 500);
    assert_int_equal(can_run(p, 6 * GIB), 0);
    assert_int_equal(can_run(p, 6 * GIB + 1), -ENOSPC);
    assert_int_equal(try_in(p, "a", 4 * GIB), 0);
    assert_int_equal(can_run(p, 3 * GIB), -EAGAIN);
    wharf_pool_free(p);
}

/* What a framework keeps after a job is in use, and is nobody's: it counts until it is given back.
 */
static void test_cache_info(void **state)
{
    (void)state;
    fake_gpus(1, 8 * GIB, NULL);
    struct wharf_pool *p = pool();
    assert_int_equal(device_of(p, 0).allocated_bytes, 8 * GIB);
    assert_int_equal(can_run(p, 2 * GIB), -EAGAIN);
    wharf_pool_free(p);
}

/* Numbers are asked for anew whenever somebody looks. */
static void test_device_synchronization(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    assert_int_equal(device_of(p, 0).allocated_bytes, 0);
    fake_gpus(1, GIB, NULL);
    assert_int_equal(device_of(p, 0).allocated_bytes, GIB);
    assert_false(device_of(p, 0).stale);
    wharf_pool_free(p);
}

static void test_gpu_name_detection(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    assert_string_equal(device_of(p, 0).product, "Fake H0");
    wharf_pool_free(p);
}

static void test_error_handling_no_gpu(void **state)
{
    (void)state;
    fake_gpus(0, 0, NULL);
    struct wharf_pool *p = pool();
    assert_int_equal(device_of(p, 0).utilisation_percent, -1);
    assert_int_equal(try_in(p, "a", MIB), 0);
    out(p, "a");
    wharf_pool_free(p);
}

static void test_fallback_to_cpu(void **state)
{
    (void)state;
    fake_gpus(0, 0, NULL);
    struct wharf_pool *p = pool();
    assert_string_equal(device_of(p, 0).name, "cpu");
    assert_int_equal(stats_of(p).devices, 1);
    wharf_pool_free(p);
}

/* ---- together with the rest of a program ---- */

struct batch {
    struct wharf_pool *pool;
    atomic_int now, most, next;
};

static int one_of_batch(void *arg, const char *device)
{
    struct batch *b = arg;
    int now = atomic_fetch_add(&b->now, 1) + 1, most = atomic_load(&b->most);
    (void)device;
    while (now > most && !atomic_compare_exchange_weak(&b->most, &most, now))
        ;
    atomic_fetch_sub(&b->now, 1);
    return 0;
}

static void *work_through(void *arg)
{
    struct batch *b = arg;
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof(name), "job-%d", atomic_fetch_add(&b->next, 1));
        const struct wharf_job job = job_of(name, 5 * GIB);
        assert_int_equal(wharf_pool_run(b->pool, &job, MINUTE, one_of_batch, b, NULL), 0);
    }
    return NULL;
}

/* There is room for one of them at a time. */
static void test_gpu_manager_with_batch_processor(void **state)
{
    (void)state;
    struct batch b = {.pool = pool()};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work_through, &b), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&b.most), 1);
    struct wharf_pool_stats s = stats_of(b.pool);
    assert_int_equal(s.processed, 40);
    assert_int_equal(s.peak_bytes, 5 * GIB);
    wharf_pool_free(b.pool);
}

static int out_of_memory(void *arg, const char *device)
{
    (void)arg;
    (void)device;
    return -ENOMEM;
}

/* A stage that fails gives back its memory for the next one. */
static void test_gpu_manager_with_hunyuan(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    const struct wharf_job shape = job_of("shape", 9 * GIB), texture = job_of("texture", 9 * GIB);
    bool ran = false;
    assert_int_equal(wharf_pool_run(p, &shape, 0, out_of_memory, NULL, &ran), -ENOMEM);
    assert_true(ran);
    assert_int_equal(
        wharf_pool_run(p, &texture, MINUTE, one_of_batch, &(struct batch){.most = 0}, &ran), 0);
    assert_int_equal(stats_of(p).failed, 1);
    assert_int_equal(stats_of(p).processed, 1);
    wharf_pool_free(p);
}

static void test_memory_tracking_during_operation(void **state)
{
    (void)state;
    struct wharf_pool *p = pool_with(NULL, 0, 1000);
    assert_int_equal(try_in(p, "a", 6 * GIB), 0);
    fake_gpus(1, 4 * GIB, NULL); /* a part of what it said */
    struct wharf_pool_device d = device_of(p, 0);
    assert_int_equal(d.allocated_bytes, 4 * GIB);
    assert_int_equal(d.free_bytes, 6 * GIB);
    fake_gpus(1, 8 * GIB, NULL); /* and more: that is somebody else's */
    assert_int_equal(device_of(p, 0).free_bytes, 4 * GIB);
    wharf_pool_free(p);
}

static void test_multi_job_scenario(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    struct wharf_pool *p = pool();
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(try_in(p, names[i], 3 * GIB), 0);
    assert_int_equal(stats_of(p).reserved_bytes, 9 * GIB);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(wharf_pool_release(p, names[i], i == 1 ? -EIO : 0), 0);
    struct wharf_pool_stats s = stats_of(p);
    assert_int_equal(s.processed, 2);
    assert_int_equal(s.failed, 1);
    assert_int_equal(s.active, 0);
    wharf_pool_free(p);
}

static void test_resource_exhaustion_handling(void **state)
{
    (void)state;
    struct wharf_pool *p = pool();
    assert_int_equal(try_in(p, "a", 9 * GIB), 0);
    assert_int_equal(try_in(p, "b", 9 * GIB), -ETIMEDOUT);
    assert_int_equal(try_in(p, "c", 100 * GIB), -ENOSPC);
    assert_int_equal(stats_of(p).refused, 2);
    out(p, "a");
    assert_int_equal(try_in(p, "b", 9 * GIB), 0);
    wharf_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, setup)
        TEST(test_gpu_manager_initialization),
        TEST(test_gpu_manager_singleton),
        TEST(test_cuda_availability_check),
        TEST(test_device_selection_auto),
        TEST(test_device_selection_cuda),
        TEST(test_device_selection_cpu),
        TEST(test_get_gpu_stats),
        TEST(test_gpu_memory_info),
        TEST(test_gpu_utilization_tracking),
        TEST(test_multiple_device_support),
        TEST(test_device_properties),
        TEST(test_memory_allocation),
        TEST(test_max_memory_tracking),
        TEST(test_memory_reserved),
        TEST(test_can_process_job),
        TEST(test_allocate_job),
        TEST(test_cleanup_after_job),
        TEST(test_memory_cleanup),
        TEST(test_concurrent_job_limit),
        TEST(test_can_allocate_various_sizes_100MB),
        TEST(test_can_allocate_various_sizes_1000MB),
        TEST(test_can_allocate_various_sizes_5000MB),
        TEST(test_can_allocate_various_sizes_10000MB),
        TEST(test_managed_generation_context),
        TEST(test_memory_limit_enforcement),
        TEST(test_cache_info),
        TEST(test_device_synchronization),
        TEST(test_gpu_name_detection),
        TEST(test_error_handling_no_gpu),
        TEST(test_fallback_to_cpu),
        TEST(test_gpu_manager_with_batch_processor),
        TEST(test_gpu_manager_with_hunyuan),
        TEST(test_memory_tracking_during_operation),
        TEST(test_multi_job_scenario),
        TEST(test_resource_exhaustion_handling)};
    fake_gpus_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_gpus_fini();
    return failed;
}
