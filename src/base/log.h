/* log.h: the daemon's own log lines, on stderr or where log_set_output says, and in a ring that
 * /logs serves.
 *
 * One line an event: "time level prefix text key=value", without the time where the configuration
 * wants none. The text must already be safe to print;
 * anything that came from outside goes through log_quote or is passed as the quoted text of a
 * key=value pair. Bodies and keys are never logged. `_errno` variants add the error's text. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

extern enum log_level log_level_min;

#define LOG_FORMAT __attribute__((format(printf, 2, 3)))

/* prefix: the object that the line is about, e.g. "model=qwen"; NULL for the daemon itself. */
void log_write(enum log_level level, const char *prefix, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_at(level, prefix, ...)                                                                 \
    ((level) >= log_level_min ? log_write((level), (prefix), __VA_ARGS__) : (void)0)
#define log_debug(prefix, ...) log_at(LOG_DEBUG, (prefix), __VA_ARGS__)
#define log_info(prefix, ...) log_at(LOG_INFO, (prefix), __VA_ARGS__)
#define log_warn(prefix, ...) log_at(LOG_WARN, (prefix), __VA_ARGS__)
#define log_error(prefix, ...) log_at(LOG_ERROR, (prefix), __VA_ARGS__)

/* "debug" "info" "warn" "error"; anything else is info, as in llama-swap. */
enum log_level log_level_parse(const char *name);

/* Where lines are written, and from which level on: stderr and LOG_DEBUG unless told otherwise. */
void log_set_output(int fd, enum log_level least);
/* The form of the time; NULL: wharf's own. */
struct logtime;
void log_set_time(const struct logtime *form);

/* Each finished line (with its newline) is also handed to the sink, if one is set. */
typedef void (*log_sink_cb)(void *arg, const char *line, size_t n);
void log_set_sink(log_sink_cb sink, void *arg);

/* Writes text with control bytes, quotes and backslashes escaped, cut to fit. Returns out. */
char *log_quote(const char *text, size_t n, char *out, size_t out_size);

#endif
