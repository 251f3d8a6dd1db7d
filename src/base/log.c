#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

enum log_level log_level_min = LOG_INFO;
static log_sink_cb sink_cb;
static void *sink_arg;
static int log_fd = STDERR_FILENO;

void log_to(int fd)
{
    log_fd = fd;
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

static int format_time(char *out, size_t size)
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
    return (int)n + snprintf(out + n, size - n, ".%03ldZ", ts.tv_nsec / 1000000);
}

void log_write(enum log_level level, const char *prefix, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    int saved_errno = errno;
    char line[LINE_MAX_BYTES];
    int n = format_time(line, sizeof(line));
    n += snprintf(line + n, sizeof(line) - (size_t)n, " %-5s %.200s%s", names[level],
                  prefix ? prefix : "", prefix ? " " : "");
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (m > 0)
        n += m < (int)sizeof(line) - n - 1 ? m : (int)sizeof(line) - n - 2;
    line[n++] = '\n';
    ssize_t ignored = log_fd < 0 ? 0 : write(log_fd, line, (size_t)n);
    (void)ignored;
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
