/* trace.h: the last steps of the core, kept as they are and put into words only when an invariant
 * breaks, or when the log level is debug. */
#ifndef SERVER_TRACE_H
#define SERVER_TRACE_H

struct effect;
struct event;

void trace_event(const struct event *ev);
void trace_effect(const struct effect *e);
/* Oldest first, a line each. Also set as the dump of base/check.h. */
void trace_dump(int fd);

#endif
