/* command.h: what a command is: one table row, from which parsing, help and later the manual pages
 * and completions are made. The rows stand with their commands, in cmd_*.c; commands.c lists them.
 *
 * To add a command: write cmd_NAME.c with its row, and name the row in commands.h and commands.c
 * (and the file in meson.build). */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Documented in `wharf help`; help.c has the texts. */
enum cli_status {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3,
    CLI__STATUS_COUNT
};

enum cli_kind {
    CLI_FLAG,
    CLI_TEXT,
    CLI_NUMBER, /* a whole number from 0 on */
};

struct cli_option {
    const char *name; /* long, without its dashes */
    char letter;      /* '\0': none */
    enum cli_kind kind;
    bool is_required;
    bool repeats;      /* each occurrence counts; otherwise the last one does */
    const char *value; /* what stands for the value in help: "FILE"; NULL for flags */
    const char *env;   /* the variable that is read when the option is absent, or NULL */
    const char *help;  /* whole sentences */
};

/* Options that several commands share. */
enum cli_shared {
    CLI_WITH_JSON = 1 << 0,
    CLI_WITH_DAEMON = 1 << 1,      /* --url and --key */
    CLI_WITH_JSON_STDERR = 1 << 2, /* --json, of a command whose stdout is another program's */
};

/* How one dash before a word is read. */
enum cli_style {
    CLI_LETTERS, /* "-fx": letters; a long option needs two dashes */
    CLI_WORDS,   /* "-config x" is a long option as well, and "-watch=false" a flag's value */
    CLI_GO,      /* likewise, wholly by the rules of Go's package flag: the first operand ends the
                    options and is ignored, as is what follows; an empty value is none */
};

struct cli_example {
    const char *command, *what;
};

struct cli_args;

#define CLI_EXAMPLES_MAX 4

struct cli_command {
    const char *name;
    const char *summary;     /* a clause without a full stop, for lists */
    const char *description; /* paragraphs, parted by an empty line */
    const char *operand;     /* what stands for an operand in help; NULL: there is none */
    uint32_t operands_min, operands_max;
    const struct cli_option *options; /* its own; --help and the shared ones come by themselves */
    uint32_t option_count;
    uint32_t shared; /* of enum cli_shared */
    enum cli_style style;
    bool first_operand_ends; /* the options: what follows it belongs to it, as `env` does it */
    const char *statuses;    /* lines of help, where its exit statuses are not enum cli_status */
    struct cli_example examples[CLI_EXAMPLES_MAX];
    /* Returns an enum cli_status. Prints its own errors. */
    int (*run)(const struct cli_args *args);
};

/* Every command has this option. */
#define CLI_HELP_OPTION "help"

/* The i-th option of a command, shared ones included; NULL behind the last. */
const struct cli_option *cli_option_at(const struct cli_command *c, uint32_t i);

#endif
