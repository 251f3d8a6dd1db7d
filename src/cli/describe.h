/* describe.h: the command table for programs: tools/gen-docs makes the manual pages of it.
 *
 *     {"commands": [{"name", "summary", "description", "operand", "operand_required",
 *         "options": [{"name", "letter", "value", "required", "repeats", "env", "help"}, …],
 *         "examples": [{"command", "what"}, …],
 *         "statuses": [[STATUS, TEXT], …], "statuses_more"}, …],
 *      "statuses": [[STATUS, TEXT], …], "statuses_more"}
 *
 * A text that there is not is null. */
#ifndef CLI_DESCRIBE_H
#define CLI_DESCRIBE_H

#define DESCRIBE_COMMAND "__describe"

/* Prints it. Returns the exit status. */
int describe_main(void);

#endif
