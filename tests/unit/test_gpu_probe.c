/* The probe process: questions in, reports out, and what it says where there is nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/pure/check.h"
#include "gpu/probe.h"
#include "gpu_files.h"

#define ONE "count=1\n0.uuid=GPU-1\n0.name=A\n0.pci=00000000:01:00.0\n0.total=100\n0.free=40\n"

static struct gpu_report report;

static struct gpu_place place(void)
{
    return (struct gpu_place){.root = gpu_root, .nvml_path = getenv("WHARF_FAKE_LIB")};
}

static int setup(void **state)
{
    int rc = gpu_make_root(state);
    gpu_first_namespace();
    return rc;
}

static size_t ask(int fd, uint64_t number)
{
    struct gpu_question q;
    wire_init_question(&q, number);
    assert_int_equal(send(fd, &q, sizeof(q), MSG_NOSIGNAL), sizeof(q));
    ssize_t n = recv(fd, &report, sizeof(report), 0);
    return n > 0 ? (size_t)n : 0;
}

/* The child that serves; its socket here. */
static pid_t start(int *ret_fd)
{
    int pair[2];
    struct gpu_place where = place();
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        exit(probe_serve(pair[1], &where));
    }
    close(pair[1]);
    *ret_fd = pair[0];
    return pid;
}

static int status_of(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_question_and_report(void **state)
{
    int fd;
    (void)state;
    gpu_script(ONE);
    pid_t pid = start(&fd);
    for (uint64_t k = 1; k < 4; k++) {
        size_t n = ask(fd, k * 7);
        assert_true(wire_check_report(&report, n));
        assert_int_equal(report.number, k * 7);
        assert_int_equal(report.device_count, 1);
        assert_int_equal(report.devices[0].used_bytes, 60);
        assert_false(report.final);
        assert_string_equal(report.text, "");
    }
    close(fd);
    assert_int_equal(status_of(pid), 0);
}

/* The largest report there is goes in one piece. */
static void test_sixteen_gpus(void **state)
{
    char script[4096];
    int fd;
    size_t n = (size_t)snprintf(script, sizeof(script), "count=16\n");
    (void)state;
    for (int i = 0; i < GPU_DEVICES_MAX; i++)
        n += (size_t)snprintf(script + n, sizeof(script) - n,
                              "%d.uuid=GPU-%d\n%d.total=9\n%d.free=%d\n", i, i, i, i, i % 9);
    gpu_script(script);
    pid_t pid = start(&fd);
    n = ask(fd, 1);
    assert_int_equal(n, sizeof(report));
    assert_true(wire_check_report(&report, n));
    assert_int_equal(report.device_count, GPU_DEVICES_MAX);
    assert_string_equal(report.devices[15].uuid, "GPU-15");
    assert_int_equal(report.devices[15].free_bytes, 6);
    close(fd);
    assert_int_equal(status_of(pid), 0);
}

static void test_nothing_to_read_is_final(void **state)
{
    int fd;
    (void)state;
    gpu_script("count=0\n");
    pid_t pid = start(&fd);
    size_t n = ask(fd, 1);
    assert_true(wire_check_report(&report, n));
    assert_true(report.final);
    assert_int_equal(report.device_count, 0);
    assert_non_null(strstr(report.text, "NVML: the driver has no GPU; no AMD or Intel GPU"));
    assert_int_equal(status_of(pid), 0);
    close(fd);
}

static void test_what_may_come_is_not_final(void **state)
{
    int fd;
    (void)state;
    gpu_script("init=9\n");
    pid_t pid = start(&fd);
    assert_true(wire_check_report(&report, ask(fd, 1)));
    assert_false(report.final);
    assert_non_null(strstr(report.text, "not loaded"));
    close(fd);
    assert_int_equal(status_of(pid), 0);
}

static void test_nonsense_ends_it(void **state)
{
    int fd;
    (void)state;
    pid_t pid = start(&fd);
    assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
    assert_int_equal(status_of(pid), 0);
    close(fd);
}

static void test_it_can_be_killed_while_a_driver_hangs(void **state)
{
    int fd;
    struct gpu_question q;
    struct pollfd p = {.events = POLLIN};
    (void)state;
    gpu_script(ONE "hang=nvmlDeviceGetMemoryInfo_v2\n");
    pid_t pid = start(&fd);
    p.fd = fd;
    wire_init_question(&q, 1);
    assert_int_equal(send(fd, &q, sizeof(q), MSG_NOSIGNAL), sizeof(q));
    assert_int_equal(poll(&p, 1, 100), 0);
    kill(pid, SIGKILL);
    assert_true(WIFSIGNALED(status_of(pid)));
    close(fd);
}

/* As the daemon starts it: as a program whose stdin is no such socket. */
static void test_it_is_no_command(void **state)
{
    (void)state;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(STDIN_FILENO);
        close(STDERR_FILENO);
        exit(probe_main());
    }
    assert_int_equal(WEXITSTATUS(status_of(pid)), 2);
}

static void test_the_process_keeps_its_socket_alone(void **state)
{
    int pair[2], other[2];
    char c;
    (void)state;
    gpu_script(ONE);
    setenv("WHARF_GPU_ROOT", gpu_root, 1);
    setenv("WHARF_NVML", getenv("WHARF_FAKE_LIB"), 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(pipe(other), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pair[1], STDIN_FILENO);
        exit(probe_main());
    }
    close(pair[1]);
    close(other[1]);
    assert_true(wire_check_report(&report, ask(pair[0], 5)));
    /* Nobody has the other end of the pipe any more. */
    assert_int_equal(read(other[0], &c, 1), 0);
    close(pair[0]);
    assert_int_equal(status_of(pid), 0);
    close(other[0]);
    unsetenv("WHARF_GPU_ROOT");
    unsetenv("WHARF_NVML");
    assert_string_equal(probe_place().nvml_path, "libnvidia-ml.so.1");
    assert_string_equal(probe_place().root, "");
}

static void spoil_magic(struct gpu_report *r)
{
    r->magic++;
}
static void spoil_version(struct gpu_report *r)
{
    r->version++;
}
static void spoil_size(struct gpu_report *r)
{
    r->device_bytes++;
}
static void spoil_count(struct gpu_report *r)
{
    r->device_count = GPU_DEVICES_MAX + 1;
}
static void spoil_fewer(struct gpu_report *r)
{
    r->device_count = 0;
}
static void spoil_source(struct gpu_report *r)
{
    r->devices[0].source = GPU_SOURCE__COUNT;
}
static void spoil_uses(struct gpu_report *r)
{
    r->devices[0].use_count = GPU_USES_MAX + 1;
}
static void spoil_text(struct gpu_report *r)
{
    memset(r->text, 'x', sizeof(r->text));
}
static void spoil_name(struct gpu_report *r)
{
    memset(r->devices[0].name, 'x', sizeof(r->devices[0].name));
}

static void test_reports_are_checked(void **state)
{
    static void (*const spoil[])(struct gpu_report * r) = {spoil_magic, spoil_version, spoil_size,
                                                           spoil_count, spoil_fewer,   spoil_source,
                                                           spoil_uses,  spoil_text,    spoil_name};
    const struct gpu_report good = {.magic = WIRE_MAGIC,
                                    .version = WIRE_VERSION,
                                    .device_bytes = sizeof(good.devices[0]),
                                    .device_count = 1};
    struct gpu_question q;
    (void)state;
    report = good;
    size_t n = wire_report_bytes(&report);
    assert_true(wire_check_report(&report, n));
    assert_false(wire_check_report(&report, n - 1));
    assert_false(wire_check_report(&report, 8));
    for (size_t i = 0; i < countof(spoil); i++) {
        report = good;
        spoil[i](&report);
        if (wire_check_report(&report, n))
            fail_msg("case %zu is taken for a report", i);
    }
    wire_init_question(&q, 1);
    assert_true(wire_check_question(&q, sizeof(q)));
    assert_false(wire_check_question(&q, sizeof(q) - 1));
    q.version++;
    assert_false(wire_check_question(&q, sizeof(q)));
}

static void test_processes_are_named_for_good(void **state)
{
    struct gpu_place where = place();
    (void)state;
    gpu_script(ONE "0.compute=100:5 200:6 300:7\n");
    gpu_put("/proc/100/stat",
            "100 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20\n");
    gpu_put("/proc/200/stat", "200 (short) S 1 2\n");
    struct probe *p = probe_new(&where);
    probe_read(p, &report);
    probe_free(p);
    assert_int_equal(report.devices[0].use_count, 3);
    assert_int_equal(report.devices[0].uses[0].start_ticks, 4711);
    assert_int_equal(report.devices[0].uses[1].start_ticks, 0);
    assert_int_equal(report.devices[0].uses[2].start_ticks, 0);
}

static void test_words(void **state)
{
    struct gpu_device a = {.uuid = "GPU-1", .pci = "0000:01:00.0"}, b = a;
    char pci[GPU_PCI_MAX], text[6];
    (void)state;
    assert_true(gpu_same(&a, &b));
    snprintf(b.uuid, sizeof(b.uuid), "GPU-2");
    assert_false(gpu_same(&a, &b));
    b.uuid[0] = '\0';
    assert_true(gpu_same(&a, &b));
    b.pci[0] = a.pci[0] = '\0';
    assert_false(gpu_same(&a, &b));
    gpu_set_pci(pci, "odd");
    assert_string_equal(pci, "odd");
    gpu_set_pci(pci, "00000001:C1:1F.7");
    assert_string_equal(pci, "0001:c1:1f.7");
    gpu_set_text(text, sizeof(text), "a\nbcdefg");
    assert_string_equal(text, "a?bcd");
    assert_string_equal(gpu_source_text(GPU_INTEL), "Intel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question_and_report),
        cmocka_unit_test(test_sixteen_gpus),
        cmocka_unit_test(test_nothing_to_read_is_final),
        cmocka_unit_test(test_what_may_come_is_not_final),
        cmocka_unit_test(test_nonsense_ends_it),
        cmocka_unit_test(test_it_can_be_killed_while_a_driver_hangs),
        cmocka_unit_test(test_it_is_no_command),
        cmocka_unit_test(test_the_process_keeps_its_socket_alone),
        cmocka_unit_test(test_reports_are_checked),
        cmocka_unit_test(test_processes_are_named_for_good),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests_name("gpu_probe", tests, setup, gpu_remove_root);
}
