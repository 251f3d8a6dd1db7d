/* cmd_run.c: `wharf run --vram SIZE -- CMD…`: a command under a lease. */
#include <sys/wait.h>

#include "cli/commands.h"
#include "cli/job/front.h"
#include "cli/output.h"

/* What became of CMD, for programs; a person sees it. */
static void tell_end(const struct front_end *end)
{
    struct buf line = {0};
    buf_text(&line, "{\"state\":\"ended\",");
    if (WIFSIGNALED(end->status))
        buf_printf(&line, "\"exit\":null,\"signal\":%d}", WTERMSIG(end->status));
    else
        buf_printf(&line, "\"exit\":%d,\"signal\":null}", WEXITSTATUS(end->status));
    output_json_line(line.data, line.len);
    buf_fini(&line);
}

static int run_job(const struct session *s, const struct job_ask *ask)
{
    struct hold hold;
    struct front_end end = {.was_run = false};
    hold_init(&hold, s, ask);
    int status = hold_ask(&hold);
    if (status == CLI_DONE)
        status = hold_wait(&hold);
    if (status == CLI_DONE)
        front_run(&hold, false, &end);
    hold_fini(&hold);
    if (end.was_run && output_mode() == OUTPUT_JSON_STDERR)
        tell_end(&end);
    return status == CLI_DONE ? front_end_as(&end) : status;
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
        status = run_job(&s, &ask);
    job_ask_fini(&ask);
    return status;
}

static const struct cli_option options[] = {
    JOB_OPTIONS,
    {.name = "ttl",
     .kind = CLI_TEXT,
     .value = "TIME",
     .takes = CLI_A_TIME,
     .help = "The lease is renewed within each such time, instead of being held by a connection: "
             "it then stands while the daemon cannot be reached for less than that. No place in "
             "the queue is shown."},
};

const struct cli_command cmd_run = {
    .name = "run",
    .summary = "run a command with memory of GPUs, or with a slot of a gate",
    .description =
        "Waits until the memory and the slots that it asks for are free together, and runs CMD "
        "with CUDA_VISIBLE_DEVICES, HIP_VISIBLE_DEVICES and WHARF_LEASE set as they were granted. "
        "CMD has the terminal, the input and the output; signals go on to it; its exit status is "
        "that of wharf run, and a signal that kills it kills wharf run too. What was granted goes "
        "back when CMD has ended, together with all that it has started and that still runs, which "
        "is then killed; also when wharf run itself is killed.\n\n"
        "A lease that is revoked, or whose --run is over, ends CMD: all its processes get the "
        "signal, and SIGKILL after the grace (of --revocable, less a fifth, 1 s at most; else 10 "
        "s). A daemon that goes away and comes back takes nothing from a job that runs; one that "
        "waits asks again.\n\n"
        "With --json, how the lease stands is told as the daemon tells it, a JSON object a line on "
        "stderr among what CMD writes there: state waiting, granted, note (with a message) or "
        "ended (with CMD's exit status or signal); or an error before CMD is begun.",
    .operand = "CMD",
    .operands_min = 1,
    .operands_max = UINT32_MAX,
    .operand_takes = {CLI_A_PROGRAM},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON_STDERR | CLI_WITH_DAEMON,
    .first_operand_ends = true,
    .statuses =
        "Once CMD has begun, its end is that of wharf run: the same status, or the same signal.",
    .examples = {{"wharf run --vram 6GiB -- python train.py", "wait for 6 GiB, and train"},
                 {"wharf run --vram 20GiB --gpus 2 --wait 10m -- torchrun job.py",
                  "on two GPUs at once; fail if that takes longer than ten minutes"},
                 {"wharf run --gate mlx -- ./convert.sh", "one at a time"}},
    .run = run,
};
