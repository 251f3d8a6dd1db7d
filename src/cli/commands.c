#include "commands.h"

#include <string.h>

#include "base/pure/check.h"
#include "cli/output.h"
#include "config/nearest.h"

const struct cli_command *const cli_commands[] = {
    &cmd_init,    &cmd_serve,  &cmd_llamaswap, &cmd_check,   &cmd_status,     &cmd_ps,
    &cmd_top,     &cmd_load,   &cmd_unload,    &cmd_suspend, &cmd_resume,     &cmd_move,
    &cmd_pin,     &cmd_mode,   &cmd_queue,     &cmd_plan,    &cmd_lease,      &cmd_run,
    &cmd_submit,  &cmd_jobs,   &cmd_why,       &cmd_history, &cmd_devices,    &cmd_logs,
    &cmd_events,  &cmd_report, &cmd_simulate,  &cmd_upgrade, &cmd_completion, &cmd_help,
    &cmd_version,
};
const uint32_t cli_command_count = countof(cli_commands);

const struct cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < countof(cli_commands); i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

int cli_command_unknown(const char *name)
{
    struct nearest nearest = nearest_to(name);
    for (size_t i = 0; i < countof(cli_commands); i++)
        nearest_offer(&nearest, cli_commands[i]->name);
    const char *kind = name[0] == '-' ? "option before a command" : "command";
    if (nearest.best)
        output_complain("unknown %s '%s'; did you mean '%s'?", kind, name, nearest.best);
    else
        output_complain("unknown %s '%s'; `wharf help` lists the commands", kind, name);
    return CLI_USAGE;
}
