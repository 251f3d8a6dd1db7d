/* cmd_completion.c: `wharf completion SHELL`: the script that has a shell complete wharf's words.
 */
#include <string.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/shell/embedded.h"

/* By the names that the shells look for in their folders. */
static const struct {
    const char *shell, *file;
} shells[] = {{"bash", "wharf.bash"}, {"zsh", "_wharf"}, {"fish", "wharf.fish"}};

static int print(const char *file)
{
    const struct embedded_text *t = embedded_texts;
    struct buf out = {0};
    while (t->name && strcmp(t->name, file) != 0)
        t++;
    must(t->name);
    buf_text(&out, t->text);
    output_safe(&out);
    buf_fini(&out);
    return CLI_DONE;
}

static int run(const struct cli_args *args)
{
    for (size_t i = 0; i < countof(shells); i++)
        if (strcmp(shells[i].shell, args->operands[0]) == 0)
            return print(shells[i].file);
    output_complain("completion: bash, zsh or fish, not '%.40s'", args->operands[0]);
    return CLI_USAGE;
}

const struct cli_command cmd_completion = {
    .name = "completion",
    .summary = "print what has a shell complete wharf's words",
    .description =
        "Prints the script for bash, zsh or fish that completes commands, options, and what they "
        "take: files, classes, and, as long as the daemon answers at once, the names of models, "
        "places, devices, gates, modes, jobs and leases. Behind `wharf run --` the words of CMD "
        "are "
        "completed as they are without wharf. `make install` puts the scripts where the shells "
        "look for them.",
    .operand = "bash|zsh|fish",
    .operands_min = 1,
    .operands_max = 1,
    .operand_takes = {CLI_A_WORD},
    .operand_words = "bash zsh fish",
    .examples = {{"source <(wharf completion bash)", "in this shell; also for zsh"},
                 {"wharf completion fish | source", "the same for fish"}},
    .run = run,
};
