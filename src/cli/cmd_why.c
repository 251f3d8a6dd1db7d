/* cmd_why.c: `wharf why [NAME]`: why models and leases came, left and were refused, and what one
 * waits for. */
#include <jansson.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/job/record.h"
#include "cli/output.h"
#include "cli/plan_text.h"
#include "cli/show.h"
#include "cli/text.h"

static const char *verb_of(const char *type)
{
    static const struct {
        const char *type, *verb;
    } verbs[] = {{"evict", "left"},
                 {"refused", "was refused"},
                 {"model_loading", "began to load"},
                 {"model_unloading", "was unloaded"},
                 {"idle_unload", "was unloaded"},
                 {"load_failed", "failed to load"},
                 {"blocked", "cannot come in"},
                 {"stuck", "cannot be ended"},
                 {"lease_granted", "was granted"},
                 {"lease_revoked", "was asked back"},
                 {"lease_ended", "was ended"},
                 {"starving", "has waited for five minutes"}};
    for (size_t i = 0; i < countof(verbs); i++)
        if (strcmp(verbs[i].type, type) == 0)
            return verbs[i].verb;
    return type;
}

/* Behind the first line may come a model's log: it belongs to the failure, and those who were
 * refused for it need not repeat it. */
static void write_detail(struct buf *out, const json_t *d)
{
    const char *line = json_string_value(json_object_get(d, "detail"));
    bool whole = strcmp(show_text(d, "type"), "load_failed") == 0;
    while (line) {
        size_t n = strcspn(line, "\n");
        buf_text(out, "\n    ");
        text_escape(out, TEXT_LINE, line, n, false);
        line = whole && line[n] ? line + n + 1 : NULL;
    }
}

/* Who else could have left, and what each would have cost. Nobody else: nothing to choose. */
static void write_candidates(struct buf *out, const json_t *d)
{
    char bytes[SHOW_CELL_MAX], reload[SHOW_CELL_MAX];
    const json_t *all = json_object_get(d, "candidates");
    for (size_t i = 0; json_array_size(all) > 1 && i < json_array_size(all); i++) {
        const json_t *c = json_array_get(all, i);
        buf_text(out, "\n    ");
        text_escape_all(out, TEXT_LINE, show_text(c, "model"));
        buf_printf(out, ": %s", show_bytes(c, "bytes", bytes));
        if (json_is_number(json_object_get(c, "reload_s")))
            buf_printf(out, ", %s to load again", show_seconds(c, "reload_s", reload));
        buf_printf(out, ", asked for next: %.1f %%",
                   json_number_value(json_object_get(c, "next_percent")));
        if (json_is_true(json_object_get(c, "pinned")))
            buf_text(out, ", pinned");
        if (json_is_true(json_object_get(c, "busy")))
            buf_text(out, ", busy");
        if (strcmp(show_text(c, "model"), show_text(d, "model")) == 0)
            buf_text(out, " (left)");
    }
}

/* "lease train (3faa1614a4817be5)", or by its id alone. */
static void write_label(struct buf *out, const json_t *of, const char *id, const char *name)
{
    buf_text(out, "lease ");
    if (json_is_string(json_object_get(of, name))) {
        text_escape_all(out, TEXT_LINE, show_text(of, name));
        buf_text(out, " (");
        text_escape_all(out, TEXT_LINE, show_text(of, id));
        buf_char(out, ')');
    } else {
        text_escape_all(out, TEXT_LINE, show_text(of, id));
    }
}

static void write_decision(struct buf *out, const json_t *d)
{
    static const struct {
        const char *name, *words;
    } others[] = {{"for_model", " for "}, {"by_model", " because of "}};
    char bytes[SHOW_CELL_MAX], idle[SHOW_CELL_MAX], devices[SHOW_CELL_MAX];
    const char *model = json_string_value(json_object_get(d, "model"));
    json_int_t count = json_integer_value(json_object_get(d, "count"));
    text_escape_all(out, TEXT_LINE, show_text(d, "time"));
    buf_char(out, ' ');
    if (model)
        text_escape_all(out, TEXT_LINE, model);
    else
        write_label(out, d, "lease", "lease_name");
    buf_char(out, ' ');
    text_escape_all(out, TEXT_LINE, verb_of(show_text(d, "type")));
    if (json_is_string(json_object_get(d, "for_lease"))) {
        buf_text(out, " for ");
        write_label(out, d, "for_lease", "for_lease_name");
    }
    for (size_t i = 0; i < countof(others); i++) {
        if (!json_is_string(json_object_get(d, others[i].name)))
            continue;
        buf_text(out, others[i].words);
        text_escape_all(out, TEXT_LINE, show_text(d, others[i].name));
    }
    const char *sep = ": ";
    if (json_is_string(json_object_get(d, "reason"))) {
        buf_text(out, sep);
        text_escape_all(out, TEXT_LINE, show_text(d, "reason"));
        sep = "; ";
    }
    if (json_is_integer(json_object_get(d, "bytes")))
        buf_printf(out, "%s%s", sep, show_bytes(d, "bytes", bytes));
    if (json_array_size(json_object_get(d, "devices"))) {
        buf_text(out, " on ");
        text_escape_all(out, TEXT_LINE, show_list(d, "devices", devices));
    }
    if (json_is_number(json_object_get(d, "last_used_s")))
        buf_printf(out, "; last used %s before", show_seconds(d, "last_used_s", idle));
    if (count > 1)
        buf_printf(out, " (%lld times)", (long long)count);
    write_detail(out, d);
    write_candidates(out, d);
    buf_char(out, '\n');
}

static void write_decisions(struct buf *out, const json_t *answer)
{
    const json_t *decisions = json_object_get(answer, "decisions");
    for (size_t i = 0; i < json_array_size(decisions); i++)
        write_decision(out, json_array_get(decisions, i));
    if (json_array_size(decisions) == 0)
        buf_text(out, "nothing was decided so far\n");
}

/* ---- how one stands ---- */

static void write_first(struct buf *out, const json_t *answer, const json_t *model)
{
    char waiting[SHOW_CELL_MAX], since[SHOW_CELL_MAX], left[SHOW_CELL_MAX], due[SHOW_CELL_MAX];
    const json_t *first = json_object_get(answer, "first_waiting");
    if (!json_is_object(first))
        return;
    buf_printf(out, "%s waiting for it, the first (%s) for %s, about %s more",
               show_count(model, "waiting", waiting), show_text(first, "class"),
               show_seconds(first, "since_s", since), show_seconds(first, "estimate_s", left));
    if (json_is_number(json_object_get(first, "deadline_s")))
        buf_printf(out, ", overdue in %s", show_seconds(first, "deadline_s", due));
    if (json_is_string(json_object_get(first, "for"))) {
        buf_text(out, ": for ");
        text_escape_all(out, TEXT_LINE, show_text(first, "for"));
    }
    buf_char(out, '\n');
}

static void write_model(struct buf *out, const json_t *answer)
{
    char devices[SHOW_CELL_MAX];
    const json_t *model = json_object_get(answer, "model");
    const char *reason = json_string_value(json_object_get(model, "reason"));
    if (!json_is_object(model))
        return;
    text_escape_all(out, TEXT_LINE, show_text(model, "id"));
    const char *state = show_text(model, "state");
    buf_printf(out, strcmp(state, "error") == 0 ? " is in %s" : " is %s", state);
    if (json_array_size(json_object_get(model, "devices")))
        buf_printf(out, " on %s", show_list(model, "devices", devices));
    if (reason) {
        buf_text(out, ": ");
        text_escape_all(out, TEXT_LINE, reason);
    }
    buf_char(out, '\n');
    write_first(out, answer, model);
    if (strcmp(show_text(json_object_get(answer, "plan"), "verdict"), "here") != 0)
        plan_text(out, json_object_get(answer, "plan"));
}

static void write_lease(struct buf *out, const json_t *l)
{
    char bytes[SHOW_CELL_MAX], since[SHOW_CELL_MAX], place[SHOW_CELL_MAX], left[SHOW_CELL_MAX];
    char devices[SHOW_CELL_MAX], gates[SHOW_CELL_MAX];
    bool waits = json_is_integer(json_object_get(l, "position"));
    write_label(out, l, "id", "name");
    if (waits)
        buf_printf(out, " has waited for %s, place %s", show_seconds(l, "since_s", since),
                   show_count(l, "position", place));
    else
        buf_printf(out, " is %s, for %s", show_text(l, "state"),
                   show_seconds(l, "granted_s", since));
    if (json_is_number(json_object_get(l, "estimate_s")))
        buf_printf(out, ", about %s more", show_seconds(l, "estimate_s", left));
    if (waits) {
        buf_text(out, ": for ");
        text_escape_all(out, TEXT_LINE, show_text(l, "for"));
    } else if (json_integer_value(json_object_get(l, "bytes")) > 0) {
        buf_printf(out, ", with %s on ", show_bytes(l, "bytes", bytes));
        text_escape_all(out, TEXT_LINE, show_list(l, "devices", devices));
    }
    if (json_array_size(json_object_get(l, "gates"))) {
        buf_text(out, waits ? "; it wants gates " : ", with gates ");
        text_escape_all(out, TEXT_LINE, show_list(l, "gates", gates));
    }
    if (json_is_number(json_object_get(l, "expires_s")))
        buf_printf(out, ", ends in %s unless it is renewed", show_seconds(l, "expires_s", left));
    buf_char(out, '\n');
}

static void write_job(struct buf *out, const json_t *job)
{
    char id[SHOW_CELL_MAX], code[SHOW_CELL_MAX];
    if (!job)
        return;
    buf_printf(out, "job %s (", show_count(job, "id", id));
    text_escape_all(out, TEXT_LINE, show_text(job, "name"));
    buf_printf(out, ") is %s", show_text(job, "state"));
    if (json_is_integer(json_object_get(job, "exit")))
        buf_printf(out, ", with status %s", show_count(job, "exit", code));
    if (json_is_integer(json_object_get(job, "signal")))
        buf_printf(out, ", by signal %s", show_count(job, "signal", code));
    buf_char(out, '\n');
}

static void write_one(struct buf *out, const json_t *answer)
{
    const json_t *leases = json_object_get(answer, "leases");
    write_job(out, json_object_get(answer, "job"));
    write_model(out, answer);
    for (size_t i = 0; i < json_array_size(leases); i++)
        write_lease(out, json_array_get(leases, i));
    if (json_array_size(json_object_get(answer, "decisions")))
        write_decisions(out, answer);
}

/* ---- asking ---- */

static void write_query(struct buf *path, const struct cli_args *args)
{
    uint64_t count;
    if (cli_args_number(args, "count", &count))
        buf_printf(path, "?limit=%llu", (unsigned long long)count);
}

static int all(const struct cli_args *args)
{
    struct buf path = {0};
    buf_text(&path, "/wharf/decisions");
    write_query(&path, args);
    const struct client_request rq = {
        .method = "GET", .path = path.data, .silence_ms_max = SESSION_SILENCE_MS_MAX};
    int status = show_answer(args, &rq, "look at the decisions", write_decisions);
    buf_fini(&path);
    return status;
}

/* {} where the daemon has forgotten a job's lease, or was another one. */
static int ask(const struct session *s, const struct cli_args *args, const char *name,
               bool may_be_gone, json_t **ret)
{
    struct buf path = {0};
    struct client_reply r;
    struct err e = {.set = false};
    auto_free char *what = alloc_printf("look into '%s'", name);
    int status = CLI_DONE;
    buf_text(&path, "/wharf/why/");
    client_encode_segment(&path, name);
    write_query(&path, args);
    const struct client_request rq = {
        .method = "GET", .path = path.data, .silence_ms_max = SESSION_SILENCE_MS_MAX};
    int rc = client_fetch(&s->options, &rq, &r, &e);
    buf_fini(&path);
    if (rc < 0)
        return session_failed(rc, &e);
    if (may_be_gone && r.status == 404)
        *ret = json_object();
    else if (!client_reply_ok(&r))
        status = session_refused(s, &r, what);
    else
        *ret = r.json ? json_incref(r.json) : json_object();
    client_reply_fini(&r);
    return status;
}

static int one(const struct cli_args *args, const char *name)
{
    struct session s;
    struct buf out = {0};
    json_t *answer = NULL, *job = record_find(name);
    const char *lease = json_string_value(json_object_get(job, "lease"));
    int status = session_open(args, &s);
    if (status == CLI_DONE)
        status = ask(&s, args, lease ? lease : name, job != NULL, &answer);
    if (status == CLI_DONE && job)
        json_object_set(answer, "job", job);
    if (status == CLI_DONE && s.wants_json) {
        auto_free char *text = json_dumps(answer, SHOW_JSON);
        output_json(text, strlen(text));
    } else if (status == CLI_DONE) {
        write_one(&out, answer);
        show_lines(&out);
    }
    buf_fini(&out);
    json_decref(answer);
    json_decref(job);
    return status;
}

static int run(const struct cli_args *args)
{
    return args->operand_count ? one(args, args->operands[0]) : all(args);
}

static const struct cli_option options[] = {
    {.name = "count",
     .letter = 'n',
     .kind = CLI_NUMBER,
     .value = "N",
     .help = "The last N of them; 100 by default. The daemon keeps 1000."},
};

const struct cli_command cmd_why = {
    .name = "why",
    .summary = "say why models and leases came, left, were refused, or wait",
    .description =
        "The daemon's last decisions, the newest at the end: what was loaded and for whom, what "
        "left, for whom and why it and no other, what was refused and with which numbers, which "
        "leases were granted and asked back.\n\n"
        "With NAME, a model, a lease by its id or name, or one's own job by its number: how it "
        "stands now, since when it waits and for what, what would have to leave for a model that "
        "is not loaded, and the decisions about it.",
    .operand = "NAME",
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf why", "what happened lately"},
                 {"wharf why qwen -n 5", "what is qwen waiting for? And its last five decisions"},
                 {"wharf why 7", "and job 7?"}},
    .run = run,
};
