#include "server/handover/settings.h"

#include <string.h>

#include "server/handover/message.h"
#include "server/server.h"

static void put_text(json_t *to, const char *name, const char *text)
{
    if (text)
        json_object_set_new(to, name, json_string(text));
}

/* NULL: nobody has said anything about it. */
static json_t *put_model(const struct server *s, uint32_t slot)
{
    struct core_model_view v;
    const struct config_model *m = roster_model(&s->roster, slot);
    if (!m)
        return NULL;
    core_view_model(s->runner.core, slot, &v);
    uint64_t ttl_ns = m->ttl_ns ? m->ttl_ns : UINT64_MAX;
    bool keeps = v.state == MODEL_LOADED && v.ttl_ns != ttl_ns;
    if (!v.pinned && !keeps)
        return NULL;
    json_t *one = json_object();
    put_text(one, "model", m->id);
    json_object_set_new(one, "pinned", json_boolean(v.pinned));
    if (keeps)
        json_object_set_new(one, "ttlNs", json_integer((json_int_t)v.ttl_ns));
    return one;
}

json_t *settings_put(const struct server *s)
{
    json_t *to = json_object(), *models = json_array();
    put_text(to, "mode", s->modes.name);
    put_text(to, "profile", s->profiles.active);
    json_object_set_new(to, "upgrades", json_integer((json_int_t)s->handover.upgrades));
    bool preloaded = s->preload_next >= s->roster.current->config->preload.count;
    json_object_set_new(to, "preloaded", json_boolean(preloaded));
    for (uint32_t i = 0; i < s->roster.count; i++) {
        json_t *one = put_model(s, i);
        if (one)
            json_array_append_new(models, one);
    }
    json_object_set_new(to, "models", models);
    return to;
}

static void take_model(struct server *s, const json_t *one)
{
    uint32_t slot = roster_find(&s->roster, message_text(one, "model"));
    const json_t *ttl = json_object_get(one, "ttlNs");
    if (slot == CORE_SLOT_NONE)
        return;
    if (message_flag(one, "pinned"))
        runner_command(&s->runner, SERVER_TAG_NOBODY, slot, COMMAND_PIN, REASON_COMMAND);
    if (json_is_integer(ttl))
        runner_event(&s->runner,
                     (struct event){.type = EVENT_COMMAND,
                                    .command = {.tag = SERVER_TAG_NOBODY,
                                                .model = slot,
                                                .what = COMMAND_KEEP,
                                                .why = REASON_COMMAND,
                                                .ttl_ns = (uint64_t)json_integer_value(ttl)}});
}

void settings_take(struct server *s, const json_t *settings)
{
    const struct config *c = s->roster.current->config;
    const char *mode = message_text(settings, "mode"), *profile = message_text(settings, "profile");
    size_t i;
    json_t *one;
    if (strcmp(mode, s->modes.name) != 0)
        (void)modes_set(s, mode);
    if (*profile)
        (void)profiles_set(s, profile);
    if (message_flag(settings, "preloaded"))
        s->preload_next = c->preload.count;
    json_array_foreach(json_object_get(settings, "models"), i, one) take_model(s, one);
}
