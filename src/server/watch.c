#include "server/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/server.h"

#define LOOK_MS 2000
/* At once, for people; for a folder in which something is being written all the time, rarely. */
#define SOON_MS 50
/* How long the files must have stayed as they are, and how often that is waited for. */
#define SETTLE_MS 200
#define SETTLE_ROUNDS_MAX 10

enum { FOLDER_OF_FILE, FOLDER_OF_SOURCES, FOLDER_OF_MODELS, FOLDER__COUNT };

/* Only makes it faster: on file systems that tell nothing, and for links to files elsewhere, the
 * regular look has to do. */
struct folder {
    uv_fs_event_t event;
    char *path; /* owned; NULL: there is none */
};

struct watch {
    struct server *server;
    struct folder folders[FOLDER__COUNT];
    uv_timer_t look, settle;
    struct config_stamp known;   /* as of the last time they were read */
    struct config_stamp changed; /* as they were when `settle` was started */
    uint32_t rounds;
};

static const char *models_dir(const struct watch *w)
{
    return w->server->roster.current->config->models_dir;
}

static struct config_stamp take(const struct watch *w)
{
    return config_stamp_take(&w->server->options.sources, models_dir(w));
}

static void on_settled(uv_timer_t *timer);

static void look(struct watch *w)
{
    struct config_stamp now = take(w);
    if (w->server->stopping || uv_is_active((uv_handle_t *)&w->settle) ||
        !config_stamp_changed(&w->known, &now))
        return;
    w->changed = now;
    w->rounds = 0;
    uv_timer_start(&w->settle, on_settled, SETTLE_MS, SETTLE_MS);
}

static void on_settled(uv_timer_t *timer)
{
    struct watch *w = container_of(timer, struct watch, settle);
    struct config_stamp now = take(w);
    bool moves = memcmp(&now, &w->changed, sizeof(now)) != 0;
    w->changed = now;
    if (moves && ++w->rounds < SETTLE_ROUNDS_MAX)
        return;
    uv_timer_stop(&w->settle);
    if (w->server->stopping || !config_stamp_changed(&w->known, &now))
        return;
    log_info(NULL, "the configuration has changed");
    server_reload(w->server);
}

static void on_look(uv_timer_t *timer)
{
    look(container_of(timer, struct watch, look));
}

/* The name is of no use: links and renames have another. */
static void on_folder_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    (void)name;
    (void)events;
    (void)status;
    struct watch *w = event->data;
    if (uv_timer_get_due_in(&w->look) > SOON_MS)
        uv_timer_start(&w->look, on_look, SOON_MS, LOOK_MS);
}

/* Failure is silent: the regular look remains. */
static void follow(struct folder *f, char *path)
{
    if (f->path && path && strcmp(f->path, path) == 0) {
        free(path);
        return;
    }
    uv_fs_event_stop(&f->event);
    free(f->path);
    f->path = path;
    if (path)
        uv_fs_event_start(&f->event, on_folder_event, path, 0);
}

static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    if (!slash)
        return alloc_text(".");
    return alloc_text_n(file, slash == file ? 1 : (size_t)(slash - file));
}

void watch_note(struct server *s)
{
    if (!s->watch)
        return;
    s->watch->known = take(s->watch);
    uv_timer_stop(&s->watch->settle);
}

static void follow_models(struct watch *w)
{
    const char *models = models_dir(w);
    follow(&w->folders[FOLDER_OF_MODELS], models[0] ? alloc_text(models) : NULL);
    w->known.models = take(w).models;
}

void watch_follow(struct server *s, const struct config_ref *old)
{
    (void)old;
    if (s->watch)
        follow_models(s->watch);
}

int watch_start(struct server *s, struct err *err)
{
    const struct config_sources *sources = &s->options.sources;
    (void)err;
    if (!s->options.watches)
        return 0;
    struct watch *w = s->watch = alloc_zeroed(1, sizeof(*w));
    w->server = s;
    w->known = s->options.stamp;
    for (size_t i = 0; i < FOLDER__COUNT; i++) {
        uv_fs_event_init(s->loop, &w->folders[i].event);
        w->folders[i].event.data = w;
    }
    uv_timer_init(s->loop, &w->look);
    uv_timer_init(s->loop, &w->settle);
    if (sources->file)
        follow(&w->folders[FOLDER_OF_FILE], folder_of(sources->file));
    if (sources->dir)
        follow(&w->folders[FOLDER_OF_SOURCES], alloc_text(sources->dir));
    follow_models(w);
    uv_timer_start(&w->look, on_look, 0, LOOK_MS);
    log_info(NULL, "watching the configuration for changes");
    return 0;
}

void watch_close(struct server *s)
{
    struct watch *w = s->watch;
    if (!w)
        return;
    for (size_t i = 0; i < FOLDER__COUNT; i++)
        uv_close((uv_handle_t *)&w->folders[i].event, NULL);
    uv_close((uv_handle_t *)&w->look, NULL);
    uv_close((uv_handle_t *)&w->settle, NULL);
}

void watch_fini(struct server *s)
{
    for (size_t i = 0; s->watch && i < FOLDER__COUNT; i++)
        free(s->watch->folders[i].path);
    free(s->watch);
    s->watch = NULL;
}
