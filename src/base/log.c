#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/logtime.h"

#define LINE_MAX_BYTES 2048

enum log_level log_level_min = LOG_INFO;
static log_sink_cb sink_cb;
static void *sink_arg;
static int output_fd = STDERR_FILENO;
static enum log_level output_least = LOG_DEBUG;
static const struct logtime *time_form;

void log_set_output(int fd, enum log_level least)
{
    output_fd = fd;
    output_least = least;
}

void log_set_time(const struct logtime *form)
{
    time_form = form;
}

void log_set_sink(log_sink_cb sink, void *arg)
{
    sink_cb = sink;
    sink_arg = arg;
}

enum log_level log_level_parse(const char *name)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (int i = 0; i < 4; i++)
        if (strcasecmp(name, names[i]) == 0)
            return (enum log_level)i;
    return LOG_INFO;
}

/* The time, with a space behind it. */
static int format_time(char *out)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    size_t n = logtime_format(time_form, ts, out);
    if (n)
        out[n++] = ' ';
    return (int)n;
}

void log_write(enum log_level level, const char *prefix, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    int saved_errno = errno;
    char line[LINE_MAX_BYTES];
    int n = format_time(line);
    n += snprintf(line + n, sizeof(line) - (size_t)n, "%-5s %.200s%s", names[level],
                  prefix ? prefix : "", prefix ? " " : "");
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (m > 0)
        n += m < (int)sizeof(line) - n - 1 ? m : (int)sizeof(line) - n - 2;
    line[n++] = '\n';
    if (level >= output_least) {
        ssize_t ignored = write(output_fd, line, (size_t)n);
        (void)ignored;
    }
    if (sink_cb)
        sink_cb(sink_arg, line, (size_t)n);
    errno = saved_errno;
}

char *log_quote(const char *text, size_t n, char *out, size_t out_size)
{
    size_t at = 0;
    for (size_t i = 0; i < n && at + 5 < out_size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            out[at++] = '\\';
            out[at++] = (char)c;
        } else if (c < 0x20 || c >= 0x7f) {
            at += (size_t)snprintf(out + at, 5, "\\x%02x", c);
        } else {
            out[at++] = (char)c;
        }
    }
    out[at] = '\0';
    return out;
}
