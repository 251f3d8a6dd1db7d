/* diag.h: the errors and warnings of one load, gathered so that all are shown at once.
 *
 * Messages are plain text; words that come from the configuration go through diag_quote. */
#ifndef CONFIG_DIAG_H
#define CONFIG_DIAG_H

#include <stdbool.h>

#include "config/config.h"
#include "config/node.h"

struct diag {
    struct arena *arena;      /* the load's scratch arena */
    const char *file;         /* the one that is being read */
    const char *const *files; /* of several: in the order of their messages */
    uint32_t file_count;
    struct diag_message *messages;
    uint32_t count, room;
    bool hides_env;            /* values of environment variables are not to be told */
    uint32_t errors, warnings; /* all of them, also those beyond what is kept */
};

void diag_error(struct diag *d, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void diag_warn(struct diag *d, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The text in single quotes, control bytes escaped, cut where it is long. Lives in the arena. */
const char *diag_quote(struct diag *d, const char *text);
/* "; did you mean 'x'?" when there is a nearest word, "" otherwise. */
const char *diag_hint(struct diag *d, const char *nearest);
/* No further message will be shown, so looking for hints is wasted. */
bool diag_full(const struct diag *d);
/* Writes the messages in the order of the files; a message that repeats is written once. */
void diag_report(const struct diag *d, struct config_report *report);

#endif
