/* main.c: finds the command's row and hands over to it. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/output.h"
#include "cli/session.h"
#include "gpu/probe.h"

/* A descriptor 0, 1 or 2 that is closed would be the next socket or file opened, and messages would
 * go into it. */
static void open_standard_fds(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static const char *command_name(const char *arg)
{
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
        return "help";
    if (strcmp(arg, "--version") == 0 || strcmp(arg, "-V") == 0)
        return "version";
    return arg;
}

static int run_command(const struct cli_command *c, int argc, char **argv)
{
    struct cli_args args;
    struct err e = {.set = false};
    int status = CLI_USAGE;
    const int rc = cli_args_parse(c, argc, argv, &args, &e);
    if (cli_args_wants_json(c, &args, argc, argv))
        output_use(c->shared & CLI_WITH_JSON || args.wants_help ? OUTPUT_JSON : OUTPUT_JSON_STDERR);
    if (rc < 0)
        output_complain("%s: %s\n(`wharf %s --help` says more)", c->name, e.text, c->name);
    else
        status = args.wants_help ? cli_help_print(c) : c->run(&args);
    cli_args_fini(&args);
    return status;
}

/* A link named llama-swap is that program, whose command line begins with its flags. */
static bool called_as_llama_swap(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, cmd_llamaswap.name) == 0;
}

int main(int argc, char **argv)
{
    /* No commands: the daemon starts it, and stdin is its socket, */
    if (argc == 2 && strcmp(argv[1], PROBE_COMMAND) == 0)
        return probe_main();
    /* and shells ask for completions. */
    if (argc > 1 && strcmp(argv[1], COMPLETE_COMMAND) == 0)
        return complete_main(argc - 2, argv + 2);
    open_standard_fds();
    /* Whoever started us may ignore it; `wharf ps | head` ends quietly all the same. */
    signal(SIGPIPE, SIG_DFL);
    const struct cli_command *c = NULL;
    int first = 2;
    if (argc > 0 && called_as_llama_swap(argv[0])) {
        c = &cmd_llamaswap;
        first = 1;
    } else if (argc < 2) {
        output_complain("a command is missing; `wharf help` lists them");
        return CLI_USAGE;
    } else {
        c = cli_command_find(command_name(argv[1]));
    }
    if (!c && cli_args_wants_json(NULL, NULL, argc - first, argv + first))
        output_use(OUTPUT_JSON);
    int status = c ? run_command(c, argc - first, argv + first) : cli_command_unknown(argv[1]);
    if (status != CLI_DONE)
        output_failure(status == CLI_USAGE);
    if (output_finish() < 0 && status == CLI_DONE)
        status = CLI_FAILED;
    session_end();
    return status;
}
