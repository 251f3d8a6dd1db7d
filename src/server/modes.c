#include "server/modes.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "mapping/mapping.h"
#include "server/server.h"

#define IDLE "idle"

const struct config_mode *modes_find(const struct config *c, const char *name)
{
    for (uint32_t i = 0; i < c->mode_count; i++)
        if (strcmp(c->modes[i].id, name) == 0)
            return &c->modes[i];
    return NULL;
}

void modes_init(struct server *s)
{
    list_init(&s->modes.waits);
}

void modes_flush(struct server *s)
{
    const struct config_ref *ref = s->roster.current;
    if (!s->modes.due || s->runner.stepping)
        return;
    const struct config_mode *mode = modes_find(ref->config, s->modes.name);
    must(mode);
    struct core_wish *wishes = mapping_wishes(ref->config, mode, ref->slots);
    s->modes.due = false;
    runner_event(&s->runner, (struct event){.type = EVENT_MODE,
                                            .mode = {.wishes = wishes, .count = mode->wish_count}});
    free(wishes);
}

static void send_wishes(struct server *s)
{
    s->modes.due = true;
    modes_flush(s);
}

static void take_name(struct server *s, const char *name)
{
    char *kept = alloc_text(name);
    struct buf details = {0};
    buf_text(&details, "{\"mode\":");
    buf_json_text(&details, name);
    buf_text(&details, ",\"from\":");
    buf_json_text(&details, s->modes.name);
    buf_char(&details, '}');
    free(s->modes.name);
    s->modes.name = kept;
    modes_replaced(&s->modes);
    log_info_with(NULL, LOG_WITH(LOG_JSON("details", details.data)), "mode_changed");
    server_publish(s, "mode_changed", details.data);
    buf_fini(&details);
}

bool modes_set(struct server *s, const char *name)
{
    const struct config_mode *mode = modes_find(s->roster.current->config, name);
    if (!mode)
        return false;
    if (strcmp(mode->id, s->modes.name) != 0)
        take_name(s, mode->id);
    send_wishes(s);
    return true;
}

void modes_start(struct server *s)
{
    const struct config *c = s->roster.current->config;
    s->modes.name = alloc_text(c->modes[c->start_mode].id);
    send_wishes(s);
}

/* A slot means the same model in both: one that is in the older configuration keeps its slot. The
 * placement that stands for a GPU depends on all modes. */
static bool same_wishes(const struct config_ref *a, const struct config_mode *ma,
                        const struct config_ref *b, const struct config_mode *mb)
{
    if (ma->wish_count != mb->wish_count)
        return false;
    struct core_wish *wa = mapping_wishes(a->config, ma, a->slots);
    struct core_wish *wb = mapping_wishes(b->config, mb, b->slots);
    bool same = true;
    for (uint32_t i = 0; i < ma->wish_count; i++)
        same &= wa[i].model == wb[i].model && wa[i].what == wb[i].what &&
                wa[i].placement == wb[i].placement && ma->wishes[i].gpu == mb->wishes[i].gpu;
    free(wa);
    free(wb);
    return same;
}

void modes_reload(struct server *s, const struct config_ref *old)
{
    const struct config_ref *new = s->roster.current;
    const struct config_mode *before = modes_find(old->config, s->modes.name);
    const struct config_mode *now = modes_find(new->config, s->modes.name);
    if (!now) {
        log_warn(NULL, "the mode %s is no longer configured: %s holds", s->modes.name, IDLE);
        take_name(s, IDLE);
        send_wishes(s);
    } else if (!before || !same_wishes(old, before, new, now)) {
        send_wishes(s);
    }
}

void modes_fini(struct modes *m)
{
    free(m->name);
}
