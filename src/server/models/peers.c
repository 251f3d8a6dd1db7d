#include "server/models/peers.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/net/origin.h"
#include "server/proxy/exchange.h"
#include "server/proxy/upstream.h"
#include "server/server.h"

struct peer {
    struct origin *origin; /* counted; NULL: not asked for yet, or nowhere */
    uint32_t *requests;    /* owned; index into its models -> under way; NULL: none ever were */
};

void peers_init(struct server *s)
{
    uv_timer_init(s->loop, &s->peers.grace);
}

static struct origin *make_origin(struct server *s, const struct config_peer *peer)
{
    struct origin *o = origin_new(s);
    struct err err = {0};
    o->connect_timeout_ns = peer->connect_timeout_ns;
    o->tls_timeout_ns = peer->tls_timeout_ns;
    o->header_timeout_ns = peer->header_timeout_ns;
    o->idle_timeout_ns = peer->idle_timeout_ns;
    o->keepalive_ns = peer->keepalive_ns;
    if (origin_locate(o, peer->proxy, &err) < 0) {
        log_warn_with(NULL, LOG_WITH(LOG_TEXT("peer", peer->id)), "%s", err.text);
        origin_put(o);
        return NULL;
    }
    o->open = true;
    return o;
}

static struct peer *find(struct config_ref *ref, uint32_t index)
{
    const struct config *c = ref->config;
    if (!ref->peers)
        ref->peers = alloc_zeroed(c->peer_count, sizeof(struct peer));
    struct peer *p = &ref->peers[index];
    if (!p->requests)
        p->requests = alloc_zeroed(c->peers[index].models.count, sizeof(uint32_t));
    return p;
}

struct origin *peers_origin(struct server *s, struct config_ref *ref,
                            const struct config_peer *peer)
{
    struct peer *p = find(ref, (uint32_t)(peer - ref->config->peers));
    if (!p->origin)
        p->origin = make_origin(s, peer);
    return p->origin;
}

static uint32_t *requests_of(const struct exchange *ex)
{
    return &find(ex->config, (uint32_t)(ex->peer - ex->config->config->peers))
                ->requests[ex->peer_model];
}

void peers_begin(struct exchange *ex)
{
    ex->server->peers.requests++;
    ++*requests_of(ex);
}

void peers_end(struct exchange *ex)
{
    must(ex->server->peers.requests > 0 && *requests_of(ex) > 0);
    ex->server->peers.requests--;
    --*requests_of(ex);
}

uint32_t peers_requests(const struct config_ref *ref, uint32_t peer, uint32_t model)
{
    return ref->peers && ref->peers[peer].requests ? ref->peers[peer].requests[model] : 0;
}

static void on_grace(uv_timer_t *timer)
{
    exchange_end_peers(container_of(timer, struct server, peers.grace));
}

void peers_drain(struct server *s, uint64_t grace_ns)
{
    uv_timer_start(&s->peers.grace, on_grace, (grace_ns + NS_PER_MS - 1) / NS_PER_MS, 0);
}

void peers_forget(struct config_ref *ref)
{
    for (uint32_t i = 0; ref->peers && i < ref->config->peer_count; i++) {
        struct origin *o = ref->peers[i].origin;
        free(ref->peers[i].requests);
        if (!o)
            continue;
        o->open = false;
        upstream_drop_idle(o);
        origin_put(o);
    }
    free(ref->peers);
    ref->peers = NULL;
}

void peers_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->peers.grace, NULL);
    if (s->roster.current)
        peers_forget(s->roster.current);
}
