#include "server/tell/changes.h"

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
    struct changes *c = &((struct server *)timer->data)->changes;
    if (c->models)
        feed_put(&c->feed, CHANGE_MODELS, "", 0);
    c->models = false;
    feed_tell(&c->feed);
}

/* False: nobody wants to know. */
static bool tell_soon(struct changes *c)
{
    if (c->feed.followers.count == 0 || uv_is_closing((uv_handle_t *)&c->timer))
        return false;
    if (!uv_is_active((uv_handle_t *)&c->timer))
        uv_timer_start(&c->timer, on_timer, TOGETHER_MS, 0);
    return true;
}

void changes_tell_soon(struct server *s, const char *type, const char *json)
{
    if (tell_soon(&s->changes))
        feed_put(&s->changes.feed, type, json, strlen(json));
}

void changes_models(struct server *s)
{
    s->changes.models = tell_soon(&s->changes);
}

void changes_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->changes.timer, NULL);
}

void changes_fini(struct server *s)
{
    feed_fini(&s->changes.feed);
}
