/* logtime.h: the forms that the times of log lines can have, by the names that llama-swap's
 * logTimeFormat knows. They are those of Go's package time, whose layouts define them. */
#ifndef BASE_LOGTIME_H
#define BASE_LOGTIME_H

#include <stddef.h>
#include <time.h>

#define LOGTIME_MAX 64

struct logtime;

/* Static. "" is the form that shows no time; NULL when there is no form of that name. */
const struct logtime *logtime_find(const char *name);
/* The time at in that form, in local time; form NULL: RFC 3339 with milliseconds, in UTC, which is
 * wharf's own. Returns the length, without the NUL. */
size_t logtime_format(const struct logtime *form, struct timespec at, char out[LOGTIME_MAX]);

#endif
