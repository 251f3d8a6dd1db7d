/* AMD's and Intel's GPUs, from a tree of files such as Linux shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/pure/check.h"
#include "gpu/drm.h"
#include "gpu/fdinfo.h"
#include "gpu_files.h"

#define CARD "/sys/class/drm/card"

static struct gpu_opened opened;
static struct gpu_device devices[4];

static void put_card(int n, const char *vendor, const char *driver, const char *pci)
{
    char path[160], target[160];
    snprintf(path, sizeof(path), "/sys/devices/%s/vendor", pci);
    gpu_put(path, vendor);
    snprintf(path, sizeof(path), "/sys/devices/%s/driver", pci);
    snprintf(target, sizeof(target), "/sys/bus/pci/drivers/%s", driver);
    gpu_link(path, target);
    snprintf(path, sizeof(path), CARD "%d/device", n);
    snprintf(target, sizeof(target), "../../../devices/%s", pci);
    gpu_link(path, target);
    snprintf(path, sizeof(path), CARD "%d-HDMI-A-1/status", n);
    gpu_put(path, "connected\n");
}

/* A file of the device at that address. */
static void put(const char *pci, const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof(path), "/sys/devices/%s/%s", pci, name);
    gpu_put(path, text);
}

static void put_fd(int pid, int fd, const char *target, const char *text)
{
    char path[100];
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
    gpu_link(path, target);
    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
    gpu_put(path, text);
}

static int setup(void **state)
{
    int rc = gpu_make_root(state);
    gpu_first_namespace();
    gpu_put("/proc/meminfo", "MemTotal: 64000 kB\nMemFree: 1000 kB\nMemAvailable: 8000 kB\n");
    put_card(1, "0x1002\n", "amdgpu", "0000:0c:00.0");
    put("0000:0c:00.0", "mem_info_vram_total", "17163091968\n");
    put("0000:0c:00.0", "mem_info_vram_used", "1163091968\n");
    put("0000:0c:00.0", "gpu_busy_percent", "37\n");
    put("0000:0c:00.0", "mem_busy_percent", "4\n");
    put("0000:0c:00.0", "product_name", "Radeon Pro W7800\n");
    put("0000:0c:00.0", "unique_id", "abcdef0123456789\n");
    put("0000:0c:00.0", "hwmon/hwmon5/temp1_input", "45000\n");
    put("0000:0c:00.0", "hwmon/hwmon5/temp3_input", "62000\n");
    put("0000:0c:00.0", "hwmon/hwmon5/power1_average", "23000000\n");
    put("0000:0c:00.0", "hwmon/hwmon5/power1_cap", "260000000\n");
    put("0000:0c:00.0", "hwmon/hwmon5/pwm1", "51\n");
    put_card(0, "0x1002\n", "amdgpu", "0000:03:00.0");
    put_card(2, "0x8086\n", "i915", "0000:00:02.0");
    put_card(3, "0x8086\n", "xe", "0000:04:00.0");
    put_card(4, "0x10de\n", "nvidia", "0000:05:00.0");
    return rc;
}

static void open_all(void)
{
    struct gpu_place place = {.root = gpu_root};
    gpu_drm.open(&place, &opened);
    assert_int_equal(opened.state, GPU_READING);
}

static uint32_t read_all(void)
{
    bool ok = false;
    memset(devices, 0x5a, sizeof(devices));
    uint32_t count = gpu_drm.read(opened.self, devices, countof(devices), &ok);
    assert_true(ok);
    return count;
}

/* By PCI address. */
enum { INTEGRATED, SMALL, XE, LARGE };

static void test_all_of_amd_and_intel(void **state)
{
    (void)state;
    open_all();
    assert_int_equal(read_all(), 4);
    assert_string_equal(devices[INTEGRATED].pci, "0000:00:02.0");
    assert_string_equal(devices[LARGE].pci, "0000:0c:00.0");
    assert_string_equal(devices[LARGE].name, "Radeon Pro W7800");
    assert_string_equal(devices[LARGE].uuid, "GPU-abcdef0123456789");
    assert_string_equal(devices[LARGE].driver, "amdgpu");
    assert_int_equal(devices[SMALL].index, 0);
    assert_int_equal(devices[LARGE].index, 1);
    assert_string_equal(devices[SMALL].name, "AMD GPU at 0000:03:00.0");
    assert_string_equal(devices[SMALL].uuid, "");
    gpu_drm.close(opened.self);
}

static void test_readings_of_amd(void **state)
{
    const uint32_t all = GPU_TOTAL | GPU_USED | GPU_UTILISATION | GPU_MEMORY_UTILISATION |
                         GPU_TEMPERATURE | GPU_MEMORY_TEMPERATURE | GPU_POWER | GPU_POWER_LIMIT |
                         GPU_FAN | GPU_USES | GPU_INDEX;
    (void)state;
    open_all();
    read_all();
    const struct gpu_device *d = &devices[LARGE];
    assert_int_equal(d->known, all);
    assert_int_equal(d->total_bytes, 17163091968);
    assert_int_equal(d->used_bytes, 1163091968);
    assert_int_equal(d->free_bytes, 16000000000);
    assert_int_equal(d->utilisation_percent, 37);
    assert_int_equal(d->memory_utilisation_percent, 4);
    assert_int_equal(d->temperature_c, 45);
    assert_int_equal(d->memory_temperature_c, 62);
    assert_int_equal(d->power_mw, 23000);
    assert_int_equal(d->power_limit_mw, 260000);
    assert_int_equal(d->fan_percent, 20);
    /* The other one says nothing. */
    assert_int_equal(devices[SMALL].known, GPU_USES | GPU_INDEX);
    assert_non_null(strstr(devices[SMALL].problem, "how full"));
    gpu_drm.close(opened.self);
}

static void test_readings_of_intel(void **state)
{
    (void)state;
    open_all();
    read_all();
    assert_true(devices[INTEGRATED].unified);
    assert_int_equal(devices[INTEGRATED].total_bytes, 64000 * 1024);
    assert_int_equal(devices[INTEGRATED].free_bytes, 8000 * 1024);
    assert_false(devices[XE].unified);
    assert_int_equal(devices[XE].known & (GPU_TOTAL | GPU_USED), 0);
    assert_true(devices[XE].problem[0]);
    gpu_drm.close(opened.self);
}

/* Values that are none are unknown. */
static void test_nonsense(void **state)
{
    (void)state;
    put("0000:03:00.0", "gpu_busy_percent", "250\n");
    put("0000:03:00.0", "mem_info_vram_total", "much\n");
    put("0000:03:00.0", "hwmon/hwmon7/pwm1", "300\n");
    put("0000:03:00.0", "hwmon/hwmon7/pwm1_max", "0\n");
    put("0000:03:00.0", "hwmon/hwmon7/power1_input", "5000000\n");
    open_all();
    read_all();
    assert_int_equal(devices[SMALL].known, GPU_USES | GPU_INDEX | GPU_FAN | GPU_POWER);
    assert_int_equal(devices[SMALL].fan_percent, 100);
    assert_int_equal(devices[SMALL].power_mw, 5000);
    gpu_drm.close(opened.self);
}

#define CLIENT(id, pci, more)                                                                      \
    "pos: 0\ndrm-driver: amdgpu\ndrm-pdev: " pci "\ndrm-client-id: " id "\n" more

static void test_processes(void **state)
{
    (void)state;
    put_fd(300, 4, "/dev/dri/renderD128",
           CLIENT("7", "0000:0c:00.0", "drm-memory-vram: 100 KiB\n"));
    /* The same client by another descriptor, and a second one. */
    put_fd(300, 5, "/dev/dri/renderD128",
           CLIENT("7", "0000:0c:00.0", "drm-memory-vram: 100 KiB\n"));
    put_fd(300, 6, "/dev/dri/renderD128", CLIENT("8", "0000:0c:00.0", "drm-memory-vram: 1 MiB\n"));
    put_fd(300, 7, "/tmp/file", CLIENT("9", "0000:0c:00.0", "drm-memory-vram: 900 MiB\n"));
    put_fd(301, 3, "/dev/dri/card1", CLIENT("3", "0000:0c:00.0", "drm-memory-gtt: 5 MiB\n"));
    put_fd(302, 3, "/dev/dri/card0",
           CLIENT("1", "0000:00:02.0", "drm-total-system0: 3 MiB\ndrm-resident-system0: 2 MiB\n"));
    put_fd(303, 3, "/dev/dri/card0", CLIENT("1", "0000:99:00.0", "drm-memory-vram: 2 MiB\n"));
    open_all();
    read_all();
    assert_int_equal(devices[LARGE].use_count, 1);
    assert_int_equal(devices[LARGE].uses[0].pid, 300);
    assert_int_equal(devices[LARGE].uses[0].bytes, (1024 + 100) * 1024);
    assert_int_equal(devices[INTEGRATED].use_count, 1);
    assert_int_equal(devices[INTEGRATED].uses[0].pid, 302);
    assert_int_equal(devices[INTEGRATED].uses[0].bytes, 2 << 20);
    gpu_drm.close(opened.self);
}

/* ROCm's share is where AMD's compute driver says it. */
static void test_compute_processes(void **state)
{
    (void)state;
    gpu_put("/sys/class/kfd/kfd/topology/nodes/0/properties",
            "cpu_cores_count 16\nlocation_id 0\n");
    gpu_put("/sys/class/kfd/kfd/topology/nodes/0/gpu_id", "0\n");
    gpu_put("/sys/class/kfd/kfd/topology/nodes/1/properties",
            "simd_count 280\nlocation_id 3072\ndomain 0\n");
    gpu_put("/sys/class/kfd/kfd/topology/nodes/1/gpu_id", "4660\n");
    gpu_put("/sys/class/kfd/kfd/proc/300/vram_4660", "1000\n");
    gpu_put("/sys/class/kfd/kfd/proc/400/vram_4660", "123456789\n");
    gpu_put("/sys/class/kfd/kfd/proc/400/vram_1", "5\n");
    open_all();
    read_all();
    assert_int_equal(devices[LARGE].use_count, 2);
    assert_int_equal(devices[LARGE].uses[0].bytes, (1024 + 100) * 1024);
    assert_int_equal(devices[LARGE].uses[1].pid, 400);
    assert_int_equal(devices[LARGE].uses[1].bytes, 123456789);
    gpu_drm.close(opened.self);
    /* Its numbers are the host's. */
    gpu_link("/proc/self/ns/pid", "pid:[4026533000]");
    open_all();
    read_all();
    assert_int_equal(devices[LARGE].use_count, 1);
    gpu_drm.close(opened.self);
    gpu_first_namespace();
}

static void test_lost(void **state)
{
    char path[160];
    (void)state;
    open_all();
    snprintf(path, sizeof(path), "%s/sys/devices/0000:0c:00.0/vendor", gpu_root);
    assert_int_equal(unlink(path), 0);
    read_all();
    assert_true(devices[LARGE].lost);
    assert_int_equal(devices[LARGE].known, GPU_INDEX);
    gpu_drm.close(opened.self);
    put("0000:0c:00.0", "vendor", "0x1002\n");
}

static void test_none(void **state)
{
    struct gpu_place place = {.root = "/nonexistent"};
    (void)state;
    gpu_drm.open(&place, &opened);
    assert_int_equal(opened.state, GPU_NONE);
    assert_null(opened.self);
    assert_true(opened.text[0]);
    assert_false(drm_amd_is_integrated("/dev/null"));
    assert_false(drm_amd_is_integrated("/nonexistent"));
}

#define GIB (UINT64_C(1) << 30)

static void test_memory_that_is_shared(void **state)
{
    static const struct {
        struct amd_memory m;
        bool shares;
        uint64_t total, free;
        uint32_t known;
    } cases[] = {
        {{16 * GIB, 4 * GIB, 32 * GIB, GIB}, false, 16 * GIB, 12 * GIB, GPU_TOTAL | GPU_USED},
        /* 8000 kB of the machine's memory are available. */
        {{2 * GIB, GIB, 32 * GIB, GIB}, true, 34 * GIB, GIB + 8000 * 1024, GPU_TOTAL | GPU_USED},
        {{2 * GIB, GIB, GIB, GIB - 4096}, true, 3 * GIB, GIB + 4096, GPU_TOTAL | GPU_USED},
        {{2 * GIB, GIB, UINT64_MAX, UINT64_MAX}, true, 2 * GIB, GIB, GPU_TOTAL | GPU_USED},
        {{2 * GIB, 3 * GIB, 0, 0}, false, 2 * GIB, 0, GPU_TOTAL | GPU_USED},
        {{UINT64_MAX, GIB, 0, 0}, false, 0, 0, 0},
        {{GIB, UINT64_MAX, 0, 0}, false, 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct gpu_device d = {.known = 0};
        drm_put_amd_memory(&cases[i].m, cases[i].shares, gpu_root, &d);
        if (d.known != cases[i].known || d.total_bytes != cases[i].total ||
            d.free_bytes != cases[i].free)
            fail_msg("case %zu: known %x total %llu free %llu", i, d.known,
                     (unsigned long long)d.total_bytes, (unsigned long long)d.free_bytes);
    }
}

static void test_fdinfo(void **state)
{
    static const struct {
        const char *text;
        bool is;
        uint64_t device, system;
    } cases[] = {
        {"pos: 0\nflags: 02\n", false, 0, 0},
        {"drm-driver: amdgpu\n", true, 0, 0},
        {"drm-driver: amdgpu\ndrm-memory-vram: 12 kB\ndrm-memory-gtt: 3 KiB\n", true, 12288, 3072},
        {"drm-driver: xe\ndrm-total-vram0: 4 MiB\ndrm-resident-vram0: 3 MiB\n", true, 3 << 20, 0},
        {"drm-driver: i915\ndrm-total-local0: 7\ndrm-total-system0: 5\n", true, 7, 5},
        {"drm-driver: x\ndrm-memory-vram: 1\ndrm-total-vram: 9\n", true, 1, 0},
        {"drm-driver: x\ndrm-memory-vram: 1 furlong\n", true, 0, 0},
        {"drm-driver: x\ndrm-memory-vram: many\n", true, 0, 0},
        {"drm-driver: x\ndrm-memory-vram: 99999999999999999 GiB\n", true, 0, 0},
        {"drm-driver: x\ndrm-memory-vram: 2 GiB\ndrm-memory-cpu: 9\n", true, 2 * GIB, 0},
        {"drm-driver: x\ndrm-memory-vram: 1 KiB\ndrm-memory-vram1: 1 KiB", true, 2048, 0},
    };
    struct fdinfo info;
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        bool is = fdinfo_parse(cases[i].text, &info);
        if (is != cases[i].is ||
            (is && (info.device_bytes != cases[i].device || info.system_bytes != cases[i].system)))
            fail_msg("case %zu: %d %llu %llu", i, is, (unsigned long long)info.device_bytes,
                     (unsigned long long)info.system_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_amd_and_intel),
        cmocka_unit_test(test_readings_of_amd),
        cmocka_unit_test(test_readings_of_intel),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_compute_processes),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_memory_that_is_shared),
        cmocka_unit_test(test_fdinfo),
    };
    return cmocka_run_group_tests_name("gpu_drm", tests, setup, gpu_remove_root);
}
