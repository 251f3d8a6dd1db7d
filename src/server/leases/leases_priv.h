/* leases_priv.h: a lease, for the files that share it: leases.c (its life), leases_wait.c (how it
 * waits), leases_text.c (what is said of it), leases_kept.c (what outlives the daemon),
 * leases_uses.c (its processes). */
#ifndef SERVER_LEASES_PRIV_H
#define SERVER_LEASES_PRIV_H

#include "server/leases/leases.h"
#include "server/process/proctree.h"

enum lease_phase {
    PHASE_ASKED, /* the core has not answered */
    PHASE_WAITING,
    PHASE_GRANTED,
    PHASE_REMAINS, /* it has ended; the core holds its bytes while its processes may be there */
    PHASE_OVER,    /* nothing of it is left */
};

struct lease {
    struct link link; /* leases.all */
    struct link news; /* leases.news, or on none */
    struct server *server;
    struct id self; /* its place in the pool; as a tag in the core */
    struct id core; /* none: the core has not answered, or it has ended there */
    enum lease_phase phase;
    char id[LEASE_ID_MAX], token[LEASE_TOKEN_MAX];
    char *name;                /* owned */
    struct proc process;       /* of the holder; pid 0: not known */
    struct core_lease_ask ask; /* the core reads it until it has answered */
    uint32_t devices;          /* where it was granted */
    uint64_t since_ns, granted_ns, expires_ns;
    uint64_t waited_ns;
    bool revoked;
    bool end_told; /* what remains is of an earlier daemon's lease, which has told of its end */
    uint32_t revoked_for; /* a model's slot; CORE_SLOT_NONE: a lease, or nobody in particular */
    const char *revoked_why, *ended_why; /* static */
    enum reason refused;                 /* the core would not have it */
    struct exchange *asker; /* waits for the first line, or for the 201; NULL: nobody does */
    struct held *held;      /* NULL: nobody holds it now */
    /* What its holder has been told. */
    bool wait_published;
    bool knows_token, knows_wait, knows_grant, knows_revoke;
    uint32_t told_position;
    char *told_wait; /* owned */
    uint32_t record; /* RECORDS_NONE: none */
    bool awaited;    /* of an earlier daemon, and nobody has come back for it yet */
    uv_work_t scan;  /* for its processes */
    uv_timer_t scan_timer;
    bool scanning, scan_whole, timer_open;
    uint32_t scans_empty;   /* in a row */
    uint64_t scan_ms;       /* the pause before the next */
    struct proc_list found; /* owned; while a scan runs, by it */
};

/* Longer than any daemon lives. */
#define LEASE_NEVER_NS (UINT64_MAX / 4)

/* leases.c */
uint64_t leases_tag(const struct lease *l);
/* NULL: there are too many. */
struct lease *lease_new(struct server *s);
void lease_set_ask(struct lease *l, const struct core_lease_ask *ask);
/* Something is to be told, or it is to be freed: at the next turn. */
void lease_note(struct lease *l);
/* The core holds nothing for it any more, and it is nobody's: freed at the next turn. */
void lease_over(struct lease *l);

/* leases_text.c */
/* As one object, from { on; the members that are said now. */
void lease_put_line(struct lease *l, struct buf *out);
void lease_put_granted(const struct lease *l, struct buf *out);
/* Whether it stands otherwise than its holder was told. */
bool lease_wait_changed(const struct lease *l);

/* leases_wait.c */
uint32_t lease_position(const struct lease *l);   /* 1 is next */
uint64_t lease_overdue_ns(const struct lease *l); /* 0: never */
/* Seconds until it may be granted, by what those before it have said or by how long others held
 * the same; 0: not known. */
uint32_t lease_estimate_s(const struct lease *l);
/* It ends, and was granted: others are estimated by it. */
void lease_learn_hold(struct lease *l);

/* leases_kept.c */
/* Writes down how it is now. */
void lease_keep(struct lease *l);

/* leases_uses.c */
/* Its bytes are held until none of its processes is found. */
void lease_watch_remains(struct lease *l);
/* An awaited one whose holder is known ends when he is not found either. */
void lease_watch_awaited(struct lease *l);
/* Somebody has come back for it. */
void lease_came_back(struct lease *l);
/* Nothing is looked for any more: it is over, or the daemon ends. */
void lease_unwatch(struct lease *l);

#endif
