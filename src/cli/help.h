/* help.h: help and the version, made from the command table. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "base/buf.h"
#include "cli/command.h"

struct help_status {
    int status; /* of enum cli_status */
    const char *text;
};

/* The i-th exit status that the command can have, or any with NULL; NULL behind the last. */
const struct help_status *help_status_at(const struct cli_command *c, uint32_t i);
/* Sentences on other ends of it; NULL: there are none. */
const char *help_statuses_more(const struct cli_command *c);

/* commands: count rows, in the order of the list. */
void help_overview(struct buf *out, const struct cli_command *const *commands, uint32_t count);
void help_command(struct buf *out, const struct cli_command *c);
/* One line (wrapped): "usage: wharf load [--json] MODEL". */
void help_usage(struct buf *out, const struct cli_command *c);

#endif
