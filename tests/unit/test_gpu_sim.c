/* The simulated GPU: claims count while their holder lives, and what can't be read is an error. */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/pure/units.h"
#include "gpu/sim.h"

static char root[] = "/tmp/wharf-sim-XXXXXX";
static char folder[64];

static int make_root(void **state)
{
    (void)state;
    if (!mkdtemp(root))
        return -1;
    snprintf(folder, sizeof(folder), "%s/deep/gpu", root);
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static int fresh_folder(void **state)
{
    struct err err = {0};
    if (remove_root(state) != 0 || mkdir(root, 0700) != 0)
        return -1;
    return sim_create(folder, 24 * GIB, &err);
}

static void write_file(const char *name, const char *text, size_t n)
{
    auto_free char *path = alloc_printf("%s/%s", folder, name);
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
}

static bool has_file(const char *name)
{
    auto_free char *path = alloc_printf("%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* In the child: writes and locks a claim, says so through the pipe, and lives until killed, or
 * until a failed test ends the parent. */
static void hold(const char *name, const char *text, size_t n, int ready_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto_free char *path = alloc_printf("%s/%s", folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fd < 0 || write(fd, text, n) != (ssize_t)n || fcntl(fd, F_SETLK, &lock) != 0)
        _exit(1);
    if (write(ready_fd, "y", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

/* name: NULL for the holder's own process id. */
static pid_t start_holder_named(const char *name, const char *text, size_t n)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char own[16];
        snprintf(own, sizeof(own), "%d", (int)getpid());
        hold(name ? name : own, text, n, fds[1]);
    }
    close(fds[1]);
    char byte;
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    return pid;
}

static pid_t start_holder(uint64_t bytes)
{
    char text[UNITS_TEXT_MAX];
    int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", bytes);
    return start_holder_named(NULL, text, (size_t)n);
}

static void end_holder(pid_t pid)
{
    int status = 0;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static struct sim_reading read_folder(void)
{
    struct sim_reading r;
    struct err err = {0};
    int rc = sim_read(folder, &r, &err);
    if (rc != 0)
        fail_msg("sim_read: %s", err.text);
    return r;
}

static void assert_read_fails(const char *expected)
{
    struct sim_reading r = {.used_bytes = 77, .claim_count = 7};
    struct err err = {0};
    assert_int_equal(sim_read(folder, &r, &err), -1);
    assert_true(err.set);
    if (!strstr(err.text, expected))
        fail_msg("'%s' does not hold '%s'", err.text, expected);
    assert_int_equal(r.used_bytes, 77);
    assert_int_equal(r.claim_count, 7);
}

static void test_create_writes_the_files(void **state)
{
    (void)state;
    char text[32] = "";
    auto_free char *path = alloc_printf("%s/capacity", folder);
    auto_close int fd = open(path, O_RDONLY);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "25769803776\n");
    assert_true(has_file("lock"));
    struct sim_reading r = read_folder();
    assert_int_equal(r.used_bytes, 0);
    assert_int_equal(r.claim_count, 0);
}

static void test_claims_count_while_the_holder_lives(void **state)
{
    (void)state;
    pid_t first = start_holder(8 * GIB), second = start_holder(2 * GIB);
    struct sim_reading r = read_folder();
    assert_int_equal(r.used_bytes, 10 * GIB);
    assert_int_equal(r.claim_count, 2);
    bool ascending = first < second;
    assert_int_equal(r.claims[0].pid, ascending ? first : second);
    assert_int_equal(r.claims[0].bytes, ascending ? 8 * GIB : 2 * GIB);
    assert_int_equal(r.claims[1].pid, ascending ? second : first);

    end_holder(first);
    r = read_folder();
    assert_int_equal(r.used_bytes, 2 * GIB);
    assert_int_equal(r.claim_count, 1);
    assert_int_equal(r.claims[0].pid, second);
    end_holder(second);
    assert_int_equal(read_folder().used_bytes, 0);
}

static void test_the_lock_names_the_holder_not_the_file(void **state)
{
    (void)state;
    pid_t pid = start_holder_named("1", "500", 3);
    struct sim_reading r = read_folder();
    assert_int_equal(r.claim_count, 1);
    assert_int_equal(r.claims[0].pid, pid);
    assert_int_equal(r.used_bytes, 500);
    end_holder(pid);
}

static void test_as_a_reading_of_a_device(void **state)
{
    (void)state;
    struct gpu_device d;
    struct err err = {0};
    pid_t pid = start_holder(3 * GIB);
    assert_int_equal(sim_read_device(folder, 24 * GIB, &d, &err), 0);
    assert_int_equal(d.known, GPU_TOTAL | GPU_USED | GPU_USES);
    assert_int_equal(d.free_bytes, 21 * GIB);
    assert_int_equal(d.use_count, 1);
    assert_int_equal(d.uses[0].pid, pid);
    assert_int_equal(d.uses[0].bytes, 3 * GIB);
    /* More than there is: its capacity was lowered since. */
    assert_int_equal(sim_read_device(folder, 2 * GIB, &d, &err), 0);
    assert_int_equal(d.free_bytes, 0);
    end_holder(pid);
    assert_int_equal(sim_read_device("/nonexistent", GIB, &d, &err), -1);
}

static void test_dead_claims_count_for_nothing_whatever_they_hold(void **state)
{
    (void)state;
    char big[4096];
    memset(big, '9', sizeof(big));
    write_file("100", "1000", 4);
    write_file("101", "nonsense", 8);
    write_file("102", big, sizeof(big));
    assert_int_equal(read_folder().used_bytes, 0);
    assert_int_equal(read_folder().claim_count, 0);
}

static void test_files_that_are_no_claims_are_ignored(void **state)
{
    (void)state;
    pid_t pid = start_holder_named("12x", "500", 3);
    auto_free char *fifo = alloc_printf("%s/7", folder);
    auto_free char *dir = alloc_printf("%s/8", folder);
    auto_free char *link_path = alloc_printf("%s/9", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(symlink("12x", link_path), 0);
    assert_int_equal(read_folder().used_bytes, 0);
    end_holder(pid);
}

static void test_live_claims_that_cannot_be_read_are_errors(void **state)
{
    (void)state;
    char big[4096];
    memset(big, '1', sizeof(big));
    const struct {
        const char *text;
        size_t n;
        const char *error;
    } cases[] = {
        {"nonsense", 8, "not a decimal number"}, {"-5", 2, "not a decimal number"},
        {"8GiB", 4, "not a decimal number"},     {"1 2", 3, "not a decimal number"},
        {"12\0003", 4, "not a decimal number"},  {"99999999999999999999", 20, "not a decimal"},
        {big, sizeof(big), "longer than"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        pid_t pid = start_holder_named(NULL, cases[i].text, cases[i].n);
        assert_read_fails(cases[i].error);
        end_holder(pid);
        assert_int_equal(read_folder().used_bytes, 0);
    }
}

static void test_a_claim_not_written_yet_is_nothing(void **state)
{
    (void)state;
    pid_t pid = start_holder_named(NULL, "", 0);
    struct sim_reading r = read_folder();
    assert_int_equal(r.used_bytes, 0);
    assert_int_equal(r.claim_count, 1);
    end_holder(pid);
}

static void test_the_sum_goes_beyond_the_list(void **state)
{
    (void)state;
    enum { EXTRA = 3 };
    pid_t pids[SIM_CLAIMS_MAX + EXTRA];
    for (size_t i = 0; i < countof(pids); i++)
        pids[i] = start_holder(MIB);
    struct sim_reading r = read_folder();
    assert_int_equal(r.used_bytes, (SIM_CLAIMS_MAX + EXTRA) * MIB);
    assert_int_equal(r.claim_count, SIM_CLAIMS_MAX);
    for (size_t i = 0; i < countof(pids); i++)
        end_holder(pids[i]);
}

static void test_a_sum_beyond_64_bits_is_an_error(void **state)
{
    (void)state;
    pid_t pids[3];
    for (size_t i = 0; i < countof(pids); i++)
        pids[i] = start_holder((UINT64_MAX >> 1) - 1);
    assert_read_fails("64 bits");
    for (size_t i = 0; i < countof(pids); i++)
        end_holder(pids[i]);
}

static void test_create_again_removes_dead_claims_only(void **state)
{
    (void)state;
    struct err err = {0};
    pid_t pid = start_holder(GIB);
    char live[16];
    snprintf(live, sizeof(live), "%d", (int)pid);
    write_file("1", "1000", 4);
    write_file("notes", "kept", 4);
    assert_int_equal(sim_create(folder, 48 * GIB, &err), 0);
    assert_false(has_file("1"));
    assert_true(has_file("notes"));
    assert_true(has_file(live));
    assert_int_equal(read_folder().used_bytes, GIB);
    end_holder(pid);
}

static void test_create_does_not_wait_for_the_lock(void **state)
{
    (void)state;
    struct err err = {0};
    pid_t pid = start_holder_named("lock", "", 0);
    write_file("1", "1000", 4);
    assert_int_equal(sim_create(folder, GIB, &err), 0);
    assert_true(has_file("1"));
    end_holder(pid);
}

static void test_missing_folder(void **state)
{
    assert_int_equal(remove_root(state), 0);
    assert_read_fails("No such file");
    struct err err = {0};
    assert_int_equal(sim_create("/proc/no/such", GIB, &err), -1);
    assert_true(err.set);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_create_writes_the_files, fresh_folder),
        cmocka_unit_test_setup(test_claims_count_while_the_holder_lives, fresh_folder),
        cmocka_unit_test_setup(test_the_lock_names_the_holder_not_the_file, fresh_folder),
        cmocka_unit_test_setup(test_dead_claims_count_for_nothing_whatever_they_hold, fresh_folder),
        cmocka_unit_test_setup(test_files_that_are_no_claims_are_ignored, fresh_folder),
        cmocka_unit_test_setup(test_live_claims_that_cannot_be_read_are_errors, fresh_folder),
        cmocka_unit_test_setup(test_a_claim_not_written_yet_is_nothing, fresh_folder),
        cmocka_unit_test_setup(test_the_sum_goes_beyond_the_list, fresh_folder),
        cmocka_unit_test_setup(test_a_sum_beyond_64_bits_is_an_error, fresh_folder),
        cmocka_unit_test_setup(test_create_again_removes_dead_claims_only, fresh_folder),
        cmocka_unit_test_setup(test_create_does_not_wait_for_the_lock, fresh_folder),
        cmocka_unit_test_setup(test_missing_folder, fresh_folder),
        cmocka_unit_test_setup(test_as_a_reading_of_a_device, fresh_folder),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
