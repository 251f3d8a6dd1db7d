/* log.h: the daemon's own log: lines on stderr or stdout, or entries of the journal (log_set), and
 * lines in a ring that /logs serves.
 *
 * An entry is a sentence with named fields. As a line for people it is
 *
 *   time level model text name=value
 *
 * and the other forms (logform.h) have the fields as members of their own. A field that the
 * sentence says already is given too, as one that is said: people do not read it twice. Whatever
 * a text holds, it makes no line and no member of its own: names are the callers' literals, and
 * values are escaped as their form asks for. Bodies and keys are never logged.
 *
 * Nothing here waits for who reads (logout.h). To be called by the loop's thread alone. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL__COUNT };

extern enum log_level log_level_min;

enum log_kind { LOG_FIELD_TEXT, LOG_FIELD_NUMBER, LOG_FIELD_JSON };

struct log_field {
    const char *name; /* lower case and _; NULL: no field */
    const char *text; /* borrowed; of a number: NULL */
    size_t n;         /* of text */
    int64_t number;
    enum log_kind kind;
    bool said;
};

/* text: NULL leaves the field out. */
#define LOG_NO_FIELD ((struct log_field){0})
#define LOG_BYTES(name_, text_, n_)                                                                \
    ((struct log_field){.name = (name_), .text = (text_), .n = (n_)})
#define LOG_TEXT(name_, text_) log_text_field((name_), (text_), false)
#define LOG_SAID(name_, text_) log_text_field((name_), (text_), true)
#define LOG_NUMBER(name_, number_)                                                                 \
    ((struct log_field){.name = (name_), .number = (int64_t)(number_), .kind = LOG_FIELD_NUMBER})
#define LOG_SAID_NUMBER(name_, number_)                                                            \
    ((struct log_field){                                                                           \
        .name = (name_), .number = (int64_t)(number_), .kind = LOG_FIELD_NUMBER, .said = true})
/* A JSON value that is whole and of one line; people see it without its name. */
#define LOG_JSON(name_, text_) log_json_field((name_), (text_))
struct log_field log_text_field(const char *name, const char *text, bool said);
struct log_field log_json_field(const char *name, const char *text);

struct log_fields {
    const struct log_field *items; /* borrowed */
    size_t count;
};

#define LOG_WITH(...)                                                                              \
    ((struct log_fields){(const struct log_field[]){__VA_ARGS__},                                  \
                         sizeof((const struct log_field[]){__VA_ARGS__}) /                         \
                             sizeof(struct log_field)})

/* model: the one that the entry is about; NULL for the daemon itself. */
void log_write(enum log_level level, const char *model, struct log_fields fields, const char *fmt,
               ...) __attribute__((format(printf, 4, 5)));

#define log_at_with(level, model, fields, ...)                                                     \
    ((level) >= log_level_min ? log_write((level), (model), fields, __VA_ARGS__) : (void)0)
#define log_at(level, model, ...)                                                                  \
    log_at_with((level), (model), ((struct log_fields){0}), __VA_ARGS__)
#define log_debug(model, ...) log_at(LOG_DEBUG, (model), __VA_ARGS__)
#define log_info(model, ...) log_at(LOG_INFO, (model), __VA_ARGS__)
#define log_warn(model, ...) log_at(LOG_WARN, (model), __VA_ARGS__)
#define log_error(model, ...) log_at(LOG_ERROR, (model), __VA_ARGS__)
/* fields: LOG_WITH(…). */
#define log_debug_with(model, fields, ...) log_at_with(LOG_DEBUG, (model), fields, __VA_ARGS__)
#define log_info_with(model, fields, ...) log_at_with(LOG_INFO, (model), fields, __VA_ARGS__)
#define log_warn_with(model, fields, ...) log_at_with(LOG_WARN, (model), fields, __VA_ARGS__)
#define log_error_with(model, fields, ...) log_at_with(LOG_ERROR, (model), fields, __VA_ARGS__)

/* "debug" "info" "warn" "error"; anything else is info, as in llama-swap. */
enum log_level log_level_parse(const char *name);

/* AUTO: the journal where fd leads there, else HUMAN. */
enum log_form { LOG_FORM_AUTO, LOG_FORM_HUMAN, LOG_FORM_JSON, LOG_FORM_JOURNALD };

struct logtime;

struct log_settings {
    int fd;               /* STDOUT_FILENO or STDERR_FILENO */
    enum log_level least; /* what is below is in the ring alone */
    enum log_form form;
    bool plain;                 /* no colours on a terminal either */
    const struct logtime *time; /* the form of the time in lines for people; NULL: wharf's own */
};

/* Without it: lines for people on stderr, all of them. */
void log_set(const struct log_settings *settings);
/* From here on all entries go to stderr, in the form that was set: there is no daemon any more. */
void log_to_stderr(void);
/* Never LOG_FORM_AUTO. */
enum log_form log_form_used(void);

/* Writes what models print to stdout, in order with what else goes there: as it is; without what
 * drives a terminal, where it is one (termfilter.h); as entries, a line each, in JSON. */
void log_print(const char *data, size_t n);

/* Something waits for stdout or stderr to be read: log_flush tries again. */
bool log_waits(void);
void log_flush(void);
/* Before the process ends, or becomes another: waits a moment for who reads. */
void log_finish(void);
/* In a child that goes on by fork: what waits is its parent's to write. */
void log_forget(void);

/* Entries, and pieces that models printed, that nobody will read: since the start. */
uint64_t log_dropped(void);
/* Bytes that wait, at stdout or stderr, whichever has more, and how many may wait at each. */
size_t log_waiting_bytes(void);
#define LOG_WAITING_BYTES_MAX (1024 * 1024)

/* Each entry as a line for people, with its newline, is also handed to the sink, if one is set,
 * whatever form goes out. It may log in turn. */
typedef void (*log_sink_cb)(void *arg, const char *line, size_t n);
void log_set_sink(log_sink_cb sink, void *arg);

/* Writes text with control bytes, quotes and backslashes escaped, cut to fit. Returns out. */
char *log_quote(const char *text, size_t n, char *out, size_t out_size);

#endif
