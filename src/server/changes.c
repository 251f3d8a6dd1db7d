#include "server/changes.h"

#include <string.h>

#include "server/server.h"

#define BYTES_MAX (256 * 1024)
/* A model that is evicted, and the one that comes, change together. */
#define TOGETHER_MS 10

void changes_init(struct server *s)
{
    feed_init(&s->changes.feed, BYTES_MAX);
    uv_timer_init(s->loop, &s->changes.timer);
    s->changes.timer.data = s;
}

void changes_tell(struct server *s, const char *type, const char *json)
{
    if (s->changes.feed.followers.count)
        feed_add(&s->changes.feed, type, json, strlen(json));
}

static void on_timer(uv_timer_t *timer)
{
    changes_tell(timer->data, CHANGE_MODELS, "");
}

void changes_models(struct server *s)
{
    uv_timer_t *timer = &s->changes.timer;
    if (s->changes.feed.followers.count && !uv_is_active((uv_handle_t *)timer) &&
        !uv_is_closing((uv_handle_t *)timer))
        uv_timer_start(timer, on_timer, TOGETHER_MS, 0);
}

void changes_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->changes.timer, NULL);
}

void changes_fini(struct server *s)
{
    feed_fini(&s->changes.feed);
}
