/* peers.h: requests for models of other servers. They go there at once: the core knows nothing of
 * them, so they have no queue and no limit, and the shutdown waits for them here. */
#ifndef SERVER_PEERS_H
#define SERVER_PEERS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct config_peer;
struct config_ref;
struct exchange;
struct origin;
struct server;

struct peers {
    uint32_t requests; /* under way */
    uv_timer_t grace;  /* of a shutdown */
};

void peers_init(struct server *s);
/* Where the peer of that configuration is; NULL, and logged, when its address is none. */
struct origin *peers_origin(struct server *s, struct config_ref *ref,
                            const struct config_peer *peer);
/* A request goes to exchange->peer, and is over. */
void peers_begin(struct exchange *ex);
void peers_end(struct exchange *ex);
/* How many are under way, of that configuration, for the peer's model of that index. */
uint32_t peers_requests(const struct config_ref *ref, uint32_t peer, uint32_t model);
/* What is under way may go on for that long. A second call overrides the first. */
void peers_drain(struct server *s, uint64_t grace_ns);
void peers_close(struct server *s);
/* exchange.c: ends them: the shutdown has waited long enough. */
void exchange_end_peers(struct server *s);
/* Closes the connections of a configuration that nobody uses any more. */
void peers_forget(struct config_ref *ref);

#endif
