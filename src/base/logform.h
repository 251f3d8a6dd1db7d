/* logform.h: an entry of the log, and what it looks like in each form. No I/O.
 *
 * human: "time level model text name=value\n", as log.h says; a value that is no plain word is
 * quoted. json: one object a line, with time (RFC 3339 in UTC, milliseconds), level, msg and
 * model, and the fields. journald: the fields of systemd's native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL), with MESSAGE as the line without time and level,
 * and each field of the entry as WHARF_NAME. */
#ifndef BASE_LOGFORM_H
#define BASE_LOGFORM_H

#include <time.h>

#include "base/buf.h"
#include "base/log.h"

struct log_entry {
    enum log_level level;
    struct timespec at;
    const char *model; /* NULL: none */
    const char *text;
    size_t n;
    struct log_fields fields;
};

/* Of text, model and fields at most; more is cut. */
#define LOGFORM_LINE_MAX 2048
/* Each byte escaped, colours and a newline. */
#define LOGFORM_HUMAN_MAX (4 * LOGFORM_LINE_MAX + 32)

extern const char *const log_level_words[LOG_LEVEL__COUNT];

/* time: NULL for wharf's own form of it. Returns the length; no NUL. */
size_t logform_human(const struct log_entry *e, const struct logtime *time, bool colours,
                     char out[LOGFORM_HUMAN_MAX]);
/* Both append. */
void logform_json(const struct log_entry *e, struct buf *out);
void logform_journald(const struct log_entry *e, struct buf *out);

#endif
