/* cmd_submit.c: `wharf submit --vram SIZE -- CMD…`: `wharf run`, detached. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/job/front.h"
#include "cli/job/record.h"
#include "cli/output.h"

/* What the detached process tells the one that was called. */
struct outcome {
    int status;
    uint32_t id;
};

/* The job as its own process has it. */
struct submitted {
    struct hold hold;
    struct record record;
    int tell; /* a socket; -1 once it was told */
};

static void on_line(void *arg)
{
    struct submitted *j = arg;
    record_lease(&j->record, &j->hold);
}

static int move_output(const struct record *r)
{
    auto_free char *path = alloc_printf("%s/log", r->folder);
    auto_close int log =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
    auto_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0)
        return -1;
    return 0;
}

/* False when nobody is there any more to hear it. */
static bool tell(struct submitted *j, int status)
{
    const struct outcome o = {.status = status, .id = j->record.id};
    bool was_heard = j->tell < 0 || send(j->tell, &o, sizeof(o), MSG_NOSIGNAL) == sizeof(o);
    if (j->tell >= 0)
        close(j->tell);
    j->tell = -1;
    return was_heard;
}

/* The lease's first line has come: from here on the job is its own. */
static int detach(struct submitted *j)
{
    struct err e = {.set = false};
    if (record_make(&j->hold, &j->record, &e) < 0) {
        output_complain("%s", e.text);
        return CLI_FAILED;
    }
    if (move_output(&j->record) < 0) {
        output_complain("cannot write %s/log: %s", j->record.folder, strerror(errno));
        return CLI_FAILED;
    }
    /* From here on stdout and stderr are the job's log. */
    output_use(OUTPUT_TEXT);
    j->hold.on_terminal = false;
    j->hold.on_line = on_line;
    j->hold.arg = j;
    return tell(j, CLI_DONE) ? CLI_DONE : CLI_FAILED;
}

static int run_detached(const struct session *s, const struct job_ask *ask, int socket)
{
    struct submitted j = {.record = {.lock_fd = -1}, .tell = socket};
    struct front_end end = {.was_run = false};
    hold_init(&j.hold, s, ask);
    int status = hold_ask(&j.hold);
    if (status == CLI_DONE)
        status = detach(&j);
    if (status == CLI_DONE)
        status = hold_wait(&j.hold);
    if (status == CLI_DONE) {
        front_run(&j.hold, true, &end);
        status = end.was_run ? CLI_DONE : end.status;
    }
    end.was_cancelled = end.was_cancelled || session_interrupted();
    hold_fini(&j.hold);
    if (j.record.json)
        record_end(&j.record, &end, status);
    record_fini(&j.record);
    if (status != CLI_DONE)
        output_failure(status == CLI_USAGE);
    (void)tell(&j, status);
    return status;
}

/* Twice forked and in a session of its own, so that no terminal is or becomes its. */
static _Noreturn void become_detached(const struct session *s, const struct job_ask *ask,
                                      int socket)
{
    pid_t pid = setsid() < 0 ? -1 : fork();
    if (pid != 0)
        _exit(pid < 0 ? CLI_FAILED : CLI_DONE);
    _exit(run_detached(s, ask, socket));
}

static int submit(const struct session *s, const struct job_ask *ask, bool wants_json)
{
    int pair[2];
    struct outcome o = {.status = CLI_FAILED};
    struct buf out = {0};
    ssize_t n;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        output_complain("cannot make a socket: %s", strerror(errno));
        return CLI_FAILED;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        become_detached(s, ask, pair[1]);
    }
    close(pair[1]);
    do
        n = recv(pair[0], &o, sizeof(o), 0);
    while (n < 0 && errno == EINTR && !session_interrupted());
    close(pair[0]);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    if (n != (ssize_t)sizeof(o) || o.status != CLI_DONE)
        return o.status;
    buf_printf(&out, wants_json ? "{\"id\":%u}\n" : "%u\n", o.id);
    output_safe(&out);
    buf_fini(&out);
    return CLI_DONE;
}

static int run(const struct cli_args *args)
{
    struct session s;
    struct job_ask ask;
    int status = job_ask_read(args, &ask);
    if (status == CLI_DONE)
        status = session_open(args, &s);
    if (status == CLI_DONE)
        status = job_ask_find_command(&ask);
    if (status == CLI_DONE)
        status = submit(&s, &ask, s.wants_json);
    job_ask_fini(&ask);
    return status;
}

static const struct cli_option options[] = {JOB_OPTIONS};

const struct cli_command cmd_submit = {
    .name = "submit",
    .summary = "run a command as `wharf run` does, in the background",
    .description =
        "As `wharf run`, but returns as soon as the daemon has taken the job in, and prints its "
        "number. The job belongs to its user, and to neither the terminal nor the daemon: it goes "
        "on when those end, and one that still waits asks again when the daemon is back. What it "
        "writes is kept in a log, its input is empty, and it runs in the present folder with the "
        "present environment. `wharf jobs` lists jobs, shows their logs and ends them.",
    .operand = "CMD",
    .operands_min = 1,
    .operands_max = UINT32_MAX,
    .operand_takes = {CLI_A_PROGRAM},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .first_operand_ends = true,
    .examples = {{"wharf submit --vram 6GiB -- python train.py", "queue it, and print its number"},
                 {"wharf submit --vram 6GiB --run 20m --class background -- ./evaluate",
                  "it ends within 20 minutes, and may pass large jobs that cannot start yet"}},
    .run = run,
};
