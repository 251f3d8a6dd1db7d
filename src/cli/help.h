/* help.h: help and the version, made from the command table. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "base/buf.h"
#include "cli/command.h"

/* commands: count rows, in the order of the list. */
void help_overview(struct buf *out, const struct cli_command *const *commands, uint32_t count);
void help_command(struct buf *out, const struct cli_command *c);
/* {"version", "commands": […]} of these, or, with only, that one as an object. */
void help_json(struct buf *out, const struct cli_command *only,
               const struct cli_command *const *commands, uint32_t count);
/* One line (wrapped): "usage: wharf load [--json] MODEL". */
void help_usage(struct buf *out, const struct cli_command *c);

#endif
