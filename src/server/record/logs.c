#include "server/record/logs.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/logtime.h"
#include "server/record/tails.h"
#include "server/server.h"

/* Between two tries to write what waits to be read. */
#define RETRY_MS 50

static void on_retry(uv_timer_t *timer)
{
    log_flush();
    if (!log_waits())
        uv_timer_stop(timer);
}

static void look_at_waiting(struct logs *l)
{
    if (!l->closed && log_waits() && !uv_is_active((uv_handle_t *)&l->retry))
        uv_timer_start(&l->retry, on_retry, RETRY_MS, RETRY_MS);
}

static void on_line(void *arg, const char *line, size_t n)
{
    struct logs *l = &((struct server *)arg)->logs;
    look_at_waiting(l);
    feed_add(&l->own, NULL, line, n);
    if (l->shows_own)
        feed_add(&l->shown, NULL, line, n);
}

/* Where nothing is said, wharf's own lines go to stderr, as those of other daemons do. Where stdout
 * is not to have them, stderr still gets warnings and errors: a problem is never silent. */
static void set_output(const struct server *s, const struct config *c, bool said)
{
    static const enum log_form forms[CONFIG_LOG_FORMAT__COUNT] = {
        [CONFIG_LOG_FORMAT_AUTO] = LOG_FORM_AUTO,
        [CONFIG_LOG_FORMAT_HUMAN] = LOG_FORM_HUMAN,
        [CONFIG_LOG_FORMAT_JSON] = LOG_FORM_JSON,
        [CONFIG_LOG_FORMAT_JOURNALD] = LOG_FORM_JOURNALD};
    const struct config_observe *o = &c->observe;
    const char *no_colour = getenv("NO_COLOR");
    bool given = s->options.log_format != CONFIG_LOG_FORMAT__COUNT;
    log_set(&(struct log_settings){
        .fd = said && s->logs.shows_own ? STDOUT_FILENO : STDERR_FILENO,
        .least = said && !s->logs.shows_own ? LOG_WARN : LOG_DEBUG,
        .form = forms[given ? s->options.log_format : o->log_format],
        .plain = s->options.logs_plain || (no_colour && *no_colour),
        .time = o->log_time_given ? logtime_find(config_log_time_words[o->log_time]) : NULL});
}

void logs_init(struct server *s)
{
    struct logs *l = &s->logs;
    feed_init(&l->own, LOGS_BYTES_MAX);
    feed_init(&l->models, LOGS_BYTES_MAX);
    feed_init(&l->shown, LOGS_BYTES_MAX);
    uv_timer_init(s->loop, &l->retry);
    log_set_sink(on_line, s);
}

void logs_apply(struct server *s, const struct config *c)
{
    const struct config_observe *o = &c->observe;
    const bool both = o->log_stdout == CONFIG_LOG_STDOUT_BOTH, before = s->logs.prints_models;
    s->logs.shows_own = both || o->log_stdout == CONFIG_LOG_STDOUT_PROXY;
    s->logs.shows_models = both || o->log_stdout == CONFIG_LOG_STDOUT_UPSTREAM;
    s->logs.access = o->log_access;
    const bool said = o->log_stdout_given || s->options.logs_to_stdout;
    s->logs.prints_models = said && s->logs.shows_models;
    if (s->logs.prints_models && !before)
        tails_want(s);
    if (before && !s->logs.prints_models)
        tails_unwant(s);
    log_level_min = log_level_parse(c->log_level);
    set_output(s, c, said);
}

void logs_printed(struct server *s, const char *data, size_t n)
{
    feed_add(&s->logs.models, NULL, data, n);
    if (s->logs.shows_models)
        feed_add(&s->logs.shown, NULL, data, n);
    if (!s->logs.prints_models)
        return;
    log_print(data, n);
    look_at_waiting(&s->logs);
}

void logs_close(struct server *s)
{
    s->logs.closed = true;
    uv_close((uv_handle_t *)&s->logs.retry, NULL);
}

void logs_fini(struct server *s)
{
    log_set_sink(NULL, NULL);
    feed_fini(&s->logs.own);
    feed_fini(&s->logs.models);
    feed_fini(&s->logs.shown);
}
