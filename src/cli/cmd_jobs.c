/* cmd_jobs.c: `wharf jobs [logs|cancel|wait ID]`: what was submitted. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/units.h"
#include "cli/commands.h"
#include "cli/job/record.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/text_table.h"

static const struct text_column headings[] = {
    {"ID", 9, 0},    {"STATE", 8, 7}, {"NAME", 7, 8}, {"CLASS", 2, 4},   {"VRAM", 4, 0},
    {"WHERE", 3, 8}, {"SINCE", 5, 0}, {"END", 6, 7},  {"COMMAND", 1, 8},
};

/* --- listing --- */

/* What the daemon says of a lease of its own, or NULL. */
static const json_t *find_lease(const json_t *leases, const json_t *job)
{
    const char *id = json_string_value(json_object_get(job, "lease"));
    for (size_t i = 0; id && i < json_array_size(leases); i++) {
        const json_t *l = json_array_get(leases, i);
        const char *other = json_string_value(json_object_get(l, "id"));
        if (other && strcmp(other, id) == 0)
            return l;
    }
    return NULL;
}

/* A daemon that cannot be asked is no failure: jobs are there without it. NULL then. */
static json_t *fetch_leases(const struct session *s)
{
    const struct client_request rq = {
        .method = "GET", .path = "/wharf/leases", .silence_ms_max = SESSION_SILENCE_MS_MAX};
    struct client_reply r;
    struct err e = {.set = false};
    if (client_fetch(&s->options, &rq, &r, &e) < 0)
        return NULL;
    json_t *leases = client_reply_ok(&r) ? json_incref(json_object_get(r.json, "leases")) : NULL;
    client_reply_fini(&r);
    return leases;
}

static bool is_waiting_or_running(const json_t *job)
{
    const char *state = show_text(job, "state");
    return strcmp(state, "waiting") == 0 || strcmp(state, "running") == 0;
}

/* Adds to each job what the daemon says of its lease. */
static void join_leases(const struct session *s, json_t *jobs)
{
    bool wanted = false;
    for (size_t i = 0; i < json_array_size(jobs); i++)
        wanted = wanted || is_waiting_or_running(json_array_get(jobs, i));
    json_t *leases = wanted ? fetch_leases(s) : NULL;
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        json_t *job = json_array_get(jobs, i);
        const char *daemon = json_string_value(json_object_get(job, "daemon"));
        bool is_its = daemon && strcmp(daemon, s->options.address.text) == 0;
        json_t *position = is_its ? json_object_get(find_lease(leases, job), "position") : NULL;
        if (position && is_waiting_or_running(job))
            json_object_set(job, "position", position);
    }
    json_decref(leases);
}

static const char *where(const json_t *job, char out[SHOW_CELL_MAX])
{
    const json_t *devices = json_object_get(job, "devices");
    const json_t *position = json_object_get(job, "position");
    size_t at = 0;
    if (strcmp(show_text(job, "state"), "waiting") == 0) {
        if (!json_is_integer(position))
            return "-";
        snprintf(out, SHOW_CELL_MAX, "position %lld", (long long)json_integer_value(position));
        return out;
    }
    for (size_t i = 0; i < json_array_size(devices) && at < SHOW_CELL_MAX; i++)
        at += (size_t)snprintf(out + at, SHOW_CELL_MAX - at, "%s%s", i ? "," : "",
                               show_text(json_array_get(devices, i), "name"));
    return at ? out : "-";
}

static const char *how_ended(const json_t *job, char out[SHOW_CELL_MAX])
{
    const json_t *number = json_object_get(job, "signal");
    const json_t *code = json_object_get(job, "exit");
    if (json_is_true(json_object_get(job, "cancelled")))
        return "cancelled";
    if (json_is_integer(number)) {
        const char *name = sigabbrev_np((int)json_integer_value(number));
        snprintf(out, SHOW_CELL_MAX, "SIG%s", name ? name : "?");
        return out;
    }
    if (!json_is_integer(code))
        return "-";
    snprintf(out, SHOW_CELL_MAX,
             json_is_true(json_object_get(job, "was_run")) ? "%lld" : "not run, %lld",
             (long long)json_integer_value(code));
    return out;
}

static const char *since(const json_t *job, char out[SHOW_CELL_MAX])
{
    static const char *const times[] = {"ended", "started", "submitted"};
    for (size_t i = 0; i < countof(times); i++) {
        const json_t *at = json_object_get(job, times[i]);
        json_int_t age = (json_int_t)time(NULL) - json_integer_value(at);
        if (json_is_integer(at) && age > 0)
            return units_format_duration((uint64_t)age * NS_PER_S, out);
        if (json_is_integer(at))
            return "0s";
    }
    return "-";
}

static void add_row(struct text_table *table, const json_t *job)
{
    char id[SHOW_CELL_MAX], bytes[SHOW_CELL_MAX], place[SHOW_CELL_MAX], age[SHOW_CELL_MAX];
    char end[SHOW_CELL_MAX];
    const json_t *words = json_object_get(job, "command");
    struct buf command = {0};
    buf_text(&command, "");
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        buf_printf(&command, "%s%s", i ? " " : "", word ? word : "?");
    }
    const char *cells[] = {show_count(job, "id", id),
                           show_text(job, "state"),
                           show_text(job, "name"),
                           show_text(job, "class"),
                           show_bytes(job, "bytes", bytes),
                           where(job, place),
                           since(job, age),
                           how_ended(job, end),
                           command.data};
    _Static_assert(countof(cells) == countof(headings), "a heading a cell");
    text_table_add(table, cells);
    buf_fini(&command);
}

static void print_jobs(const json_t *jobs)
{
    struct text_table table;
    struct buf out = {0};
    text_table_begin(&table, headings, countof(headings));
    for (size_t i = 0; i < json_array_size(jobs); i++)
        add_row(&table, json_array_get(jobs, i));
    if (json_array_size(jobs) == 0)
        buf_text(&out, "no jobs\n");
    else
        text_table_print_within(&table, text_terminal_columns(), &out);
    output_safe(&out);
    buf_fini(&out);
    text_table_fini(&table);
}

static int list(const struct session *s)
{
    json_t *jobs;
    struct err e = {.set = false};
    if (record_list(&jobs, &e) < 0) {
        output_complain("%s", e.text);
        return CLI_FAILED;
    }
    join_leases(s, jobs);
    if (s->wants_json) {
        json_t *all = json_pack("{s:O}", "jobs", jobs);
        auto_free char *text = json_dumps(all, SHOW_JSON);
        output_json(text, strlen(text));
        json_decref(all);
    } else {
        print_jobs(jobs);
    }
    json_decref(jobs);
    return CLI_DONE;
}

/* --- one job --- */

/* {"job":7,"line":"…"} of each whole line, and at the end of what is left. */
static void print_lines(const char *id, struct buf *raw, bool more)
{
    size_t at = 0;
    while (at < raw->len) {
        const char *lf = memchr(raw->data + at, '\n', raw->len - at);
        size_t n = lf ? (size_t)(lf - raw->data) - at : raw->len - at;
        struct buf line = {0};
        if (!lf && more)
            break;
        buf_printf(&line, "{\"job\":%s,\"line\":", id);
        buf_json(&line, raw->data + at, n);
        buf_char(&line, '}');
        output_json(line.data, line.len);
        buf_fini(&line);
        at += n + (lf != NULL);
    }
    buf_consume(raw, at);
}

static bool print_rest(const char *id, struct buf *raw, int log, bool more)
{
    char data[16 * 1024];
    ssize_t n;
    while ((n = read(log, data, sizeof(data))) > 0) {
        buf_append(raw, data, (size_t)n);
        print_lines(id, raw, true);
    }
    print_lines(id, raw, more);
    return !output_broken();
}

/* As it came: the job's output is its user's own. */
static bool copy_rest(int log)
{
    char data[16 * 1024];
    ssize_t n;
    while ((n = read(log, data, sizeof(data))) > 0) {
        struct buf piece = {0};
        buf_append(&piece, data, (size_t)n);
        output_safe(&piece);
        buf_fini(&piece);
    }
    return !output_broken();
}

/* The kernel tells of what is written, and of the lock's last close, which is the job's end. */
static int follow(const struct session *s, const char *id, int log)
{
    auto_free char *folder = record_path(id, ".");
    auto_close int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char events[4096];
    struct buf raw = {0};
    if (!folder || changes < 0 ||
        inotify_add_watch(changes, folder, IN_MODIFY | IN_CLOSE_WRITE) < 0) {
        output_complain("cannot follow the log: %s", strerror(errno));
        return CLI_FAILED;
    }
    for (;;) {
        bool is_live = record_is_live(id);
        bool goes_on = s->wants_json ? print_rest(id, &raw, log, is_live) : copy_rest(log);
        if (!goes_on || !is_live)
            break;
        struct pollfd fds[] = {{.fd = changes, .events = POLLIN},
                               {.fd = s->options.stop_fd, .events = POLLIN}};
        if (poll(fds, countof(fds), -1) > 0 && fds[1].revents) {
            buf_fini(&raw);
            return CLI_FAILED;
        }
        while (read(changes, events, sizeof(events)) > 0)
            continue;
    }
    buf_fini(&raw);
    return CLI_DONE;
}

static int show_log(const struct session *s, const char *id, bool follows)
{
    auto_free char *path = record_path(id, "log");
    auto_close int log = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (log < 0) {
        output_complain("cannot read the log of job %s: %s", id, strerror(errno));
        return CLI_FAILED;
    }
    if (follows)
        return follow(s, id, log);
    struct buf raw = {0};
    (void)(s->wants_json ? print_rest(id, &raw, log, false) : copy_rest(log));
    buf_fini(&raw);
    return CLI_DONE;
}

static pid_t front_of(const char *id)
{
    auto_free char *path = record_path(id, "record.json");
    json_t *json = path ? json_load_file(path, 0, NULL) : NULL;
    pid_t pid = (pid_t)json_integer_value(json_object_get(json, "pid"));
    json_decref(json);
    return pid;
}

static int wait_for_end(const char *id)
{
    while (record_wait(id) < 0)
        if (session_interrupted())
            return CLI_FAILED;
    return CLI_DONE;
}

/* The descriptor pins the process before the lock says that it is the job's. */
static int cancel(const char *id)
{
    pid_t pid = front_of(id);
    auto_close int fd = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (!record_is_live(id)) {
        output_complain("job %s has ended already", id);
        return CLI_FAILED;
    }
    if (fd < 0 || syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) != 0) {
        output_complain("cannot end job %s: %s", id, strerror(errno));
        return CLI_FAILED;
    }
    return wait_for_end(id);
}

/* How the job has ended, for programs. */
static int print_record(const char *id)
{
    json_t *json = record_find(id);
    auto_free char *text = json ? json_dumps(json, SHOW_JSON) : NULL;
    json_decref(json);
    if (!text) {
        output_complain("job %s is no longer there", id);
        return CLI_FAILED;
    }
    output_json(text, strlen(text));
    return CLI_DONE;
}

static int run(const struct cli_args *args)
{
    struct session s;
    const char *verb = args->operand_count > 0 ? args->operands[0] : NULL;
    const char *id = args->operand_count > 1 ? args->operands[1] : NULL;
    bool follows = cli_args_flag(args, "follow");
    bool is_logs = verb && strcmp(verb, "logs") == 0;
    bool is_known = is_logs || (verb && (strcmp(verb, "cancel") == 0 || strcmp(verb, "wait") == 0));
    if ((verb && !is_known) || (is_known && !id) || (follows && !is_logs)) {
        output_complain(follows && !is_logs ? "jobs: --follow belongs to logs ID"
                        : is_known          ? "jobs: %s needs the ID of a job"
                                            : "jobs: '%.40s' is none of logs, cancel and wait",
                        verb);
        return CLI_USAGE;
    }
    auto_free char *record = id ? record_path(id, "record.json") : NULL;
    if (id && !record) {
        output_complain("there is no job %s; `wharf jobs` lists them", id);
        return CLI_USAGE;
    }
    int status = session_open(args, &s);
    if (status != CLI_DONE)
        return status;
    if (!verb)
        return list(&s);
    if (is_logs)
        return show_log(&s, id, follows);
    status = strcmp(verb, "cancel") == 0 ? cancel(id) : wait_for_end(id);
    return status == CLI_DONE && s.wants_json ? print_record(id) : status;
}

static const struct cli_option options[] = {
    {.name = "follow", .letter = 'f', .help = "With logs: go on until the job has ended."},
};

const struct cli_command cmd_jobs = {
    .name = "jobs",
    .summary = "list submitted jobs, show their logs, end them",
    .description =
        "Without operands: the user's jobs, with their place in the queue where the daemon tells "
        "it. `logs ID` prints what a job has written, `cancel ID` ends it as a revocation would "
        "and returns when nothing of it runs any more, `wait ID` returns when it has ended. A job "
        "is lost when its own processes were killed, or the machine went down under it. The last "
        "hundred ended jobs are kept. With --json, a line of a log is an object, "
        "{\"job\",\"line\"}, "
        "and cancel and wait print the job as it has ended.",
    .operand = "logs|cancel|wait ID",
    .operands_max = 2,
    .operand_takes = {CLI_A_WORD, CLI_A_JOB},
    .operand_words = "logs cancel wait",
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf jobs", "what waits, runs and has ended"},
                 {"wharf jobs logs -f 7", "follow the output of job 7"},
                 {"wharf jobs cancel 7", "end it"}},
    .run = run,
};
