/* complete_names.c: what completions ask the daemon for, and the records of jobs. */
#include <jansson.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/complete.h"
#include "cli/job/record.h"
#include "client/client.h"
#include "client/reply.h"

/* A person waits, with a finger on the key. */
#define TIME_MS_MAX 250

/* Where the names of a kind stand in an answer of the daemon's. */
struct source {
    const char *path;
    const char *list;  /* an array of objects, or an object whose keys are the names */
    const char *name;  /* a member of the array's objects; NULL: they are texts */
    const char *about; /* a member with a word on it, or NULL */
    const char *more;  /* a name that is in no list, or NULL */
    enum offer_kind kind;
    const char *behind; /* stands behind each name */
};

static const struct source sources[] = {
    [CLI_A_MODEL] = {"/wharf/models", "models", "id", "state", NULL, OFFER_WORD, ""},
    [CLI_A_PLACE] = {"/wharf/models/", "placements", NULL, NULL, NULL, OFFER_WORD, ""},
    [CLI_A_DEVICE] = {"/wharf/devices", "devices", "name", NULL, NULL, OFFER_WORD, ""},
    [CLI_A_GATE] = {"/wharf/leases", "gates", "name", NULL, NULL, OFFER_WORD, ""},
    [CLI_A_MODE] = {"/wharf/mode", "modes", NULL, NULL, "idle", OFFER_WORD, ""},
    /* The token is its holder's alone. */
    [CLI_A_LEASE] = {"/wharf/leases", "leases", "id", "name", NULL, OFFER_BARE, ":"},
};

struct name_offers {
    const struct offers *to;
    const struct source *source;
    const char *prefix;
};

static void offer_name(const struct name_offers *n, const char *name, const char *about)
{
    auto_free char *text = name ? alloc_printf("%s%s%s", n->prefix, name, n->source->behind) : NULL;
    const struct offer offer = {.kind = n->source->kind, .text = text, .about = about};
    if (text)
        n->to->take(n->to->arg, &offer);
}

static void offer_answer(const struct name_offers *n, json_t *answer)
{
    json_t *list = json_object_get(answer, n->source->list), *item;
    const char *key;
    size_t i;
    json_array_foreach(list, i, item)
    {
        const char *name = n->source->name ? n->source->name : "";
        const json_t *member = json_is_string(item) ? item : json_object_get(item, name);
        const char *about = n->source->about;
        offer_name(n, json_string_value(member),
                   about ? json_string_value(json_object_get(item, about)) : NULL);
    }
    json_object_foreach(list, key, item) offer_name(n, key, NULL);
    if (list && n->source->more)
        offer_name(n, n->source->more, NULL);
}

static void on_alarm(int number)
{
    (void)number;
    _exit(CLI_DONE);
}

/* Whatever it is that takes so long: a name look-up, a daemon that is busy, one that is none. Names
 * come last, and nothing was printed yet. */
static void limit_time(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval limit = {.it_value.tv_usec = TIME_MS_MAX * 1000};
    if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &limit, NULL) != 0)
        _exit(CLI_FAILED);
}

static void ask_daemon(const struct cli_args *args, const char *before, const struct name_offers *n)
{
    struct client_options options = {.key = cli_args_text(args, "key"), .stop_fd = -1};
    struct client_reply reply;
    struct buf path = {0};
    struct err e = {.set = false};
    const char *url = cli_args_text(args, "url");
    if (!url)
        client_address_default(&options.address);
    else if (client_address_parse(url, &options.address, &e) < 0)
        return;
    limit_time();
    buf_text(&path, n->source->path);
    if (before)
        client_encode_segment(&path, before);
    const struct client_request rq = {.method = "GET", .path = path.data};
    if (client_fetch(&options, &rq, &reply, &e) == 0) {
        if (client_reply_ok(&reply))
            offer_answer(n, reply.json);
        client_reply_fini(&reply);
    }
    buf_fini(&path);
}

static void offer_jobs(const char *prefix, const struct offers *to)
{
    json_t *jobs, *job;
    struct err e = {.set = false};
    size_t i;
    if (record_list(&jobs, &e) < 0)
        return;
    json_array_foreach(jobs, i, job)
    {
        auto_free char *text = alloc_printf(
            "%s%lld", prefix, (long long)json_integer_value(json_object_get(job, "id")));
        const struct offer offer = {.text = text,
                                    .about = json_string_value(json_object_get(job, "name"))};
        to->take(to->arg, &offer);
    }
    json_decref(jobs);
}

void complete_names(const struct cli_args *args, enum cli_takes takes, const char *before,
                    const char *prefix, const struct offers *to)
{
    bool wants_before = takes == CLI_A_PLACE;
    if (takes == CLI_A_JOB) {
        offer_jobs(prefix, to);
        return;
    }
    must(takes < countof(sources) && sources[takes].path);
    const struct name_offers n = {.to = to, .source = &sources[takes], .prefix = prefix};
    if (args->command->shared & CLI_WITH_DAEMON && (!wants_before || before))
        ask_daemon(args, wants_before ? before : NULL, &n);
}
