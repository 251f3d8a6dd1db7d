#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/journal.h"
#include "base/logform.h"
#include "base/logout.h"
#include "base/termfilter.h"

/* A line that models print, in JSON; what is longer is several. */
#define PRINTED_LINE_MAX 8192
#define FINISH_MS_MAX 300

enum log_level log_level_min = LOG_INFO;
static log_sink_cb sink_cb;
static void *sink_arg;
static struct log_settings set = {.fd = STDERR_FILENO, .least = LOG_DEBUG, .form = LOG_FORM_HUMAN};

/* The journal, where that is the form. */
static struct {
    int fd;
    bool absent; /* told: it cannot be reached, so that lines go where they would without it */
    uint64_t dropped;
} journal = {.fd = -1};

static uint64_t dropped_told;
/* What models print to a terminal, or as JSON. */
static struct termfilter filter;
static struct buf printed;

void log_set(const struct log_settings *settings)
{
    bool has_journal = settings->form == LOG_FORM_AUTO && journal_is(settings->fd);
    set = *settings;
    if (set.form == LOG_FORM_AUTO)
        set.form = has_journal ? LOG_FORM_JOURNALD : LOG_FORM_HUMAN;
    journal.absent = false;
    filter.colours = !set.plain;
}

void log_to_stderr(void)
{
    set.fd = STDERR_FILENO;
    set.least = LOG_DEBUG;
}

enum log_form log_form_used(void)
{
    return set.form;
}

void log_set_sink(log_sink_cb sink, void *arg)
{
    sink_cb = sink;
    sink_arg = arg;
}

enum log_level log_level_parse(const char *name)
{
    for (int i = 0; i < LOG_LEVEL__COUNT; i++)
        if (strcasecmp(name, log_level_words[i]) == 0)
            return (enum log_level)i;
    return LOG_INFO;
}

struct log_field log_text_field(const char *name, const char *text, bool said)
{
    return (struct log_field){
        .name = text ? name : NULL, .text = text, .n = text ? strlen(text) : 0, .said = said};
}

struct log_field log_json_field(const char *name, const char *text)
{
    return (struct log_field){
        .name = name, .text = text, .n = strlen(text), .kind = LOG_FIELD_JSON};
}

/* ---- where entries go ---- */

static bool write_human(const struct log_entry *e, const char *plain, size_t n)
{
    struct logout *o = logout_of(set.fd);
    char line[LOGFORM_HUMAN_MAX];
    bool colours = !set.plain && logout_is_terminal(o);
    if (colours)
        n = logform_human(e, set.time, true, line);
    return logout_write(o, colours ? line : plain, n);
}

static bool write_json(const struct log_entry *e)
{
    struct buf line = {0};
    logform_json(e, &line);
    bool went = logout_write(logout_of(set.fd), line.data, line.len);
    buf_fini(&line);
    return went;
}

static int write_journal(const struct log_entry *e)
{
    struct buf entry = {0};
    logform_journald(e, &entry);
    int rc = journal_send(JOURNAL_SOCKET, &journal.fd, entry.data, entry.len);
    buf_fini(&entry);
    return rc;
}

static void make_entry(struct log_entry *e, enum log_level level, const char *text)
{
    *e = (struct log_entry){.level = level, .text = text, .n = strlen(text)};
    clock_gettime(CLOCK_REALTIME, &e->at);
}

static bool put(const struct log_entry *e);

/* A journal that is busy will take entries again. One that is not there may never, and what it is
 * not told is better read somewhere. */
static bool write_journal_or_else(const struct log_entry *e, const char *plain, size_t n)
{
    struct log_entry notice;
    int rc = write_journal(e);
    bool was_absent = journal.absent;
    journal.absent = rc < 0 && rc != -EAGAIN;
    if (rc == -EAGAIN)
        journal.dropped++;
    if (!journal.absent)
        return rc == 0;
    if (!was_absent) {
        struct log_field why = LOG_TEXT("error", strerror(-rc));
        make_entry(&notice, LOG_WARN, "the journal cannot be reached, lines stand here instead");
        notice.fields = (struct log_fields){&why, 1};
        (void)put(&notice);
    }
    return write_human(e, plain, n);
}

/* Whether somebody will read it, as far as can be told. */
static bool put(const struct log_entry *e)
{
    char line[LOGFORM_HUMAN_MAX];
    size_t n = logform_human(e, set.time, false, line);
    bool went = true;
    if (e->level >= set.least)
        went = set.form == LOG_FORM_JSON       ? write_json(e)
               : set.form == LOG_FORM_JOURNALD ? write_journal_or_else(e, line, n)
                                               : write_human(e, line, n);
    if (sink_cb)
        sink_cb(sink_arg, line, n);
    return went;
}

/* Whoever reads again is told that something is missing. */
static void tell_dropped(void)
{
    struct log_entry e;
    uint64_t dropped = log_dropped(), before = dropped_told;
    if (dropped == dropped_told || log_waits())
        return;
    struct log_field count = LOG_NUMBER("count", dropped - dropped_told);
    dropped_told = dropped;
    make_entry(&e, LOG_WARN, "lines of the log are missing here, since nobody took them");
    e.fields = (struct log_fields){&count, 1};
    if (!put(&e))
        dropped_told = before;
}

void log_write(enum log_level level, const char *model, struct log_fields fields, const char *fmt,
               ...)
{
    int saved_errno = errno;
    char text[LOGFORM_LINE_MAX];
    struct log_entry e;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0)
        text[0] = '\0';
    make_entry(&e, level, text);
    e.model = model;
    e.fields = fields;
    if (put(&e))
        tell_dropped();
    errno = saved_errno;
}

/* ---- what models print ---- */

static void print_lines(void)
{
    size_t at = 0;
    while (at < printed.len) {
        const char *line = printed.data + at, *end = memchr(line, '\n', printed.len - at);
        size_t n = end ? (size_t)(end - line) : printed.len - at;
        if (!end && n < PRINTED_LINE_MAX)
            break;
        struct log_field source = LOG_TEXT("source", "models");
        struct log_entry e;
        make_entry(&e, LOG_INFO, "");
        e.text = line;
        e.n = n > 0 && line[n - 1] == '\r' ? n - 1 : n;
        e.fields = (struct log_fields){&source, 1};
        struct buf out = {0};
        logform_json(&e, &out);
        (void)logout_write(logout_of(STDOUT_FILENO), out.data, out.len);
        buf_fini(&out);
        at += n + (end != NULL);
    }
    buf_consume(&printed, at);
}

void log_print(const char *data, size_t n)
{
    struct logout *o = logout_of(STDOUT_FILENO);
    if (set.form == LOG_FORM_JSON) {
        buf_append(&printed, data, n);
        print_lines();
    } else if (logout_is_terminal(o)) {
        struct buf shown = {0};
        termfilter_feed(&filter, data, n, &shown);
        if (shown.len)
            (void)logout_write(o, shown.data, shown.len);
        buf_fini(&shown);
    } else {
        (void)logout_write(o, data, n);
    }
}

/* ---- what waits ---- */

size_t log_waiting_bytes(void)
{
    const struct logout *out = logout_of(STDOUT_FILENO), *err = logout_of(STDERR_FILENO);
    size_t a = logout_waiting(out), b = logout_waiting(err);
    return a > b ? a : b;
}

bool log_waits(void)
{
    return log_waiting_bytes() > 0;
}

uint64_t log_dropped(void)
{
    const struct logout *out = logout_of(STDOUT_FILENO), *err = logout_of(STDERR_FILENO);
    return out->dropped + (err != out ? err->dropped : 0) + journal.dropped;
}

void log_flush(void)
{
    logout_flush(logout_of(STDOUT_FILENO));
    logout_flush(logout_of(STDERR_FILENO));
    tell_dropped();
}

void log_finish(void)
{
    logout_finish(logout_of(STDERR_FILENO), FINISH_MS_MAX);
    logout_finish(logout_of(STDOUT_FILENO), FINISH_MS_MAX);
}

void log_forget(void)
{
    logout_forget(logout_of(STDOUT_FILENO));
    logout_forget(logout_of(STDERR_FILENO));
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
