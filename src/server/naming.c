#include "server/naming.h"

#include <string.h>

#include "http/url.h"
#include "server/roster.h"

#define NAME_MAX_BYTES 512

bool naming_resolve(const struct config_ref *config, const char *name, struct naming *ret_naming)
{
    const struct config_name *found = config_find_name(config->config, name);
    if (!found)
        return false;
    switch (found->kind) {
    case CONFIG_NAME_MODEL: {
        const struct config_model *m = &config->config->models[found->index];
        *ret_naming = (struct naming){.kind = found->kind,
                                      .model = m,
                                      .slot = config->slots[found->index],
                                      .write = m->use_model_name[0] ? m->use_model_name : NULL};
        return true;
    }
    case CONFIG_NAME_PEER: {
        const struct config_peer *p = &config->config->peers[found->index];
        const char *theirs = p->models.items[found->peer_model];
        *ret_naming = (struct naming){.kind = found->kind,
                                      .slot = CORE_SLOT_NONE,
                                      .peer = p,
                                      .write = strcmp(theirs, name) != 0 ? theirs : NULL};
        return true;
    }
    case CONFIG_NAME_SELECTOR: /* read, and not served yet */
        break;
    }
    return false;
}

uint32_t naming_path(const struct config_ref *config, const char *path, uint32_t len,
                     struct naming *ret_naming)
{
    char name[NAME_MAX_BYTES];
    uint32_t best = 0;
    for (uint32_t end = 1; end <= len; end++) {
        if (end < len && path[end] != '/')
            continue;
        if (url_decode(path, end, false, name, sizeof(name)) &&
            naming_resolve(config, name, ret_naming))
            best = end;
    }
    return best;
}
