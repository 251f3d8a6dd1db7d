#include "ask.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/units.h"
#include "cli/output.h"

#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"

static int wrong(const struct cli_args *args, const char *option, const char *text,
                 const char *want)
{
    output_complain("%s: --%s: '%.80s' is %s", args->command->name, option, text, want);
    return CLI_USAGE;
}

/* CLI_DONE when it was not given either; then *ret_ns is untouched. */
static int read_time(const struct cli_args *args, const char *option, uint64_t *ret_ns)
{
    const char *text = cli_args_text(args, option);
    if (!text || units_parse_duration(text, NS_PER_S, ret_ns))
        return CLI_DONE;
    return wrong(args, option, text, "no time: 90s, 10m, 1h30m or a number of seconds is");
}

static int read_size(const struct cli_args *args, struct job_ask *ask)
{
    ask->vram = cli_args_text(args, "vram");
    if (!ask->vram || (units_parse_bytes(ask->vram, &ask->vram_bytes) && ask->vram_bytes > 0))
        return CLI_DONE;
    return wrong(args, "vram", ask->vram, "no size: 6GiB, 500MiB, 24GB or a number of bytes is");
}

/* "TERM", "SIGTERM" and "15". */
static int read_signal(const struct cli_args *args, struct job_ask *ask)
{
    const char *text = cli_args_text(args, "signal");
    char digits[12];
    ask->end_signal = SIGTERM;
    if (!text)
        return CLI_DONE;
    const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (int n = 1; n < NSIG; n++) {
        const char *known = sigabbrev_np(n);
        snprintf(digits, sizeof(digits), "%d", n);
        if ((known && strcmp(known, name) == 0) || strcmp(digits, text) == 0) {
            ask->end_signal = n;
            return CLI_DONE;
        }
    }
    return wrong(args, "signal", text, "no signal: TERM, INT, HUP, USR1 or a number is");
}

static int read_times(const struct cli_args *args, struct job_ask *ask, bool has_ttl)
{
    int status = read_time(args, "wait", &ask->wait_ns);
    ask->waits_for_ever = !cli_args_text(args, "wait");
    ask->grace_ns = JOB_GRACE_NS_DEFAULT;
    ask->is_revocable = cli_args_text(args, "revocable") != NULL;
    if (status == CLI_DONE)
        status = read_time(args, "run", &ask->run_ns);
    if (status == CLI_DONE)
        status = read_time(args, "revocable", &ask->grace_ns);
    if (status == CLI_DONE && has_ttl)
        status = read_time(args, "ttl", &ask->ttl_ns);
    return status;
}

static bool has_option(const struct cli_args *args, const char *name)
{
    for (uint32_t i = 0; i < args->command->option_count; i++)
        if (strcmp(args->command->options[i].name, name) == 0)
            return true;
    return false;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

int job_ask_read(const struct cli_args *args, struct job_ask *ret)
{
    struct job_ask *a = ret;
    const char *name = cli_args_text(args, "name");
    *a = (struct job_ask){.name = name ? name : base_name(args->operands[0]),
                          .class = cli_args_text(args, "class"),
                          .is_quiet = cli_args_flag(args, "quiet")};
    a->device_count = cli_args_texts(args, "device", a->devices, JOB_NAMES_MAX);
    a->gate_count = cli_args_texts(args, "gate", a->gates, JOB_NAMES_MAX);
    a->argv = alloc_zeroed((size_t)args->operand_count + 1, sizeof(*a->argv));
    for (uint32_t i = 0; i < args->operand_count; i++)
        a->argv[i] = alloc_text(args->operands[i]);
    int status = read_size(args, a);
    if (status == CLI_DONE)
        status = read_times(args, a, has_option(args, "ttl"));
    if (status == CLI_DONE)
        status = read_signal(args, a);
    if (status != CLI_DONE)
        return status;
    if (cli_args_number(args, "gpus", &a->gpus) && a->gpus == 0)
        return wrong(args, "gpus", "0", "no number of GPUs: 1 or more is");
    if (!a->vram && a->gate_count == 0) {
        output_complain("%s: --vram SIZE is missing, or --gate NAME, as in `%s`",
                        args->command->name, args->command->examples[0].command);
        return CLI_USAGE;
    }
    if (!a->vram && (a->gpus > 0 || a->device_count > 0)) {
        output_complain("%s: --gpus and --device belong to --vram", args->command->name);
        return CLI_USAGE;
    }
    return CLI_DONE;
}

void job_ask_fini(struct job_ask *ask)
{
    for (char **a = ask->argv; a && *a; a++)
        free(*a);
    free(ask->argv);
    *ask = (struct job_ask){.name = NULL};
}

static void put_key(struct buf *out, const char *name)
{
    buf_printf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
}

static void put_text(struct buf *out, const char *name, const char *text)
{
    if (!text)
        return;
    put_key(out, name);
    buf_json_text(out, text);
}

static void put_texts(struct buf *out, const char *name, const char *const *texts, uint32_t count)
{
    if (count == 0)
        return;
    put_key(out, name);
    for (uint32_t i = 0; i < count; i++) {
        buf_char(out, i ? ',' : '[');
        buf_json_text(out, texts[i]);
    }
    buf_char(out, ']');
}

/* Whole milliseconds, as text: the protocol's numbers are seconds. */
static void put_time(struct buf *out, const char *name, uint64_t ns)
{
    put_key(out, name);
    buf_printf(out, "\"%llums\"", (unsigned long long)(ns / NS_PER_MS));
}

void job_ask_write(const struct job_ask *ask, uint64_t waited_ns, struct buf *out)
{
    buf_char(out, '{');
    put_text(out, "name", ask->name);
    if (ask->vram) {
        put_key(out, "vram");
        buf_printf(out, "%llu", (unsigned long long)ask->vram_bytes);
    }
    if (ask->gpus > 0) {
        put_key(out, "gpus");
        buf_printf(out, "%llu", (unsigned long long)ask->gpus);
    }
    put_texts(out, "devices", ask->devices, ask->device_count);
    put_texts(out, "gates", ask->gates, ask->gate_count);
    put_text(out, "class", ask->class);
    if (!ask->waits_for_ever)
        put_time(out, "wait", ask->wait_ns > waited_ns ? ask->wait_ns - waited_ns : 0);
    if (ask->ttl_ns > 0)
        put_time(out, "ttl", ask->ttl_ns);
    if (ask->run_ns > 0)
        put_time(out, "run", ask->run_ns);
    if (ask->is_revocable) {
        put_key(out, "revocable");
        buf_text(out, "true");
        put_time(out, "grace", ask->grace_ns);
    }
    put_key(out, "pid");
    buf_printf(out, "%d}", (int)getpid());
}

/* 0, or the errno with which execve would refuse it. */
static int look_at(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return EACCES;
    return access(path, X_OK) == 0 ? 0 : errno;
}

static int search_path(const char *name)
{
    const char *path = getenv("PATH");
    int error = ENOENT;
    for (const char *p = path ? path : PATH_DEFAULT;; p++) {
        size_t n = strcspn(p, ":");
        auto_free char *file = alloc_printf("%.*s%s%s", (int)n, p, n ? "/" : "", name);
        int found = look_at(file);
        if (found == 0)
            return 0;
        error = found == EACCES ? EACCES : error;
        p += n;
        if (!*p)
            return error;
    }
}

int job_ask_find_command(const struct job_ask *ask)
{
    const char *name = ask->argv[0];
    int error = strchr(name, '/') ? look_at(name) : search_path(name);
    if (error == 0)
        return CLI_DONE;
    output_complain("cannot run '%s': %s", name, strerror(error));
    return error == ENOENT || error == ENOTDIR ? CLI_NOT_FOUND : CLI_NOT_RUNNABLE;
}
