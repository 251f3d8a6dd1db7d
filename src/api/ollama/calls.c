/* A call's way: its body is read and translated, off the loop where it is large; then it goes on as
 * a request of OpenAI's, or it is one that only loads or unloads. */
#include "api/ollama/calls.h"

#include <stdlib.h>
#include <string.h>

#include "api/ollama/answer.h"
#include "api/ollama/ask.h"
#include "api/ollama/names.h"
#include "base/alloc.h"
#include "base/pure/errors.h"
#include "server/abort.h"
#include "server/models/naming.h"
#include "server/proxy/entry.h"
#include "server/proxy/routing.h"
#include "server/record/traffic.h"
#include "server/work.h"

/* What is larger is not translated on the loop, and what is larger still not at all: the tree takes
 * several times as much while it stands. */
#define LOOP_BYTES_MAX (256 * 1024)
#define BYTES_MAX (32 * 1024 * 1024)

struct job {
    struct work work;
    struct body body; /* taken from the exchange */
    struct ollama_ask ask;
    int rc; /* of reading the body */
};

/* ---- models that are to come or to go ---- */

static void on_kept(struct exchange *ex)
{
    (void)ex; /* nobody waits for it */
}

void ollama_keep(struct exchange *ex, const struct ollama_ask *ask)
{
    if (ask->keeps && ex->slot != CORE_SLOT_NONE)
        exchange_keep(ex, ex->slot, ask->keep_ns, on_kept);
}

static void answer_loaded(struct exchange *ex)
{
    ollama_answer_nothing(ex, "load");
}

static void on_loaded(struct exchange *ex)
{
    const struct ollama_ask *ask = ollama_answer_ask(ex);
    if (ex->command_result != REASON_NONE)
        api_fail_reason(ex, ex->slot, ex->command_result);
    else if (ask->keeps)
        exchange_keep(ex, ex->slot, ask->keep_ns, answer_loaded);
    else
        answer_loaded(ex);
}

static void answer_leaving(struct exchange *ex)
{
    ollama_answer_nothing(ex, "unload");
}

/* As soon as it is idle, which nobody waits for. What is not there is not told: that would hold for
 * the next load. */
static void let_go(struct exchange *ex)
{
    if (ex->slot != CORE_SLOT_NONE && api_counts_as_loaded(ex->server, ex->slot))
        exchange_keep(ex, ex->slot, 0, answer_leaving);
    else
        answer_leaving(ex);
}

/* There is nothing to answer to. A peer's models come and go as it likes. */
static void load_or_unload(struct exchange *ex, const char *name)
{
    const struct ollama_ask *ask = ollama_answer_ask(ex);
    bool leave = ask->keeps && ask->keep_ns == 0;
    struct naming who;
    if ((leave && !entry_permits(ex, RIGHT_OPERATE)) || !exchange_name(ex, name, &who))
        return;
    ex->slot = who.slot;
    ex->state = EXCHANGE_LOCAL;
    traffic_begin(ex);
    if (leave)
        let_go(ex);
    else if (ex->slot == CORE_SLOT_NONE)
        answer_loaded(ex);
    else
        exchange_command(ex, ex->slot, COMMAND_LOAD, on_loaded);
}

/* ---- the way ---- */

/* Whether an Ollama server has the model: it understands the request as it is, and better. What a
 * selector may choose is asked in OpenAI's words, which all of them understand. */
static bool is_native(const struct exchange *ex, const char *name)
{
    const struct config *c = ex->config->config;
    const struct config_pin *pin = profiles_pin(ex->server, c, name);
    const struct config_name *found = config_find_name(c, pin ? pin->target : name);
    return found && found->kind == CONFIG_NAME_MODEL && *c->models[found->index].backend_model;
}

static void pass_on(struct exchange *ex, struct ollama_ask *ask, const char *name)
{
    ex->ask.keeps = ask->keeps;
    ex->ask.keep_ns = ask->keep_ns;
    exchange_untranslated(ex, name);
    ollama_ask_fini(ask);
}

/* Takes over what is in ask. */
static void go_on(struct exchange *ex, struct ollama_ask *ask)
{
    char made[API_NAME_MAX];
    /* When a model leaves is everybody's matter: who may not unload one is not heeded, and refused
     * where that is all that he wants. */
    if (!auth_may(&ex->ask.auth, RIGHT_OPERATE) && (!ask->empty || ask->keep_ns > 0))
        ask->keeps = false;
    const char *native = ask->read && !ask->empty ? ollama_name_find(ex, ask->model, made) : NULL;
    if (native && is_native(ex, native)) {
        pass_on(ex, ask, native);
        return;
    }
    if (ask->error) {
        exchange_fail_error(ex, ask->error, ask->why.data);
        ollama_ask_fini(ask);
        return;
    }
    char *body = ask->body;
    struct exchange_words words = {.path = ask->path, .body = body, .body_len = ask->body_len};
    bool empty = ask->empty;
    ask->body = NULL;
    ollama_answer_begin(ex, ask);
    words.model = ollama_name_find(ex, ollama_answer_ask(ex)->model, made);
    if (empty)
        load_or_unload(ex, words.model);
    else
        exchange_translated(ex, &words);
    free(body);
}

/* The body in one piece. */
static int read_body(const struct body *body, char *scratch, struct buf *out)
{
    const char *data;
    size_t n = 1;
    int rc = 0;
    while (rc == 0 && n) {
        rc = body_peek(body, out->len, scratch, SERVER_SCRATCH_BYTES, &data, &n);
        if (rc == 0)
            buf_append(out, data, n);
        if (out->overflow)
            rc = -ERR_OVERLOADED;
    }
    return rc;
}

static int read_ask(const struct body *body, char *scratch, struct ollama_ask *ask)
{
    struct buf text = {.max = BYTES_MAX};
    buf_text(&text, "");
    int rc = read_body(body, scratch, &text);
    if (rc == 0 && !abort_json_fits(text.len))
        rc = -ERR_OVERLOADED;
    if (rc == 0)
        ollama_ask_read(ask, text.data, text.len);
    buf_fini(&text);
    return rc;
}

static void run_job(struct work *w)
{
    struct job *job = container_of(w, struct job, work);
    char *scratch = alloc_zeroed(1, SERVER_SCRATCH_BYTES);
    job->rc = read_ask(&job->body, scratch, &job->ask);
    free(scratch);
}

static void on_job_done(struct exchange *ex, struct work *w)
{
    struct job *job = container_of(w, struct job, work);
    struct ollama_ask ask = job->ask;
    int rc = job->rc;
    if (ex)
        ex->body = job->body;
    else
        body_fini(&job->body);
    free(job);
    if (ex && rc == 0) {
        go_on(ex, &ask);
        return;
    }
    ollama_ask_fini(&ask);
    if (ex)
        exchange_fail_error(ex, rc, NULL);
}

static void begin_job(struct exchange *ex, enum ollama_call call)
{
    struct job *job = alloc_zeroed(1, sizeof(*job));
    job->ask.call = call;
    job->body = ex->body;
    ex->body = (struct body){0};
    job->work.run = run_job;
    job->work.done = on_job_done;
    work_begin(&job->work, ex);
}

static void begin(struct exchange *ex, enum ollama_call call)
{
    struct ollama_ask ask = {.call = call};
    uint64_t size = body_size(&ex->body);
    if (size > BYTES_MAX) {
        exchange_fail_error(ex, ERR_BODY_TOO_LARGE, "requests that are translated may have 32 MiB");
    } else if (size > LOOP_BYTES_MAX) {
        begin_job(ex, call);
    } else {
        int rc = read_ask(&ex->body, ex->server->spool_scratch, &ask);
        if (rc < 0)
            exchange_fail_error(ex, rc, NULL);
        else
            go_on(ex, &ask);
    }
}

void ollama_call_chat(struct server *s, struct exchange *ex)
{
    (void)s;
    begin(ex, OLLAMA_CHAT);
}

void ollama_call_generate(struct server *s, struct exchange *ex)
{
    (void)s;
    begin(ex, OLLAMA_GENERATE);
}

void ollama_call_embed(struct server *s, struct exchange *ex)
{
    (void)s;
    begin(ex, OLLAMA_EMBED);
}

void ollama_call_embeddings(struct server *s, struct exchange *ex)
{
    (void)s;
    begin(ex, OLLAMA_EMBEDDINGS);
}
