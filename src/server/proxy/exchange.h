/* exchange.h: one request and its answer. The only place that knows client, waiter and upstream.
 *
 *   READING ─▶ WAITING ─▶ FORWARDING ─▶ RELAYING ─▶ over
 *      │                       └──────▶ TUNNEL ───▶ over
 *      └─────▶ LOCAL (answered by wharf itself) ──▶ over
 *
 * READING: the body comes in and is looked through for its model. WAITING: the core has it in its
 * queue. FORWARDING: granted; the request goes to the model's server, no byte of an answer has
 * come. RELAYING: the answer goes to the client. Each exchange that the core was told of ends with
 * exactly one REQUEST_ENDED, unless the core refused it. A route with the model in its path goes to
 * WAITING while the body is still coming; one to a peer goes past WAITING and the core. A client
 * that is told of its wait in a stream (waiting.h) has had its answer's head: answer_begun. */
#ifndef SERVER_PROXY_EXCHANGE_H
#define SERVER_PROXY_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"
#include "http/chunk.h"
#include "http/head.h"
#include "server/metrics/times.h"
#include "server/net/timeouts.h"
#include "server/proxy/ask.h"
#include "server/proxy/body.h"
#include "server/proxy/waiting.h"
#include "server/route.h"

struct access;
struct client;
struct config_peer;
struct config_ref;
struct exchange_table;
struct given;
struct origin;
struct relay_filter;
struct scanner;
struct server;
struct recording;
struct upstream;

enum exchange_state {
    EXCHANGE_READING,
    EXCHANGE_WAITING,
    EXCHANGE_FORWARDING,
    EXCHANGE_RELAYING,
    EXCHANGE_TUNNEL,
    EXCHANGE_LOCAL,
};

/* The body of the upstream's answer, while it comes in. */
struct exchange_in {
    enum http_framing framing;
    uint64_t left;
    struct chunk_decoder chunks;
};

struct exchange {
    struct server *server;
    struct client *client; /* lives at least as long; NULL while ending, and when it has left and
                              the answer is read to its end all the same */
    struct upstream *upstream; /* from FORWARDING on; owned until put back */
    struct config_ref *config; /* counted */
    const struct route *route;
    struct id self;   /* its place in the table; as a tag in the core */
    struct id waiter; /* the core's name for it; none before, after, and for what passes it by */
    enum exchange_state state;
    struct http_head *head; /* owned, with the bytes behind it; freed when the answer begins */
    const char *bytes;      /* of the head; within the same memory */
    struct body body;
    struct body body_asked; /* as the client sent it, where it has been translated; else all zero */
    struct scanner *scanner; /* owned while the model is looked for in the body */
    uint64_t body_sent;
    uint32_t slot;                  /* the model's; CORE_SLOT_NONE: not known yet, or a peer's */
    const struct config_peer *peer; /* that it goes to, past the core; of config; or NULL */
    uint32_t peer_model;            /* index into its models */
    struct exchange_ask ask;
    struct waiting waiting;
    uint64_t since_ns; /* it has waited, or been served, since then (uv_hrtime); 0: not yet */
    struct metrics_times times;
    struct given *given; /* owned; what an earlier program knew of it; NULL: it came here first */
    bool body_complete, sent_all, bounced, fresh_only, is_head_method, client_keep_alive;
    bool send_chunked; /* the body goes upstream in chunks: its length is not known */
    bool client_http10, answer_begun, answer_own /* by wharf */, expects_continue;
    struct exchange_in in;
    bool out_chunked, out_until_close, upstream_keep;
    const struct relay_filter *filter; /* NULL: the answer goes through as it is */
    void *filtering;                   /* the filter's own, freed by its fini */
    struct recording *recording;       /* owned; what is recorded of it; NULL: nothing */
    uint32_t commands_open;            /* commands of the core that are not done */
    bool commands_held;                /* more are to be started */
    enum reason command_result;        /* the first that was not REASON_NONE */
    void (*on_commands_done)(struct exchange *ex);
    unsigned answer_status; /* 0: no answer yet */
    struct access *access;  /* owned; what the access log will say; NULL: nothing */
    void *local;            /* of a local handler that streams; with on_local_* */
    void (*on_local_end)(struct exchange *ex);   /* frees local; the exchange ends */
    void (*on_local_drain)(struct exchange *ex); /* the client took what was queued */
};

/* exchange.c: life, and what the core says */
struct exchange_table *exchange_table_new(uint32_t max);
void exchange_table_free(struct exchange_table *t);
uint32_t exchange_table_count(const struct exchange_table *t);
struct exchange *exchange_new(struct server *s, struct client *c, const struct http_head *head,
                              const char *bytes); /* copies them; NULL: there are too many */
void exchange_waiting(struct server *s, const struct effect *e);
void exchange_granted(struct server *s, const struct effect *e);
void exchange_refused(struct server *s, const struct effect *e);
void exchange_command_done(struct server *s, const struct effect *e);
/* Ends it, unless its model wants requests finished whose client has left; and those so kept. */
void exchange_client_gone(struct exchange *ex);
void exchange_end_drained(struct server *s);
/* Ends those that the core was not told of, and that are with this server, which is about to stop;
 * _of: with this model there. */
void exchange_end_uncounted(const struct origin *o);
void exchange_end_uncounted_of(const struct origin *o, uint32_t slot);
/* What its model is called, at a peer too; NULL: not known, or none. */
const char *exchange_model(const struct exchange *ex);
/* Whatever is logged of it has these. */
#define EXCHANGE_LOG_FIELDS(ex)                                                                    \
    LOG_TEXT("peer", (ex)->peer ? (ex)->peer->id : NULL), LOG_NUMBER("request", exchange_tag(ex))
/* Its id as one number, never 0: what the core calls it by. NULL: it is over. */
uint64_t exchange_tag(const struct exchange *ex);
bool exchange_lives(const struct server *s, struct id self);
struct exchange *exchange_find(struct server *s, uint64_t tag);
void exchange_client_drained(struct exchange *ex);
/* Visits all; *cursor: 0 at first. NULL behind the last. */
struct exchange *exchange_next(const struct server *s, uint32_t *cursor);
/* Frees it without a word to client, core or log: another process goes on with it. */
void exchange_forget(struct exchange *ex);
/* Ends it: lets go of the upstream, tells core and client. keep: another request may follow. */
void exchange_over(struct exchange *ex, enum ended how, bool keep);

#endif
