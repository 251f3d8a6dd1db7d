/* Other servers whose models are offered too. */
#include <string.h>

#include "config/proxy.h"
#include "config/resolve.h"

static void resolve_models_of(struct resolver *r, const struct value *v, struct config_peer *peer)
{
    const struct config_strings *have = &peer->models;
    if (v->count > CONFIG_MODELS_MAX) {
        diag_error(r->diag, v->at, "peer %s has more than %d models", diag_quote(r->diag, peer->id),
                   CONFIG_MODELS_MAX);
        return;
    }
    peer->models.items = arena_alloc(r->arena, v->count, sizeof(*peer->models.items));
    peer->names.items = arena_alloc(r->arena, v->count, sizeof(*peer->names.items));
    for (uint32_t i = 0; i < v->count; i++) {
        const char *name = v->texts[i].text;
        bool again = false;
        for (uint32_t k = 0; k < have->count; k++)
            again |= strcmp(have->items[k], name) == 0;
        if (again || *name == '\0') {
            diag_warn(r->diag, v->texts[i].at,
                      again ? "model %s stands here twice"
                            : "the name of a model is empty%s, ignored",
                      again ? diag_quote(r->diag, name) : "");
            continue;
        }
        peer->models.items[peer->models.count++] = arena_text(r->arena, name);
        peer->names.items[peer->names.count++] = arena_printf(r->arena, "%s/%s", peer->id, name);
    }
    if (peer->models.count == 0 && !v->broken)
        diag_error(r->diag, v->at, "peer %s needs a list of its models",
                   diag_quote(r->diag, peer->id));
}

static void resolve_peer(struct resolver *r, const struct bound *b, struct config_peer *peer)
{
    const struct value *proxy = bound_value(b, SET_PEER_proxy);
    resolve_check_name(r, b, "peer");
    peer->id = arena_text(r->arena, b->id);
    bound_project(b, r->arena, peer);
    bound_project(bound_child(b, SET_PEER_timeouts), r->arena, peer);
    peer->proxy = arena_text(r->arena, "");
    if (*proxy->text)
        peer->proxy = proxy_resolve(r, "proxy", proxy);
    else if (!proxy->broken && !b->broken)
        diag_error(r->diag, proxy->at, "peer %s needs its proxy, the address where it answers",
                   diag_quote(r->diag, b->id));
    if (!b->broken)
        resolve_models_of(r, bound_value(b, SET_PEER_models), peer);
    for (const unsigned char *p = (const unsigned char *)peer->api_key; *p; p++) {
        if (*p > ' ' && *p < 0x7f)
            continue;
        diag_error(r->diag, bound_value(b, SET_PEER_apiKey)->at,
                   "the apiKey of peer %s holds a character that no header may have",
                   diag_quote(r->diag, b->id));
        break;
    }
    peer->filters = resolve_filters(r, bound_child(b, SET_PEER_filters));
}

void resolve_peers(struct resolver *r)
{
    struct config *c = r->config;
    const struct value *v = bound_value(r->root, SET_ROOT_peers);
    r->peers = resolve_sorted(r, v);
    if (v->count > CONFIG_PEERS_MAX)
        diag_error(r->diag, v->at, "more than %d peers", CONFIG_PEERS_MAX);
    c->peers = arena_alloc(r->arena, v->count, sizeof(*c->peers));
    c->peer_count = v->count;
    for (uint32_t i = 0; i < v->count; i++)
        resolve_peer(r, r->peers[i], &c->peers[i]);
}
