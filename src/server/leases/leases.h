/* leases.h: memory and gate slots for jobs: who asked for which lease, how he is told, and what is
 * kept of it in case the daemon dies. The core decides; here are names, connections and processes.
 *
 * A lease is held by a connection (server/net/held.h), or has a ttl and is renewed. It is known by
 * an id, which anybody may see, and a token, which only its holder has and no log. Its end frees
 * its gate slots at once; its bytes stay charged, as a lease of the core's that has no gates, until
 * no process that carries its mark, WHARF_LEASE=ID:TOKEN in the environment, is left. */
#ifndef SERVER_LEASES_H
#define SERVER_LEASES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/pure/list.h"
#include "core/core.h"

struct config_ref;
struct exchange;
struct http_head;
struct lease;
struct resident_claim;
struct server;

/* At once, those included whose processes are still there. */
#define LEASES_MAX 1024
#define LEASE_NAME_MAX 128
#define LEASE_ID_BYTES 8
#define LEASE_TOKEN_BYTES 16
#define LEASE_ID_MAX (2 * LEASE_ID_BYTES + 1)
#define LEASE_TOKEN_MAX (2 * LEASE_TOKEN_BYTES + 1)

struct leases {
    struct list all;  /* struct lease, in order of arrival */
    struct list news; /* of which something is to be told, or that are to be freed */
    struct pool pool;
    void *pool_memory;      /* owned */
    struct lease **items;   /* owned; by slot of the pool */
    uint64_t bytes_hold_ns; /* mean, of leases of memory; 0: none has ended */
    uv_timer_t timer;       /* tells those who wait how they stand */
    bool turning;
};

/* What somebody asks for. */
struct lease_terms {
    const char *name; /* copied; "": none */
    pid_t pid;        /* whose processes' memory is its; 0: those with the mark alone */
    struct core_lease_ask ask;
};

/* What there is to see of one; texts are borrowed until the loop goes on. */
struct lease_view {
    const char *id, *name, *state; /* state: waiting, granted, revoked, settling */
    const struct core_lease_ask *ask;
    uint32_t devices;
    pid_t pid;
    bool held;            /* by a connection, now */
    uint32_t revoked_for; /* a model's slot; CORE_SLOT_NONE: none */
    uint64_t since_ns, granted_ns, expires_ns;
    uint64_t overdue_ns; /* when one of its gates puts it before all classes; 0: never */
    uint64_t waited_ns;  /* once it is granted */
    uint32_t position;   /* 1 is next; 0: it does not wait */
    uint32_t estimate_s; /* 0: not known */
};

/* leases.c: asking, and what the core says. */

/* Answers the exchange, now or later: the lines of a held lease, or 201 once it is granted. */
void leases_ask(struct server *s, struct exchange *ex, const struct lease_terms *terms);
/* NULL: there is none of this id that has not ended. */
struct lease *leases_find(struct server *s, const char *id, size_t n);
bool leases_opens(const struct lease *l, const char *token, size_t n);
/* Of the lease that the exchange waits for; false: for none. */
bool leases_name_waiting(const struct exchange *ex, char id[LEASE_ID_MAX],
                         char token[LEASE_TOKEN_MAX]);
bool leases_is_granted(const struct lease *l);
bool leases_has_ttl(const struct lease *l);
/* A granted lease without a ttl is held by this connection from now on. */
void leases_hold(struct lease *l, struct exchange *ex);
/* A granted lease with a ttl. */
void leases_renew(struct lease *l);
/* Its holder is told; l may be gone. */
void leases_end(struct lease *l, const char *why);
/* All that have not been granted. */
void leases_end_waiting(struct server *s, const char *why);
/* Until it ends, unless it is renewed; 0 where nothing is known of that. */
uint64_t leases_left_ns(const struct lease *l);
struct id leases_core_id(const struct lease *l);
/* The first, when after is NULL; NULL behind the last. */
const struct lease *leases_next(const struct server *s, const struct lease *after);
void leases_count(const struct server *s, uint32_t *ret_waiting, uint32_t *ret_granted);
void leases_look(struct server *s, const struct lease *l, struct lease_view *ret);
/* By what the core calls it, or by its tag there; NULL: none, or it has ended. */
struct lease *leases_by_core(const struct server *s, struct id core);
struct lease *leases_by_tag(const struct server *s, uint64_t tag);
const char *leases_id(const struct lease *l);
const char *leases_name(const struct lease *l); /* "": none */

/* The core's effects. */
void leases_wait(struct server *s, const struct effect *e);
void leases_granted(struct server *s, const struct effect *e);
void leases_refused(struct server *s, const struct effect *e);
void leases_revoked(struct server *s, const struct effect *e);
void leases_ended(struct server *s, const struct effect *e);
void leases_traced(struct server *s, const struct effect *e);
/* Whether a notice is about the remains of one that has ended, which is nobody's business. */
bool leases_hide(const struct server *s, const struct effect *e);
/* Tells holders what is new, and frees what has ended. Not from inside an effect. */
void leases_turn(struct server *s);

/* leases_text.c: why it was refused, with numbers. */
int leases_describe(struct server *s, const struct core_lease_ask *ask, enum reason why,
                    struct buf *text);
/* What one that wants bytes asks for, and what each device could ever give. */
void leases_put_numbers(struct server *s, const struct core_lease_ask *ask, struct buf *text);
/* Who is at a gate. */
struct lease_gate {
    uint32_t limit, inside, waiting;
    struct buf holders; /* "a, b, …": the first of those inside; owned by the caller (buf_fini) */
};
void leases_look_at_gate(const struct server *s, uint32_t gate, struct lease_gate *ret);

/* leases_wait.c */
/* For what it waits, a clause. */
void leases_put_wait(struct server *s, const struct lease *l, struct buf *out);

/* leases_uses.c: who uses what on the device. Marks the claims that are leases', adds a row for
 * each lease that is seen there to ret, and returns how many. */
uint32_t leases_uses(struct server *s, struct resident_claim *claims, uint32_t claim_count,
                     struct sample_use *ret, uint32_t ret_max);

/* The part's life. */
void leases_init(struct server *s);
/* Gives back to the core what an earlier daemon granted; before BOOT_DONE. */
int leases_restore(struct server *s, struct err *err) warn_unused;
/* Whether it will give back bytes, so that devices have to be known before. */
bool leases_kept_bytes(const struct server *s);
void leases_close(struct server *s);
void leases_fini(struct server *s);

#endif
