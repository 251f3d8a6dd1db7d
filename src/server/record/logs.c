#include "server/record/logs.h"

#include <unistd.h>

#include "base/log.h"
#include "base/logtime.h"
#include "server/record/tails.h"
#include "server/server.h"

static void on_line(void *arg, const char *line, size_t n)
{
    struct logs *l = &((struct server *)arg)->logs;
    feed_add(&l->own, NULL, line, n);
    if (l->shows_own)
        feed_add(&l->shown, NULL, line, n);
}

void logs_init(struct server *s)
{
    struct logs *l = &s->logs;
    feed_init(&l->own, LOGS_BYTES_MAX);
    feed_init(&l->models, LOGS_BYTES_MAX);
    feed_init(&l->shown, LOGS_BYTES_MAX);
    l->shows_own = true;
    log_set_sink(on_line, s);
}

/* Where nothing is said, wharf's own lines go to stderr, as those of other daemons do. Where stdout
 * is not to have them, stderr still gets warnings and errors: a problem is never silent. */
static void set_output(bool said, bool own)
{
    if (!said)
        log_set_output(STDERR_FILENO, LOG_DEBUG);
    else if (own)
        log_set_output(STDOUT_FILENO, LOG_DEBUG);
    else
        log_set_output(STDERR_FILENO, LOG_WARN);
}

void logs_apply(struct server *s)
{
    const struct config *c = s->roster.current->config;
    const struct config_observe *o = &c->observe;
    const bool both = o->log_stdout == CONFIG_LOG_STDOUT_BOTH, before = s->logs.prints_models;
    s->logs.shows_own = both || o->log_stdout == CONFIG_LOG_STDOUT_PROXY;
    s->logs.shows_models = both || o->log_stdout == CONFIG_LOG_STDOUT_UPSTREAM;
    const bool said = o->log_stdout_given || s->logs.on_stdout;
    s->logs.prints_models = said && s->logs.shows_models;
    if (s->logs.prints_models && !before)
        tails_want(s);
    if (before && !s->logs.prints_models)
        tails_unwant(s);
    log_level_min = log_level_parse(c->log_level);
    log_set_time(o->log_time_given ? logtime_find(config_log_time_words[o->log_time]) : NULL);
    set_output(said, s->logs.shows_own);
}

void logs_printed(struct server *s, const char *data, size_t n)
{
    feed_add(&s->logs.models, NULL, data, n);
    if (s->logs.shows_models)
        feed_add(&s->logs.shown, NULL, data, n);
    if (s->logs.prints_models) {
        ssize_t ignored = write(STDOUT_FILENO, data, n);
        (void)ignored;
    }
}

void logs_fini(struct server *s)
{
    log_set_sink(NULL, NULL);
    feed_fini(&s->logs.own);
    feed_fini(&s->logs.models);
    feed_fini(&s->logs.shown);
}
