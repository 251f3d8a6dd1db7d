/* flags.h: the command line of wharf-demo-model; the list is flags.def. */
#ifndef DEMO_FLAGS_H
#define DEMO_FLAGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/pure/check.h"

/* Values of crash_on_load; a code is stored as FLAGS_EXIT_CODE + code. */
#define FLAGS_EXIT_OFF 0
#define FLAGS_EXIT_ABORT 1
#define FLAGS_EXIT_CODE 2

#define FLAGS_TYPE_TEXT const char *
#define FLAGS_TYPE_NUMBER uint64_t
#define FLAGS_TYPE_SIZE uint64_t /* bytes */
#define FLAGS_TYPE_SPAN uint64_t /* ns */
#define FLAGS_TYPE_SWITCH bool
#define FLAGS_TYPE_EXIT uint64_t

struct flags {
#define FLAG(field, kind, name, fallback, operand, help) FLAGS_TYPE_##kind field;
#include "flags.def"
#undef FLAG
    bool help; /* --help was given; nothing else was checked */
};

/* Accepts "--name value" and "--name=value". Texts are borrowed from argv and the environment. */
int flags_parse(struct flags *ret, int argc, char **argv, struct err *err) warn_unused;
void flags_print_help(FILE *out);

#endif
