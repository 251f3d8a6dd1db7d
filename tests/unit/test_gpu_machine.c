/* What the machine is, from a tree of files such as Linux shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/pure/check.h"
#include "gpu/machine.h"

static char root[64];
static struct machine machine;

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/wharf-machine-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

/* Makes the file, with the folders that it is in. */
static void put(const char *path, const char *text)
{
    char name[256];
    snprintf(name, sizeof(name), "%s%s", root, path);
    for (char *p = name + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(name, 0700);
        *p = '/';
    }
    FILE *f = fopen(name, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void test_os_release(void **state)
{
    (void)state;
    machine_parse_os_release("PRETTY_NAME=\"Debian GNU/Linux 12\"\nNAME=\"Debian GNU/Linux\"\n"
                             "VERSION_ID=\"12\"\nID=debian\n",
                             &machine);
    assert_string_equal(machine.os_name, "Debian GNU/Linux");
    assert_string_equal(machine.os_version, "12");
    machine_parse_os_release("NAME=Arch\n", &machine);
    assert_string_equal(machine.os_name, "Arch");
    assert_string_equal(machine.os_version, "");
    machine_parse_os_release("", &machine);
    assert_string_equal(machine.os_name, "Linux");
}

#define THREAD(n, socket)                                                                          \
    "processor\t: " n "\nvendor_id\t: GenuineIntel\nmodel name\t: A CPU @ 2 GHz\n"                 \
    "physical id\t: " socket "\ncpu cores\t: 2\nflags\t\t: fpu hypervisor sse\n\n"

static void test_cpuinfo(void **state)
{
    (void)state;
    machine_parse_cpuinfo(THREAD("0", "0") THREAD("1", "3") THREAD("2", "0") THREAD("3", "3")
                              THREAD("4", "0") THREAD("5", "3") THREAD("6", "0") THREAD("7", "3"),
                          &machine);
    assert_int_equal(machine.sockets, 2);
    assert_int_equal(machine.cores, 4);
    assert_int_equal(machine.threads, 8);
    assert_string_equal(machine.cpu_vendor, "GenuineIntel");
    assert_string_equal(machine.cpu_model, "A CPU @ 2 GHz");
    machine_parse_cpuinfo("processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\n", &machine);
    assert_int_equal(machine.sockets, 0);
    assert_int_equal(machine.cores, 2);
    assert_string_equal(machine.cpu_model, "");
}

static void test_tree(void **state)
{
    (void)state;
    put("/proc/cpuinfo", THREAD("0", "0") THREAD("1", "0"));
    put("/proc/meminfo", "MemTotal: 2048 kB\nMemFree: 1024 kB\n");
    put("/usr/lib/os-release", "NAME=Fedora\nVERSION_ID=40\n");
    put("/proc/driver/nvidia/gpus/0000:01:00.0/information",
        "Model: \t\t NVIDIA H200\nIRQ:   \t 57\nGPU UUID: \t GPU-1\n");
    put("/sys/module/nvidia/version", "550.54.15\n");
    put("/sys/class/drm/card0/device/vendor", "0x10de\n");
    put("/sys/class/drm/card1/device/vendor", "0x1002\n");
    put("/sys/class/drm/card1/device/device", "0x74a1\n");
    put("/sys/class/drm/card1/device/mem_info_vram_total", "68702699520\n");
    put("/sys/class/drm/card1-HDMI-A-1/device/vendor", "0x1002\n");
    machine_read(root, &machine);
    assert_string_equal(machine.os_name, "Fedora");
    assert_string_equal(machine.environment, "virtual_machine");
    assert_int_equal(machine.memory_bytes, 2048 * 1024);
    assert_int_equal(machine.accelerator_count, 2);
    assert_string_equal(machine.accelerators[0].vendor, "NVIDIA");
    assert_string_equal(machine.accelerators[0].model, "NVIDIA H200");
    assert_string_equal(machine.accelerators[0].driver_version, "550.54.15");
    assert_int_equal(machine.accelerators[0].memory_bytes, 0);
    assert_string_equal(machine.accelerators[1].vendor, "AMD");
    assert_string_equal(machine.accelerators[1].model, "PCI 1002:74a1");
    assert_int_equal(machine.accelerators[1].memory_bytes, 68702699520);

    put("/sys/fs/cgroup/memory.max", "max\n");
    put("/.dockerenv", "");
    machine_read(root, &machine);
    assert_int_equal(machine.memory_bytes, 2048 * 1024);
    assert_string_equal(machine.environment, "container");
    assert_string_equal(machine.environment_name, "docker");
    put("/sys/fs/cgroup/memory.max", "1048576\n");
    put("/proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n");
    machine_read(root, &machine);
    assert_int_equal(machine.memory_bytes, 1048576);
    assert_string_equal(machine.environment, "wsl");
}

static void test_empty_tree(void **state)
{
    (void)state;
    machine_read(root, &machine);
    assert_string_equal(machine.os_name, "Linux");
    assert_string_equal(machine.environment, "native");
    assert_int_equal(machine.threads, 0);
    assert_int_equal(machine.memory_bytes, 0);
    assert_int_equal(machine.accelerator_count, 0);
    assert_true(machine.kernel[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_os_release),
        cmocka_unit_test(test_cpuinfo),
        cmocka_unit_test_setup_teardown(test_tree, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_empty_tree, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
