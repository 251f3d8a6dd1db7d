/* cmd_events.c: `wharf events`: what happens, as it happens. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/text.h"
#include "client/sse.h"

/* Texts as they come; numbers are seconds since 1970. */
static void write_time(struct buf *out, const json_t *when)
{
    char text[40];
    double seconds = json_number_value(when);
    time_t whole = (time_t)seconds;
    struct tm tm;
    if (json_is_string(when)) {
        text_escape_all(out, TEXT_LINE, json_string_value(when));
    } else if (json_is_number(when) && gmtime_r(&whole, &tm)) {
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
        buf_printf(out, "%s.%03dZ", text, (int)((seconds - (double)whole) * 1000));
    } else {
        buf_char(out, '-');
    }
}

/* Bare where it is one word, else as JSON writes it. */
static void write_value(struct buf *out, const json_t *value)
{
    const char *text = json_string_value(value);
    if (text && *text && !strpbrk(text, " \t\r\n\"'\\=")) {
        text_escape_all(out, TEXT_LINE, text);
        return;
    }
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    if (dump)
        text_escape_all(out, TEXT_JSON, dump);
    free(dump);
}

/* "time type key=value…"; an event that is not as expected is shown as it came. */
static void write_event(struct buf *out, const struct sse *event)
{
    json_t *json = json_loadb(event->data.data, event->data.len, 0, NULL);
    const char *type = json_string_value(json_object_get(json, "type"));
    /* A gap in the stream has its numbers at the top. */
    json_t *details = json_object_get(json, "details");
    if (!details)
        details = json;
    write_time(out, json_object_get(json, "time"));
    buf_char(out, ' ');
    text_escape_all(out, TEXT_LINE, type ? type : event->type.len > 0 ? event->type.data : "-");
    for (void *at = json_object_iter(details); at; at = json_object_iter_next(details, at)) {
        buf_char(out, ' ');
        text_escape_all(out, TEXT_LINE, json_object_iter_key(at));
        buf_char(out, '=');
        write_value(out, json_object_iter_value(at));
    }
    if (!json) {
        buf_char(out, ' ');
        text_escape(out, TEXT_LINE, event->data.data, event->data.len, false);
    }
    buf_char(out, '\n');
    json_decref(json);
}

static void print_event(const struct session *s, const struct sse *event)
{
    struct buf out = {0};
    if (s->wants_json) {
        output_json(event->data.data, event->data.len);
        return;
    }
    write_event(&out, event);
    output_safe(&out);
    buf_fini(&out);
}

/* Prints events up to the stream's end, or count_max of them when that is not 0. */
static int follow(const struct session *s, struct client_answer *a, uint64_t count_max)
{
    struct sse event;
    struct buf line = {0};
    struct err e = {.set = false};
    uint64_t count = 0;
    int rc = 1;
    sse_init(&event);
    while ((count_max == 0 || count < count_max) && !output_broken() &&
           (rc = client_read_line(a, &line, &e)) > 0) {
        if (!sse_line(&event, line.data, line.len))
            continue;
        print_event(s, &event);
        count++;
    }
    sse_fini(&event);
    buf_fini(&line);
    if (rc < 0)
        return session_failed(rc, &e);
    if (rc == 0 && count_max > 0) {
        output_complain("the daemon ended the stream after %llu of %llu events",
                        (unsigned long long)count, (unsigned long long)count_max);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int run(const struct cli_args *args)
{
    struct session s;
    struct err e = {.set = false};
    struct client_answer *a;
    const struct client_request rq = {.method = "GET",
                                      .path = "/wharf/events",
                                      .accept = "text/event-stream",
                                      .last_event_id = cli_args_text(args, "since"),
                                      .silence_ms_max = SESSION_SILENCE_MS_MAX};
    uint64_t count_max = 0;
    if (cli_args_number(args, "count", &count_max) && count_max == 0)
        return CLI_DONE;
    int status = session_open(args, &s);
    if (status != CLI_DONE)
        return status;
    int rc = client_open(&s.options, &rq, &a, &e);
    if (rc < 0)
        return session_failed(rc, &e);
    client_set_silence(a, 0);
    status = session_check_stream(&s, a, "follow the events");
    if (status == CLI_DONE)
        status = follow(&s, a, count_max);
    client_close(a);
    return status;
}

static const struct cli_option options[] = {
    {.name = "follow",
     .letter = 'f',
     .help = "Go on as events happen. That is what it does anyway."},
    {.name = "count",
     .letter = 'n',
     .kind = CLI_NUMBER,
     .value = "N",
     .help = "End after N events."},
    {.name = "since",
     .kind = CLI_NUMBER,
     .value = "ID",
     .help = "Begin behind the event of this id, where the daemon still has it."},
};

const struct cli_command cmd_events = {
    .name = "events",
    .summary = "print what happens, as it happens",
    .description =
        "Prints one line an event: its time, its type, and its details as key=value. Goes on "
        "until it is interrupted or the daemon ends. With --json, each line is the event's JSON: "
        "{\"id\",\"time\",\"type\",\"details\"}.",
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf events", "watch models come and go"},
                 {"wharf events --json --count 1", "wait for the next event"}},
    .run = run,
};
