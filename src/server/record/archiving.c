#include "server/record/archiving.h"

#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/handover/drainer.h"
#include "server/proxy/exchange.h"
#include "server/record/archive_decision.h"
#include "server/record/archive_sample.h"
#include "server/server.h"

#define FILE_NAME "history.db"

static void on_news(void *arg)
{
    struct archiving *a = arg;
    uv_async_send(&a->wake);
}

static void tell_problem(struct server *s, const char *problem)
{
    struct archiving *a = &s->archiving;
    if (problem) {
        char *reason = alloc_printf("rows wait to be written: %s", problem);
        degraded_set(s, DEGRADED_STORE, FILE_NAME, reason, NULL, 0);
        free(reason);
    } else if (a->problem_told) {
        degraded_clear(s, DEGRADED_STORE, FILE_NAME);
    }
    a->problem_told = problem != NULL;
}

/* What is lost is told again when it is twice as much. */
static void tell_state(struct server *s)
{
    struct archiving *a = &s->archiving;
    struct archive_state state;
    archive_look(a->archive, &state);
    if (state.aside)
        log_warn(NULL,
                 "%s/" FILE_NAME " is put aside as " FILE_NAME ".aside, and a new one is begun: %s",
                 s->state_dir, state.aside);
    tell_problem(s, state.problem);
    if (state.locked && !a->locked_told)
        log_warn(NULL, FILE_NAME " is locked by somebody else: rows wait for it");
    a->locked_told = state.locked;
    if (state.dropped > a->dropped_told * 2) {
        log_warn_with(NULL, LOG_WITH(LOG_NUMBER("rows", state.dropped)),
                      FILE_NAME " lost rows: it is too slow or cannot be written");
        a->dropped_told = state.dropped;
    }
    free(state.aside);
    free(state.problem);
    state.aside = state.problem = NULL;
    a->state = state;
}

static void deliver(struct server *s)
{
    struct archive_question *q;
    while (s->archiving.archive && (q = archive_answered(s->archiving.archive))) {
        struct archiving_question *asked = container_of(q, struct archiving_question, question);
        struct exchange *ex = asked->answer ? exchange_find(s, q->tag) : NULL;
        if (ex)
            asked->answer(ex, q);
        if (asked->on_news)
            asked->on_news(s, q);
        archive_question_free(q);
    }
    if (s->archiving.archive)
        tell_state(s);
}

static void on_wake(uv_async_t *wake)
{
    deliver(wake->data);
}

static struct archive_bounds bounds_of(const struct server *s)
{
    const struct config_observe *o = &s->roster.current->config->observe;
    return (struct archive_bounds){.bytes_max = o->history_bytes_max,
                                   .age_ms_max = o->history_age_ns / NS_PER_MS};
}

static void on_timer(uv_timer_t *timer)
{
    struct server *s = timer->data;
    archive_sample(s);
    archive_decision(s);
    residency_past_turn(s);
    tell_state(s);
}

static void begin(struct server *s)
{
    struct archiving *a = &s->archiving;
    char *path = alloc_printf("%s/" FILE_NAME, s->state_dir);
    a->archive = archive_open(&(struct archive_options){
        .path = path, .bounds = bounds_of(s), .on_news = on_news, .arg = a});
    if (!a->archive)
        log_warn(NULL, "no thread can be started, so that %s is not kept", path);
    a->dropped_told = 0;
    a->locked_told = a->problem_told = false;
    free(path);
    if (!a->archive)
        return;
    a->began_ms = archiving_now_ms();
    uv_timer_start(&a->timer, on_timer, ARCHIVE_SAMPLE_MS, ARCHIVE_SAMPLE_MS);
}

static void end(struct server *s)
{
    struct archiving *a = &s->archiving;
    if (!a->archive)
        return;
    uv_timer_stop(&a->timer);
    archive_decision(s);
    archive_stop(a->archive, s->upgrade.last_turn); /* streams wait, too */
    deliver(s);
    archive_free(a->archive);
    a->archive = NULL;
}

int archiving_open(struct server *s, struct err *err)
{
    struct archiving *a = &s->archiving;
    (void)err;
    uv_async_init(s->loop, &a->wake, on_wake);
    a->wake.data = s;
    a->ready = true;
    uv_unref((uv_handle_t *)&a->wake);
    uv_timer_init(s->loop, &a->timer);
    a->timer.data = s;
    uv_unref((uv_handle_t *)&a->timer);
    if (s->roster.current->config->observe.history_enabled)
        begin(s);
    return 0;
}

/* Has the file opened: not before all is written that a daemon cannot start without, since room may
 * be scarce; nor much later, since descriptors may be. */
int archiving_start(struct server *s, struct err *err)
{
    (void)err;
    if (s->archiving.archive)
        residency_past_ask(s);
    return 0;
}

void archiving_reload(struct server *s, const struct config_ref *old)
{
    struct archiving *a = &s->archiving;
    bool wanted = s->roster.current->config->observe.history_enabled;
    (void)old;
    if (a->archive && !wanted) {
        end(s);
        degraded_clear(s, DEGRADED_STORE, FILE_NAME);
    } else if (a->archive) {
        struct archive_bounds bounds = bounds_of(s);
        archive_bound(a->archive, &bounds);
    } else if (wanted && a->ready) {
        begin(s);
    }
}

void archiving_close(struct server *s)
{
    struct archiving *a = &s->archiving;
    if (!a->ready)
        return;
    end(s);
    a->ready = false;
    uv_close((uv_handle_t *)&a->wake, NULL);
    uv_close((uv_handle_t *)&a->timer, NULL);
}

void archiving_fini(struct server *s)
{
    must(!s->archiving.archive);
}

bool archiving_is_on(const struct server *s)
{
    return s->archiving.archive || (s->drainer && s->archiving.handed_on);
}

void archiving_put(struct server *s, const struct archive_draft *row)
{
    if (s->drainer)
        drainer_archived(s, row);
    else if (s->archiving.archive && !archive_put(s->archiving.archive, archive_row_new(row)))
        tell_state(s);
}

bool archiving_ask(struct server *s, struct exchange *ex, struct archiving_question *q)
{
    q->question.tag = ex ? exchange_tag(ex) : 0;
    archive_decision(s);
    if (s->archiving.archive && archive_ask(s->archiving.archive, &q->question))
        return true;
    archive_question_free(&q->question);
    return false;
}

void archiving_put_devices(const struct server *s, uint32_t mask, struct buf *out)
{
    const struct config *c = s->roster.current->config;
    const char *sep = "[";
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        if (!(mask >> d & 1))
            continue;
        buf_text(out, sep);
        buf_json_text(out, c->gpus[d].name);
        sep = ",";
    }
    buf_text(out, *sep == '[' ? "[]" : "]");
}

int64_t archiving_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
