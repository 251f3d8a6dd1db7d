#include "server/models/profiles.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/server.h"

static const struct config_profile *find(const struct config *c, const char *name)
{
    for (uint32_t i = 0; i < c->profile_count; i++)
        if (strcmp(c->profiles[i].id, name) == 0)
            return &c->profiles[i];
    return NULL;
}

static void put_name(struct buf *out, const char *name)
{
    if (name)
        buf_json_text(out, name);
    else
        buf_text(out, "null");
}

/* To those who follow llama-swap's events; the list of models goes with it, as there. */
static void tell_change(struct server *s)
{
    struct buf json = {0};
    buf_text(&json, "{\"active\":");
    put_name(&json, s->profiles.active);
    buf_char(&json, '}');
    changes_tell(s, "profileChanged", json.data);
    changes_models(s);
    buf_fini(&json);
}

bool profiles_set(struct server *s, const char *name)
{
    struct buf details = {0};
    const char *old = s->profiles.active;
    if (name && !find(s->roster.current->config, name))
        return false;
    if (name ? old && strcmp(old, name) == 0 : !old)
        return true;
    char *kept = name ? alloc_text(name) : NULL;
    buf_text(&details, "{\"profile\":");
    put_name(&details, kept);
    buf_text(&details, ",\"from\":");
    put_name(&details, old);
    buf_char(&details, '}');
    free(s->profiles.active);
    s->profiles.active = kept;
    log_info_with(NULL, LOG_WITH(LOG_JSON("details", details.data)), "profile_changed");
    server_publish(s, "profile_changed", details.data);
    tell_change(s);
    buf_fini(&details);
    return true;
}

const struct config_profile *profiles_active(const struct server *s, const struct config *c)
{
    return s->profiles.active ? find(c, s->profiles.active) : NULL;
}

const struct config_pin *profiles_pin(const struct server *s, const struct config *c,
                                      const char *name)
{
    const struct config_profile *p = profiles_active(s, c);
    for (uint32_t i = 0; p && i < p->pin_count; i++)
        if (strcmp(p->pins[i].name, name) == 0)
            return &p->pins[i];
    return NULL;
}

void profiles_reload(struct server *s, const struct config_ref *old)
{
    (void)old;
    if (!s->profiles.active || find(s->roster.current->config, s->profiles.active))
        return;
    log_warn(NULL, "the profile %s is no longer configured: none is active", s->profiles.active);
    must(profiles_set(s, NULL));
}

void profiles_fini(struct server *s)
{
    free(s->profiles.active);
}
