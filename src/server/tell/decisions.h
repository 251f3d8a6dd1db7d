/* decisions.h: why models came, left and were refused: the last of them, in memory, for
 * GET /wharf/decisions. Texts are owned by the ring, since names may be gone by the time that
 * somebody asks. */
#ifndef SERVER_DECISIONS_H
#define SERVER_DECISIONS_H

#include <stdint.h>

#include "core/core.h"

#define DECISIONS_MAX 1000

struct server;

struct decision {
    const char *type; /* static: "evict", "refused", or the type of a public event */
    char time[32];    /* wall clock, RFC 3339 */
    int64_t at_ms;    /* the same, since 1970 */
    char *model;      /* owned; NULL: a lease */
    char *lease;      /* owned: the id of that, or of the one that a model leaves for; or NULL */
    char *lease_name; /* owned; what its holder calls that one, which outlives it here; or NULL */
    char *other;      /* owned; whom it was for or who is in the way; NULL: none, or a lease */
    char *candidates; /* owned; JSON, a list of who else could have left; or NULL */
    char *detail;     /* owned; a refusal's numbers in a sentence, or why a load failed; or NULL */
    enum reason reason;
    uint32_t devices;    /* mask */
    uint32_t count;      /* refusals in a row that differ in nothing but their time */
    uint32_t archived;   /* of these */
    uint32_t estimate_s; /* of a refusal; 0: none */
    uint64_t bytes;      /* freed, or needed; 0: none */
    uint64_t idle_ns;    /* since its last use; 0: none */
};

struct decisions {
    struct decision items[DECISIONS_MAX]; /* a ring: number % DECISIONS_MAX */
    uint64_t next;                        /* number of the next one; they begin with 0 */
};

void decisions_fini(struct decisions *d);
/* Keeps what the effect says, if it is something that `why` can be asked of: a DECISION, a REFUSE,
 * and some NOTICEs. */
void decisions_note(struct server *s, const struct effect *e);
/* The one that came `back` before the last; NULL: not kept any more, or never there. */
const struct decision *decisions_at(const struct decisions *d, uint64_t back);

#endif
