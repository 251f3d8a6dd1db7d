/* args.h: a command line, taken apart by a command's table row.
 *
 * Both "--opt value" and "--opt=value"; letters as in "-f" and "-fx"; options and operands in any
 * order; "--" ends the options. Commands of another enum cli_style read one dash as two. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "cli/command.h"

struct cli_value {
    const struct cli_option *option;
    const char *text; /* NULL for most flags; borrowed from argv */
    uint64_t number;  /* with CLI_NUMBER; of a flag, whether it is set */
};

struct cli_args {
    const struct cli_command *command;
    struct cli_value *values; /* owned; in the order given */
    uint32_t value_count;
    const char **operands; /* owned; the texts are borrowed from argv */
    uint32_t operand_count;
    bool wants_help; /* --help was met; what came behind it was not looked at */
};

/* argv: what follows the command's name. 0, or -1 with e set; give *ret to cli_args_fini after
 * either. */
int cli_args_parse(const struct cli_command *c, int argc, char *const *argv, struct cli_args *ret,
                   struct err *e) warn_unused;
void cli_args_fini(struct cli_args *args);

/* Whether JSON is asked for: a line that was not read to its end says so all the same, but not
 * behind the first operand of a command whose operands are another's line. c, args: NULL for a
 * command that there is not. */
bool cli_args_wants_json(const struct cli_command *c, const struct cli_args *args, int argc,
                         char *const *argv);

/* name: an option of the command; anything else is a bug. */
bool cli_args_flag(const struct cli_args *args, const char *name);
/* The value, else the environment's where the option names a variable that is set and not empty,
 * else NULL. */
const char *cli_args_text(const struct cli_args *args, const char *name);
/* False when the option was not given; then *ret is untouched. */
bool cli_args_number(const struct cli_args *args, const char *name, uint64_t *ret);
/* Every value of an option that repeats, up to max; of another, the last, unless it is empty.
 * Returns how many were written. */
uint32_t cli_args_texts(const struct cli_args *args, const char *name, const char **out,
                        uint32_t max);

#endif
