/* cmd_lease.c: `wharf lease`, `wharf lease hold`, `wharf lease end`: memory and gate slots of jobs.
 */
#include <jansson.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/lease_ask.h"
#include "cli/output.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/text_table.h"
#include "config/nearest.h"

static const struct text_column headings[] = {
    {"ID", 8, 0},      {"NAME", 9, 8},  {"STATE", 7, 7}, {"CLASS", 2, 4},   {"BYTES", 6, 0},
    {"DEVICES", 4, 6}, {"GATES", 3, 6}, {"PID", 1, 0},   {"EXPIRES", 5, 0}, {"FOR", 0, 8},
};

/* ---- the list ---- */

static void add_lease(struct text_table *table, const json_t *l)
{
    char bytes[SHOW_CELL_MAX], devices[SHOW_CELL_MAX], gates[SHOW_CELL_MAX], pid[SHOW_CELL_MAX];
    char expires[SHOW_CELL_MAX];
    bool has_bytes = json_integer_value(json_object_get(l, "bytes")) > 0;
    const char *cells[] = {show_text(l, "id"),
                           show_text(l, "name"),
                           show_text(l, "state"),
                           show_text(l, "class"),
                           has_bytes ? show_bytes(l, "bytes", bytes) : "-",
                           show_list(l, "devices", devices),
                           show_list(l, "gates", gates),
                           show_count(l, "pid", pid),
                           show_seconds(l, "expires_s", expires),
                           show_text(l, "for")};
    _Static_assert(countof(cells) == countof(headings), "a heading a cell");
    text_table_add(table, cells);
}

static void write_leases(struct buf *out, const json_t *answer)
{
    const json_t *leases = json_object_get(answer, "leases");
    struct text_table table;
    if (json_array_size(leases) == 0) {
        buf_text(out, "no leases\n");
        return;
    }
    text_table_begin(&table, headings, countof(headings));
    for (size_t i = 0; i < json_array_size(leases); i++)
        add_lease(&table, json_array_get(leases, i));
    text_table_print_within(&table, text_terminal_columns(), out);
    text_table_fini(&table);
}

static int list(const struct cli_args *args)
{
    const struct client_request rq = {
        .method = "GET", .path = "/wharf/leases", .silence_ms_max = SESSION_SILENCE_MS_MAX};
    return show_answer(args, &rq, "list the leases", write_leases);
}

/* ---- the end of one ---- */

static int end(const struct cli_args *args)
{
    struct session s;
    struct client_reply r;
    struct err e = {.set = false};
    struct buf path = {0}, body = {0};
    const char *mark = args->operand_count > 1 ? args->operands[1] : cli_args_text(args, "lease");
    const char *colon = mark ? strchr(mark, ':') : NULL;
    if (!colon || colon == mark || !colon[1]) {
        output_complain(
            mark ? "lease: '%.80s' is not ID:TOKEN, as in WHARF_LEASE: a lease is ended by "
                   "who has its token"
                 : "lease: end needs ID:TOKEN, as in WHARF_LEASE",
            mark);
        return CLI_USAGE;
    }
    int status = session_open(args, &s);
    if (status != CLI_DONE)
        return status;
    auto_free char *id = alloc_text_n(mark, (size_t)(colon - mark));
    buf_text(&path, "/wharf/leases/");
    client_encode_segment(&path, id);
    buf_char(&body, '{');
    lease_ask_text(&body, "token", colon + 1);
    buf_char(&body, '}');
    const struct client_request rq = {.method = "DELETE",
                                      .path = path.data,
                                      .body = body.data,
                                      .body_len = body.len,
                                      .silence_ms_max = SESSION_SILENCE_MS_MAX};
    int rc = client_fetch(&s.options, &rq, &r, &e);
    buf_fini(&path);
    buf_fini(&body);
    if (rc < 0)
        return session_failed(rc, &e);
    if (!client_reply_ok(&r)) {
        status = session_refused(&s, &r, "end the lease");
    } else if (s.wants_json) {
        json_t *ended =
            json_pack("{s:s%, s:s}", "lease", mark, (size_t)(colon - mark), "state", "ended");
        auto_free char *text = json_dumps(ended, JSON_COMPACT);
        output_json(text ? text : "{}", text ? strlen(text) : 2);
        json_decref(ended);
    }
    client_reply_fini(&r);
    return status;
}

/* ---- holding one ---- */

/* So that a shell takes it for exactly that (POSIX shell, section 2.2.2). Nothing is escaped for a
 * terminal: that would be another value. */
static void put_quoted(struct buf *out, const char *text)
{
    buf_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_text(out, "'\\''");
        else
            buf_char(out, *text);
    }
    buf_char(out, '\'');
}

static void print_environment(const json_t *line)
{
    const char *name;
    const json_t *value;
    struct buf out = {0};
    json_t *env = json_object_get(line, "environment");
    json_object_foreach(env, name, value)
    {
        buf_printf(&out, "export %s=", name);
        put_quoted(&out, json_string_value(value));
        buf_char(&out, '\n');
    }
    output_safe(&out);
    buf_fini(&out);
}

/* What people are told, on stderr: stdout is for the shell. */
static void tell(const json_t *line, const char *state)
{
    char place[SHOW_CELL_MAX];
    if (strcmp(state, "waiting") == 0)
        output_complain("lease: waiting, place %s, for %s", show_count(line, "position", place),
                        show_text(line, "for"));
    else if (strcmp(state, "refused") == 0)
        output_complain("lease: refused: %s", show_text(json_object_get(line, "error"), "message"));
    else if (strcmp(state, "granted") != 0)
        output_complain("lease: %s: %s", state, show_text(line, "reason"));
}

/* Whether the lease goes on; if not, *ret_status says how it ended. */
static bool take_line(const struct session *s, const struct buf *text, int *ret_status)
{
    json_t *line = json_loadb(text->data, text->len, 0, NULL);
    const char *state = json_string_value(json_object_get(line, "state"));
    bool over = state && (strcmp(state, "ended") == 0 || strcmp(state, "refused") == 0);
    if (state && s->wants_json) {
        output_json(text->data, text->len);
    } else if (state) {
        tell(line, state);
        if (strcmp(state, "granted") == 0)
            print_environment(line);
    }
    const json_t *error = json_object_get(line, "error");
    *ret_status = session_status_of(json_string_value(json_object_get(error, "code")));
    json_decref(line);
    return !over;
}

static int follow(const struct session *s, struct client_answer *a)
{
    struct buf line = {0};
    struct err e = {.set = false};
    bool goes_on = true;
    int rc = 1, status = CLI_FAILED;
    while (goes_on && (rc = client_read_line(a, &line, &e)) > 0)
        goes_on = take_line(s, &line, &status);
    buf_fini(&line);
    if (rc < 0)
        return session_failed(rc, &e);
    if (goes_on)
        output_complain("lease: the daemon has ended");
    return goes_on ? CLI_FAILED : status;
}

static int hold(const struct cli_args *args)
{
    struct session s;
    struct client_answer *a;
    struct err e = {.set = false};
    struct buf body = {0};
    struct lease_ask ask;
    int status = lease_ask_read(args, &ask);
    if (status == CLI_DONE)
        status = session_open(args, &s);
    if (status != CLI_DONE)
        return status;
    buf_char(&body, '{');
    lease_ask_write(&ask, 0, &body);
    buf_char(&body, '}');
    const struct client_request rq = {
        .method = "POST", .path = "/wharf/leases", .body = body.data, .body_len = body.len};
    int rc = client_open(&s.options, &rq, &a, &e);
    buf_fini(&body);
    if (rc < 0)
        return session_failed(rc, &e);
    status = session_check_stream(&s, a, "get the lease");
    if (status == CLI_DONE)
        status = follow(&s, a);
    client_close(a);
    return status;
}

static int run(const struct cli_args *args)
{
    static const char *const verbs[] = {"list", "hold", "end"};
    const char *what = args->operand_count ? args->operands[0] : verbs[0];
    struct nearest near = nearest_to(what);
    bool ends = strcmp(what, "end") == 0, holds = strcmp(what, "hold") == 0;
    for (size_t i = 0; i < countof(verbs); i++)
        nearest_offer(&near, verbs[i]);
    if (!ends && !holds && strcmp(what, "list") != 0) {
        output_complain("lease: list, hold or end, not '%s'%s%s%s", what,
                        near.best ? "; did you mean '" : "", near.best ? near.best : "",
                        near.best ? "'?" : "");
        return CLI_USAGE;
    }
    if (args->operand_count > 1 && !ends) {
        output_complain("lease: only end takes another operand");
        return CLI_USAGE;
    }
    if (!holds && lease_ask_given(args)) {
        output_complain(
            "lease: what is asked for a job, such as --vram and --gate, belongs to hold");
        return CLI_USAGE;
    }
    return ends ? end(args) : holds ? hold(args) : list(args);
}

static const struct cli_option options[] = {
    LEASE_ASK_OPTIONS,
    LEASE_ASK_TERMS,
    {.name = "lease",
     .kind = CLI_TEXT,
     .value = "ID:TOKEN",
     .takes = CLI_A_LEASE,
     .env = "WHARF_LEASE",
     .help = "With end: which one, where it is not given as an operand."},
};

const struct cli_command cmd_lease = {
    .name = "lease",
    .summary = "list, hold or end leases of memory and gate slots",
    .description =
        "`list`, or nothing: one line a lease: its id and name, how it stands, what it has where, "
        "when it ends unless it is renewed, and what it waits for.\n\n"
        "`hold` asks for a lease, by the options, and keeps it until it is interrupted. Once it is "
        "granted, the "
        "variables that its jobs need are printed as a shell's export lines; while it waits, and "
        "when it is asked back, it says so on stderr. It fails when the lease is refused or "
        "ends.\n\n"
        "`end ID:TOKEN` ends one. Both are in WHARF_LEASE, in the environment of its jobs.",
    .operand = "WHAT",
    .operands_max = 2,
    .operand_takes = {CLI_A_WORD, CLI_A_LEASE},
    .operand_words = "list hold end",
    .second_after = "end",
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf lease", "who has what"},
                 {"wharf lease hold --vram 6GiB > job.env", "hold one for another shell"},
                 {"wharf lease end $WHARF_LEASE", "give it back early"}},
    .run = run,
};
