#include "server/record/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/handover/drainer.h"
#include "server/proxy/exchange.h"
#include "server/server.h"
#include "server/statedir.h"

/* By what it is called where it is said to be degraded. */
#define STORE_NAME "history"
#define NOT_RECORDED "requests are not recorded"

static void on_news(void *arg)
{
    struct history *h = arg;
    uv_async_send(&h->wake);
}

static void tell_broken(struct server *s, const char *what, const char *why)
{
    char *reason = alloc_printf("%s: %s", what, why);
    degraded_set(s, DEGRADED_STORE, STORE_NAME, reason, NULL, 0);
    free(reason);
}

/* What is lost is told again when it is twice as much. */
static void tell_troubles(struct server *s)
{
    struct history *h = &s->history;
    uint64_t dropped = store_dropped(h->store);
    bool locked = store_locked(h->store);
    char *problem = store_problem(h->store);
    if (problem)
        tell_broken(s, "rows wait to be written", problem);
    else if (h->problem_told)
        degraded_clear(s, DEGRADED_STORE, STORE_NAME);
    h->problem_told = problem != NULL;
    free(problem);
    if (locked && !h->locked_told)
        log_warn(NULL, "the store is locked by somebody else: the history waits for it");
    h->locked_told = locked;
    if (dropped <= h->dropped_told * 2)
        return;
    log_warn_with(NULL, LOG_WITH(LOG_NUMBER("rows", dropped)),
                  "the history lost rows: the store is too slow or cannot be written");
    h->dropped_told = dropped;
}

static void deliver(struct server *s)
{
    struct store_query *q;
    while (s->history.store && (q = store_answered(s->history.store))) {
        struct exchange *ex = exchange_find(s, q->tag);
        if (ex)
            container_of(q, struct history_question, query)->answer(ex, q);
        store_query_free(q);
    }
    if (s->history.store)
        tell_troubles(s);
}

static void on_wake(uv_async_t *wake)
{
    deliver(wake->data);
}

static uint64_t rows_max(const struct config_observe *o)
{
    return *o->store_path ? HISTORY_FILE_ROWS_MAX : o->activity_rows_max;
}

static struct store *open_store(struct server *s, bool *ret_short, struct err *err)
{
    const struct config_observe *o = &s->roster.current->config->observe;
    if (*o->store_path)
        statedir_look_at(o->store_path);
    return store_open(
        &(struct store_options){
            .path = o->store_path, .rows_max = rows_max(o), .on_news = on_news, .arg = &s->history},
        ret_short, err);
}

static void use(struct server *s, struct store *store)
{
    struct history *h = &s->history;
    h->store = store;
    if (store_last_id(store) > h->last_id)
        h->last_id = store_last_id(store);
    h->dropped_told = 0;
    h->locked_told = h->problem_told = false;
}

int history_open(struct server *s, struct err *err)
{
    struct history *h = &s->history;
    uv_async_init(s->loop, &h->wake, on_wake);
    h->wake.data = s;
    h->ready = true;
    uv_unref((uv_handle_t *)&h->wake);
    if (*s->roster.current->config->observe.store_path == '\0')
        return 0;
    bool is_short;
    struct store *store = open_store(s, &is_short, err);
    if (store) {
        use(s, store);
        return 0;
    }
    /* A wrong name is for whoever wrote it; a full disk must not keep a daemon from coming back. */
    h->broken = is_short;
    if (!is_short)
        return -1;
    tell_broken(s, NOT_RECORDED, err->text);
    *err = (struct err){0};
    return 0;
}

/* Until somebody has something to keep or to ask, memory for a database is not taken. */
static struct store *store_of(struct server *s)
{
    struct history *h = &s->history;
    struct err err = {0};
    bool is_short;
    if (h->store || h->broken || !h->ready)
        return h->store;
    struct store *store = open_store(s, &is_short, &err);
    h->broken = !store;
    if (store)
        use(s, store);
    else
        tell_broken(s, NOT_RECORDED, err.text);
    return store;
}

void history_mend(struct server *s)
{
    struct history *h = &s->history;
    if (!h->ready || !h->broken)
        return;
    h->broken = false;
    if (store_of(s))
        degraded_clear(s, DEGRADED_STORE, STORE_NAME);
}

static void end_store(struct server *s)
{
    struct history *h = &s->history;
    if (!h->store)
        return;
    store_stop(h->store, s->upgrade.last_turn); /* streams wait, too */
    deliver(s);
    store_free(h->store);
    h->store = NULL;
}

/* Another file is opened before the present one is let go. */
void history_reload(struct server *s, const struct config_ref *old)
{
    const struct config_observe *was = &old->config->observe;
    const struct config_observe *is = &s->roster.current->config->observe;
    struct err err = {0};
    bool is_short;
    if (s->history.store)
        store_limit(s->history.store, rows_max(is));
    if (strcmp(was->store_path, is->store_path) == 0 && !s->history.broken)
        return;
    struct store *store = *is->store_path ? open_store(s, &is_short, &err) : NULL;
    if (*is->store_path && !store) {
        tell_broken(s, "the history stays where it was", err.text);
        s->history.broken = !s->history.store;
        return;
    }
    end_store(s);
    captures_resize(&s->captures, 0); /* their ids are of other rows from here on */
    s->history.broken = false;
    degraded_clear(s, DEGRADED_STORE, STORE_NAME);
    if (store)
        use(s, store);
}

void history_close(struct server *s)
{
    struct history *h = &s->history;
    if (!h->ready)
        return;
    end_store(s);
    h->ready = false;
    uv_close((uv_handle_t *)&h->wake, NULL);
}

void history_fini(struct server *s)
{
    must(!s->history.store);
}

int64_t history_add(struct server *s, struct store_row *row)
{
    if (s->drainer) {
        drainer_row(s, row);
        free(row);
        return 0;
    }
    struct store *store = store_of(s);
    int64_t id = ++s->history.last_id;
    row->id = id;
    if (!store)
        free(row);
    else if (!store_put(store, row))
        tell_troubles(s);
    return id;
}

bool history_ask(struct exchange *ex, struct history_question *q)
{
    struct store *store = store_of(ex->server);
    q->query.tag = exchange_tag(ex);
    if (store && store_ask(store, &q->query))
        return true;
    store_query_free(&q->query);
    return false;
}
