/* command.h: what a command is: one table row, from which parsing, help, the manual pages and
 * completions are made. The rows stand with their commands, in cmd_*.c; commands.c lists them.
 *
 * To add a command: write cmd_NAME.c with its row, and name the row in commands.h and commands.c
 * (and the file in meson.build). */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/words.h"

/* Every exit status, as sysexits.h and shells have them; help.c has the texts. */
enum cli_status {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,        /* also: asked for what is not there or can never be */
    CLI_UNREACHABLE = 69, /* EX_UNAVAILABLE */
    CLI_TRY_LATER = 75,   /* EX_TEMPFAIL */
    CLI_NOT_RUNNABLE = 126,
    CLI_NOT_FOUND = 127,
};

/* What a value or an operand is: completions offer what there is of it, and the manual says how it
 * is written. */
enum cli_takes {
    CLI_A_TEXT, /* anything */
    CLI_A_WORD, /* one of a few, which stand beside it */
    CLI_A_FILE,
    CLI_A_FOLDER,
    CLI_A_SIZE,
    CLI_A_TIME,
    CLI_A_COMMAND, /* of wharf */
    CLI_A_PROGRAM, /* a command of the user's, and its arguments */
    CLI_A_JOB,     /* a submitted one's number */
    /* What a running daemon knows. */
    CLI_A_MODEL,
    CLI_A_PLACE, /* of the model that is the operand before */
    CLI_A_DEVICE,
    CLI_A_GATE,
    CLI_A_MODE,
    CLI_A_LEASE, /* ID:TOKEN */
};

/* The words of an option --class. */
#define CLI__WORD(constant, word) word " "
#define CLI_CLASSES CONFIG_CLASS_WORDS(CLI__WORD)

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
    enum cli_takes takes;
    const char *words; /* of CLI_A_WORD, parted by spaces */
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
#define CLI_OPERANDS_TOLD 2

struct cli_command {
    const char *name;
    const char *summary;     /* a clause without a full stop, for lists */
    const char *description; /* paragraphs, parted by an empty line */
    const char *operand;     /* what stands for an operand in help; NULL: there is none */
    uint32_t operands_min, operands_max;
    enum cli_takes operand_takes[CLI_OPERANDS_TOLD]; /* the first ones */
    const char *operand_words;        /* of a first one that is CLI_A_WORD, parted by spaces */
    const char *second_after;         /* the word after which there is a second one; NULL: any */
    const struct cli_option *options; /* its own; --help and the shared ones come by themselves */
    uint32_t option_count;
    uint32_t shared; /* of enum cli_shared */
    enum cli_style style;
    bool first_operand_ends; /* the options: what follows it belongs to it, as `env` does it */
    const char *statuses;    /* sentences of help about exit statuses besides enum cli_status */
    struct cli_example examples[CLI_EXAMPLES_MAX];
    /* Returns an enum cli_status. Prints its own errors. */
    int (*run)(const struct cli_args *args);
};

/* Every command has this option. */
#define CLI_HELP_OPTION "help"

/* The i-th option of a command, shared ones included; NULL behind the last. */
const struct cli_option *cli_option_at(const struct cli_command *c, uint32_t i);
/* The option of that long name, n bytes; NULL: there is none. */
const struct cli_option *cli_option_find(const struct cli_command *c, const char *name, size_t n);

#endif
