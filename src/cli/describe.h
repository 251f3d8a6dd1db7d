/* describe.h: the command table for programs, as `wharf help --json` prints it; tools/gen-docs
 * makes the manual pages of it.
 *
 *     {"version", "commands": [{"name", "summary", "usage", "description", "operand",
 *         "operands_min", "operands_max", "asks_daemon",
 *         "options": [{"name", "letter", "kind": "flag"|"text"|"number", "value", "required",
 *                      "repeats", "environment", "help"}, …],
 *         "examples": [{"command", "what"}, …],
 *         "statuses": [[STATUS, TEXT], …], "statuses_more"}, …],
 *      "statuses": [[STATUS, TEXT], …], "statuses_more"}
 *
 * A text that there is not is null, and operands_max where any number may be given. */
#ifndef CLI_DESCRIBE_H
#define CLI_DESCRIBE_H

#include "base/buf.h"
#include "cli/command.h"

/* One line: the whole table, or, with only, that command's object. */
void describe_put(struct buf *out, const struct cli_command *only);

#endif
