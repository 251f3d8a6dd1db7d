#include "server/record/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/proxy/exchange.h"
#include "server/server.h"

/* By what it is called where it is said to be degraded. */
#define STORE_NAME "history"

static void on_news(void *arg)
{
    struct history *h = arg;
    uv_async_send(&h->wake);
}

/* What is lost is told again when it is twice as much. */
static void tell_troubles(struct history *h)
{
    uint64_t dropped = store_dropped(h->store);
    bool locked = store_locked(h->store);
    if (locked && !h->locked_told)
        log_warn(NULL, "the store is locked by somebody else: the history waits for it");
    h->locked_told = locked;
    if (dropped <= h->dropped_told * 2)
        return;
    log_warn(NULL, "the history lost rows: the store is too slow or cannot be written rows=%llu",
             (unsigned long long)dropped);
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
        tell_troubles(&s->history);
}

static void on_wake(uv_async_t *wake)
{
    deliver(wake->data);
}

static uint64_t rows_max(const struct config_observe *o)
{
    return *o->store_path ? HISTORY_FILE_ROWS_MAX : o->activity_rows_max;
}

static struct store *open_store(struct server *s, struct err *err)
{
    const struct config_observe *o = &s->roster.current->config->observe;
    return store_open(
        &(struct store_options){
            .path = o->store_path, .rows_max = rows_max(o), .on_news = on_news, .arg = &s->history},
        err);
}

static void use(struct server *s, struct store *store)
{
    struct history *h = &s->history;
    h->store = store;
    if (store_last_id(store) > h->last_id)
        h->last_id = store_last_id(store);
    h->dropped_told = 0;
    h->locked_told = false;
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
    struct store *store = open_store(s, err);
    if (!store)
        return -1;
    use(s, store);
    return 0;
}

static void tell_broken(struct server *s, const char *what, const struct err *err)
{
    struct buf reason = {0};
    buf_printf(&reason, "%s: %s", what, err->text);
    degraded_set(s, DEGRADED_STORE, STORE_NAME, reason.data, NULL, 0);
    buf_fini(&reason);
}

/* Until somebody has something to keep or to ask, memory for a database is not taken. */
static struct store *store_of(struct server *s)
{
    struct history *h = &s->history;
    struct err err = {0};
    if (h->store || h->broken || !h->ready)
        return h->store;
    struct store *store = open_store(s, &err);
    h->broken = !store;
    if (store)
        use(s, store);
    else
        tell_broken(s, "requests are not recorded", &err);
    return store;
}

static void end_store(struct server *s)
{
    struct history *h = &s->history;
    if (!h->store)
        return;
    store_stop(h->store);
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
    if (s->history.store)
        store_limit(s->history.store, rows_max(is));
    if (strcmp(was->store_path, is->store_path) == 0 && !s->history.broken)
        return;
    struct store *store = *is->store_path ? open_store(s, &err) : NULL;
    if (*is->store_path && !store) {
        tell_broken(s, "the history stays where it was", &err);
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
    struct store *store = store_of(s);
    int64_t id = ++s->history.last_id;
    row->id = id;
    if (!store)
        free(row);
    else if (!store_put(store, row))
        tell_troubles(&s->history);
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
