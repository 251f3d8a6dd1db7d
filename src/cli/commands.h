/* commands.h: all commands, by the order of their list in help. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdint.h>

#include "cli/command.h"

extern const struct cli_command cmd_check;
extern const struct cli_command cmd_completion;
extern const struct cli_command cmd_devices;
extern const struct cli_command cmd_events;
extern const struct cli_command cmd_help;
extern const struct cli_command cmd_history;
extern const struct cli_command cmd_init;
extern const struct cli_command cmd_jobs;
extern const struct cli_command cmd_lease;
extern const struct cli_command cmd_llamaswap;
extern const struct cli_command cmd_load;
extern const struct cli_command cmd_logs;
extern const struct cli_command cmd_mode;
extern const struct cli_command cmd_move;
extern const struct cli_command cmd_pin;
extern const struct cli_command cmd_plan;
extern const struct cli_command cmd_ps;
extern const struct cli_command cmd_queue;
extern const struct cli_command cmd_report;
extern const struct cli_command cmd_resume;
extern const struct cli_command cmd_run;
extern const struct cli_command cmd_serve;
extern const struct cli_command cmd_simulate;
extern const struct cli_command cmd_status;
extern const struct cli_command cmd_submit;
extern const struct cli_command cmd_suspend;
extern const struct cli_command cmd_top;
extern const struct cli_command cmd_unload;
extern const struct cli_command cmd_upgrade;
extern const struct cli_command cmd_version;
extern const struct cli_command cmd_why;

/* Help on one, or on all with NULL, as text or JSON. Returns the exit status. */
int cli_help_print(const struct cli_command *c);

extern const struct cli_command *const cli_commands[];
extern const uint32_t cli_command_count;

/* The command of that name, or NULL. */
const struct cli_command *cli_command_find(const char *name);
/* Says that there is no such command, and what may have been meant. Returns CLI_USAGE. */
int cli_command_unknown(const char *name);

#endif
