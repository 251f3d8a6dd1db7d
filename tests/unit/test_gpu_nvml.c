/* NVIDIA's GPUs through a library that answers what a script says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/pure/check.h"
#include "gpu/gpu.h"
#include "gpu_files.h"

#define ONE "count=1\ndriver=580.95.05\n0.uuid=GPU-1\n0.name=NVIDIA A\n0.pci=00000000:0A:00.0\n"
#define MEMORY "0.total=1000000\n0.free=700000\n0.reserved=100000\n"

static struct gpu_opened opened;
static struct gpu_device devices[4];

static void open_library(const char *variable, const char *script)
{
    struct gpu_place place = {.root = gpu_root, .nvml_path = getenv(variable)};
    assert_non_null(place.nvml_path);
    gpu_script(script);
    gpu_nvml.open(&place, &opened);
}

static uint32_t read_all(void)
{
    bool ok = false;
    memset(devices, 0x5a, sizeof(devices));
    uint32_t count = gpu_nvml.read(opened.self, devices, countof(devices), &ok);
    assert_true(ok);
    return count;
}

/* One device of the newer library. */
static struct gpu_device *read_one(const char *script)
{
    open_library("WHARF_FAKE_LIB", script);
    assert_int_equal(opened.state, GPU_READING);
    assert_int_equal(read_all(), 1);
    gpu_nvml.close(opened.self);
    return &devices[0];
}

static int setup(void **state)
{
    int rc = gpu_make_root(state);
    gpu_first_namespace();
    gpu_put("/proc/100/stat", "");
    gpu_put("/proc/200/stat", "");
    return rc;
}

static void test_identity(void **state)
{
    (void)state;
    const struct gpu_device *d = read_one(ONE MEMORY);
    assert_string_equal(d->uuid, "GPU-1");
    assert_string_equal(d->name, "NVIDIA A");
    assert_string_equal(d->pci, "0000:0a:00.0");
    assert_string_equal(d->driver_version, "580.95.05");
    assert_int_equal(d->source, GPU_NVIDIA);
    assert_false(d->lost || d->mig || d->unified);
    assert_string_equal(d->problem, "");
}

static void test_memory_is_told_apart_from_the_reserve(void **state)
{
    (void)state;
    const struct gpu_device *d = read_one(ONE MEMORY);
    assert_int_equal(d->total_bytes, 1000000);
    assert_int_equal(d->free_bytes, 700000);
    assert_int_equal(d->reserved_bytes, 100000);
    assert_int_equal(d->used_bytes, 200000);
    assert_true(d->known & GPU_RESERVED);
}

static void test_an_old_library(void **state)
{
    (void)state;
    open_library("WHARF_FAKE_LIB_OLD", ONE MEMORY "0.compute=100:5000\n");
    assert_int_equal(read_all(), 1);
    assert_int_equal(devices[0].used_bytes, 300000);
    assert_false(devices[0].known & GPU_RESERVED);
    assert_true(devices[0].known & GPU_USES);
    assert_int_equal(devices[0].use_count, 1);
    gpu_nvml.close(opened.self);
}

static void test_the_second_version_of_memory_may_fail(void **state)
{
    static const int codes[] = {25, 3, 13, 999};
    (void)state;
    for (size_t i = 0; i < countof(codes); i++) {
        char script[512];
        snprintf(script, sizeof(script), ONE MEMORY "nvmlDeviceGetMemoryInfo_v2=%d\n", codes[i]);
        const struct gpu_device *d = read_one(script);
        assert_int_equal(d->used_bytes, 300000);
        assert_int_equal(d->known & (GPU_USED | GPU_RESERVED), GPU_USED);
    }
}

/* What is not supported is unknown, and not 0. */
static void test_gauges(void **state)
{
    (void)state;
    const struct gpu_device *d = read_one(
        ONE MEMORY "0.util=7\n0.mem_util=3\n0.temp=55\n0.power=12345\n0.limit=450000\n0.fan=30\n");
    const uint32_t all = GPU_UTILISATION | GPU_MEMORY_UTILISATION | GPU_TEMPERATURE | GPU_POWER |
                         GPU_POWER_LIMIT | GPU_FAN;
    assert_int_equal(d->known & all, all);
    assert_int_equal(d->utilisation_percent, 7);
    assert_int_equal(d->memory_utilisation_percent, 3);
    assert_int_equal(d->temperature_c, 55);
    assert_int_equal(d->power_mw, 12345);
    assert_int_equal(d->power_limit_mw, 450000);
    assert_int_equal(d->fan_percent, 30);
    assert_int_equal(read_one(ONE MEMORY)->known & all, 0);
    d = read_one(ONE MEMORY "0.util=7\n0.temp=55\nnvmlDeviceGetTemperature=999\n");
    assert_int_equal(d->known & all, GPU_UTILISATION | GPU_MEMORY_UTILISATION);
}

static void test_no_memory_of_its_own(void **state)
{
    (void)state;
    gpu_put("/proc/meminfo", "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\n");
    static const char *const scripts[] = {
        "count=1\n0.uuid=GPU-9\n0.name=NVIDIA GB10\n",
        "count=1\n0.uuid=GPU-9\n0.name=NVIDIA GB10\n0.total=0\n0.free=0\n"};
    for (size_t i = 0; i < countof(scripts); i++) {
        const struct gpu_device *d = read_one(scripts[i]);
        assert_true(d->unified);
        assert_int_equal(d->total_bytes, 1000 * 1024);
        assert_int_equal(d->free_bytes, 400 * 1024);
        assert_int_equal(d->known & (GPU_TOTAL | GPU_USED), GPU_TOTAL | GPU_USED);
    }
    /* Elsewhere it is a fault, and nothing is known. */
    const struct gpu_device *d = read_one(ONE);
    assert_false(d->unified);
    assert_int_equal(d->known & (GPU_TOTAL | GPU_USED), 0);
    assert_non_null(strstr(d->problem, "memory cannot be read"));
    d = read_one("count=1\n0.name=NVIDIA GB10\nnvmlDeviceGetMemoryInfo=999\n"
                 "nvmlDeviceGetMemoryInfo_v2=999\n");
    assert_false(d->unified);
    assert_non_null(strstr(d->problem, "999"));
}

static void test_uses(void **state)
{
    (void)state;
    const struct gpu_device *d =
        read_one(ONE MEMORY "0.compute=100:5000 200:7000\n0.graphics=200:9000 100:1\n");
    assert_true(d->known & GPU_USES);
    assert_int_equal(d->use_count, 2);
    assert_int_equal(d->uses[0].pid, 100);
    assert_int_equal(d->uses[0].bytes, 5000);
    assert_int_equal(d->uses[1].bytes, 9000);
    /* Nobody is known to use it, which is not that nobody knows. */
    d = read_one(ONE MEMORY);
    assert_true(d->known & GPU_USES);
    assert_int_equal(d->use_count, 0);
    /* A card without a display lists no graphics. */
    d = read_one(ONE MEMORY "0.compute=100:5\nnvmlDeviceGetGraphicsRunningProcesses_v3=3\n");
    assert_int_equal(d->use_count, 1);
    assert_true(d->known & GPU_USES);
}

static void test_uses_that_are_not_known(void **state)
{
    static const char *const scripts[] = {ONE MEMORY "0.compute=100:5000 200:-\n",
                                          ONE MEMORY "0.mig=1\n0.compute=100:5000\n",
                                          ONE MEMORY "nvmlDeviceGetComputeRunningProcesses_v3=3\n"};
    (void)state;
    for (size_t i = 0; i < countof(scripts); i++) {
        const struct gpu_device *d = read_one(scripts[i]);
        assert_false(d->known & GPU_USES);
        assert_int_equal(d->use_count, 0);
        assert_true(d->uses_problem[0]);
        assert_int_equal(d->used_bytes, 200000);
    }
    assert_true(read_one(scripts[1])->mig);
}

static void test_in_a_container(void **state)
{
    (void)state;
    gpu_link("/proc/self/ns/pid", "pid:[4026532999]");
    const struct gpu_device *d = read_one(ONE MEMORY "0.compute=100:5000\n");
    assert_false(d->known & GPU_USES);
    assert_non_null(strstr(d->uses_problem, "container"));
    gpu_first_namespace();
}

static void test_many_processes(void **state)
{
    char script[8192];
    (void)state;
    for (int count = 30; count <= 300; count += 270) {
        size_t n = (size_t)snprintf(script, sizeof(script), ONE MEMORY "0.compute=");
        for (int i = 0; i < count; i++)
            n += (size_t)snprintf(script + n, sizeof(script) - n, "%d:1 ", 1000 + i);
        const struct gpu_device *d = read_one(script);
        assert_int_equal((d->known & GPU_USES) != 0, count <= GPU_USES_MAX);
        assert_int_equal(d->use_count, count <= GPU_USES_MAX ? count : GPU_USES_MAX);
    }
}

/* Early drivers of the 535 series. */
static void test_an_odd_third_version(void **state)
{
    (void)state;
    open_library("WHARF_FAKE_LIB", ONE MEMORY "odd_v3=1\n0.compute=100:5000 200:7000\n");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(read_all(), 1);
        assert_int_equal(devices[0].use_count, 2);
        assert_int_equal(devices[0].uses[1].pid, 200);
        assert_int_equal(devices[0].uses[1].bytes, 7000);
    }
    gpu_nvml.close(opened.self);
    /* A process that ended meanwhile is in both: then neither is odd. */
    assert_int_equal(read_one(ONE MEMORY "0.compute=100:5000 999:7000\n")->use_count, 2);
}

static void test_lost(void **state)
{
    (void)state;
    open_library("WHARF_FAKE_LIB", "count=2\n0.uuid=GPU-1\n1.uuid=GPU-2\n0.total=9\n0.free=9\n"
                                   "1.total=9\n1.free=9\n");
    gpu_script("count=2\n0.lost=1\n0.total=9\n0.free=9\n1.total=9\n1.free=9\n");
    assert_int_equal(read_all(), 2);
    assert_true(devices[0].lost);
    assert_string_equal(devices[0].uuid, "GPU-1");
    assert_int_equal(devices[0].known, GPU_INDEX);
    assert_false(devices[1].lost);
    /* Also in the middle of a reading. */
    gpu_script("count=2\n0.total=9\n0.free=9\n1.total=9\n1.free=9\nnvmlDeviceGetPowerUsage=15\n");
    assert_int_equal(read_all(), 2);
    assert_true(devices[0].lost && devices[1].lost);
    assert_int_equal(devices[1].known, GPU_INDEX);
    gpu_script("count=2\n0.total=9\n0.free=9\n1.total=9\n1.free=9\nnvmlDeviceGetPowerUsage=16\n");
    assert_int_equal(read_all(), 2);
    assert_non_null(strstr(devices[0].problem, "reset"));
    gpu_nvml.close(opened.self);
    /* One that is lost before the library is opened is left out; the other one is read. */
    open_library("WHARF_FAKE_LIB", "count=2\n0.lost=1\n1.uuid=GPU-2\n1.total=9\n1.free=9\n");
    assert_int_equal(read_all(), 1);
    assert_string_equal(devices[0].uuid, "GPU-2");
    assert_non_null(strstr(opened.text, "15"));
    gpu_nvml.close(opened.self);
}

static void test_critical_errors(void **state)
{
    (void)state;
    open_library("WHARF_FAKE_LIB", ONE MEMORY "0.xids=4\n0.xid=13\n");
    assert_int_equal(read_all(), 1);
    assert_int_equal(devices[0].error_count, 0);
    gpu_script(ONE MEMORY "0.xids=6\n0.xid=79\n");
    read_all();
    assert_int_equal(devices[0].error_count, 2);
    assert_int_equal(devices[0].error_last, 79);
    gpu_nvml.close(opened.self);
    assert_int_equal(read_one(ONE MEMORY "nvmlEventSetCreate=3\n0.xids=1\n")->error_count, 0);
}

static void test_not_there(void **state)
{
    static const struct {
        const char *nvml_path, *script;
        enum gpu_state state;
        const char *text;
    } cases[] = {
        {"libwharf-no-such.so.1", "", GPU_NONE, "no NVIDIA driver"},
        {NULL, "init=9\n", GPU_WAITING, "not loaded"},
        {NULL, "init=18\n", GPU_WAITING, "restart of the machine"},
        {NULL, "init=4\n", GPU_WAITING, "may not be used"},
        {NULL, "init=12\n", GPU_WAITING, "missing"},
        {NULL, "init=999\n", GPU_WAITING, "nvmlInit_v2 fails with 999"},
        {NULL, "nvmlDeviceGetCount_v2=999\n", GPU_WAITING, "nvmlDeviceGetCount_v2 fails with 999"},
        {NULL, "count=0\n", GPU_NONE, "has no GPU"},
        {NULL, "count=1\n0.lost=1\n", GPU_WAITING, "device 0 fails with 15"},
        {"libc.so.6", "", GPU_WAITING, "fails with 13"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct gpu_place place = {.root = gpu_root,
                                  .nvml_path = cases[i].nvml_path ? cases[i].nvml_path
                                                                  : getenv("WHARF_FAKE_LIB")};
        gpu_script(cases[i].script);
        gpu_nvml.open(&place, &opened);
        if (opened.state != cases[i].state || !strstr(opened.text, cases[i].text) || opened.self)
            fail_msg("case %zu: state %d, text '%s'", i, (int)opened.state, opened.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_memory_is_told_apart_from_the_reserve),
        cmocka_unit_test(test_an_old_library),
        cmocka_unit_test(test_the_second_version_of_memory_may_fail),
        cmocka_unit_test(test_gauges),
        cmocka_unit_test(test_no_memory_of_its_own),
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_uses_that_are_not_known),
        cmocka_unit_test(test_in_a_container),
        cmocka_unit_test(test_many_processes),
        cmocka_unit_test(test_an_odd_third_version),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_critical_errors),
        cmocka_unit_test(test_not_there),
    };
    return cmocka_run_group_tests_name("gpu_nvml", tests, setup, gpu_remove_root);
}
