#include "server/mend.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "server/server.h"

#define AGAIN_MS 2000
/* By what they are called where they are said to be degraded. */
#define RECORDS_NAME "records"
#define SPOOL_NAME "spool"

static void mend_records(struct server *s)
{
    struct err err = {0};
    if (!degraded_find(s, DEGRADED_STORE, RECORDS_NAME))
        return;
    if (records_mend(&s->records, &err) < 0)
        mend_records_failed(s, err.text);
    else
        degraded_clear(s, DEGRADED_STORE, RECORDS_NAME);
}

static void mend_spool(struct server *s)
{
    if (degraded_find(s, DEGRADED_STORE, SPOOL_NAME) && body_try_spool(&s->bodies))
        degraded_clear(s, DEGRADED_STORE, SPOOL_NAME);
}

static void on_timer(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, mend.timer);
    mend_records(s);
    mend_spool(s);
    history_mend(s);
    footprints_mend(s);
    for (uint32_t i = 0; i < s->degraded.count; i++)
        if (s->degraded.items[i].what == DEGRADED_STORE)
            mend_soon(s);
}

void mend_init(struct server *s)
{
    uv_timer_init(s->loop, &s->mend.timer);
    uv_unref((uv_handle_t *)&s->mend.timer);
    s->mend.open = true;
}

void mend_close(struct server *s)
{
    s->mend.open = false;
    uv_close((uv_handle_t *)&s->mend.timer, NULL);
}

void mend_soon(struct server *s)
{
    if (s->mend.open && !uv_is_active((uv_handle_t *)&s->mend.timer))
        uv_timer_start(&s->mend.timer, on_timer, AGAIN_MS, 0);
}

void mend_spool_failed(void *server, const char *why)
{
    char *reason = alloc_printf("requests with large bodies are refused: %s", why);
    degraded_set(server, DEGRADED_STORE, SPOOL_NAME, reason, NULL, 0);
    free(reason);
}

void mend_records_failed(void *server, const char *why)
{
    char *reason = alloc_printf("a daemon that follows would not know what runs: %s", why);
    degraded_set(server, DEGRADED_STORE, RECORDS_NAME, reason, NULL, 0);
    free(reason);
}
