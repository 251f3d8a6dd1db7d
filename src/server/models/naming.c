#include "server/models/naming.h"

#include <string.h>

#include "http/url.h"
#include "server/models/profiles.h"
#include "server/models/roster.h"
#include "server/models/selectors.h"

#define NAME_MAX_BYTES 512

bool naming_resolve(const struct config_ref *config, const char *name, struct naming *ret_naming)
{
    const struct config_name *found = config_find_name(config->config, name);
    if (!found)
        return false;
    switch (found->kind) {
    case CONFIG_NAME_MODEL: {
        const struct config_model *m = &config->config->models[found->index];
        const char *write = *m->backend_model ? m->backend_model : m->use_model_name;
        *ret_naming = (struct naming){.kind = found->kind,
                                      .model = m,
                                      .slot = config->slots[found->index],
                                      .filters = &m->filters,
                                      .write = *write ? write : NULL};
        return true;
    }
    case CONFIG_NAME_PEER: {
        const struct config_peer *p = &config->config->peers[found->index];
        const char *theirs = p->models.items[found->peer_model];
        *ret_naming = (struct naming){.kind = found->kind,
                                      .slot = CORE_SLOT_NONE,
                                      .peer = p,
                                      .peer_model = found->peer_model,
                                      .filters = &p->filters,
                                      .write = strcmp(theirs, name) != 0 ? theirs : NULL};
        return true;
    }
    case CONFIG_NAME_SELECTOR:
        break;
    }
    return false;
}

enum naming_result naming_choose(struct server *s, struct config_ref *config, const char *name,
                                 struct naming *ret_naming)
{
    const struct config_pin *pin = profiles_pin(s, config->config, name);
    const char *asked = pin ? pin->target : name, *selector = NULL;
    struct naming who = {.asked = asked};
    enum naming_result result = NAMING_FOUND;
    const struct config_name *found = config_find_name(config->config, asked);
    if (found && found->kind == CONFIG_NAME_SELECTOR) {
        selector = config->config->selectors[found->index].id;
        asked = selectors_choose(s, config, found->index);
    }
    if (pin && !*pin->target)
        result = NAMING_OFF;
    else if (!asked)
        result = NAMING_NO_TARGET;
    else if (!naming_resolve(config, asked, &who))
        result = NAMING_UNKNOWN;
    who.asked = asked;
    who.selector = selector;
    *ret_naming = who;
    return result;
}

uint32_t naming_path(struct server *s, struct config_ref *config, const char *path, uint32_t len,
                     enum naming_result *ret_result, struct naming *ret_naming)
{
    char name[NAME_MAX_BYTES];
    const struct config_pin *pin = NULL;
    uint32_t best = 0;
    for (uint32_t end = 1; end <= len; end++) {
        if ((end < len && path[end] != '/') || !url_decode(path, end, false, name, sizeof(name)))
            continue;
        const struct config_pin *pinned = profiles_pin(s, config->config, name);
        if (pinned)
            pin = pinned;
        if (pinned || (!pin && naming_resolve(config, name, ret_naming)))
            best = end;
    }
    *ret_result = best ? NAMING_FOUND : NAMING_UNKNOWN;
    if (!pin)
        return best;
    if (!*pin->target)
        *ret_result = NAMING_OFF;
    else if (!naming_resolve(config, pin->target, ret_naming))
        *ret_result = NAMING_UNKNOWN;
    ret_naming->asked = *ret_result == NAMING_OFF ? pin->name : pin->target;
    return best;
}
