#include "ask.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/output.h"

#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"

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
    output_complain("%s: --signal: '%.80s' is no signal: TERM, INT, HUP, USR1 or a number is",
                    args->command->name, text);
    return CLI_USAGE;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

int job_ask_read(const struct cli_args *args, struct job_ask *ret)
{
    struct job_ask *a = ret;
    *a = (struct job_ask){.is_quiet = cli_args_flag(args, "quiet")};
    a->argv = alloc_zeroed((size_t)args->operand_count + 1, sizeof(*a->argv));
    for (uint32_t i = 0; i < args->operand_count; i++)
        a->argv[i] = alloc_text(args->operands[i]);
    int status = lease_ask_read(args, &a->lease);
    if (status == CLI_DONE)
        status = read_signal(args, a);
    if (!a->lease.name)
        a->lease.name = base_name(args->operands[0]);
    return status;
}

void job_ask_fini(struct job_ask *ask)
{
    for (char **a = ask->argv; a && *a; a++)
        free(*a);
    free(ask->argv);
    *ask = (struct job_ask){.argv = NULL};
}

void job_ask_write(const struct job_ask *ask, uint64_t waited_ns, struct buf *out)
{
    buf_char(out, '{');
    lease_ask_write(&ask->lease, waited_ns, out);
    buf_printf(out, ",\"pid\":%d}", (int)getpid());
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
