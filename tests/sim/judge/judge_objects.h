/* judge_objects.h: what the judge remembers of each model, request, lease, command and gate. */
#ifndef SIM_JUDGE_OBJECTS_H
#define SIM_JUDGE_OBJECTS_H

#include "base/pure/list.h"
#include "core/core.h"

enum seat { /* of a model, as far as the core has been told */
            SEAT_GONE,
            SEAT_LOADING,
            SEAT_HERE,
            SEAT_UNLOADING,
            SEAT_MOVING,
            SEAT_SUSPENDING,
            SEAT_ASLEEP,
            SEAT_RESUMING,
            SEAT_STUCK,
};

struct spot { /* bytes on each of some devices */
    uint32_t placement, devices;
    uint64_t bytes;
};

struct judge_model {
    struct core_model_policy policy;   /* as last configured */
    struct core_model_policy in_force; /* of the process that is there */
    uint64_t hash_running;             /* of the process that is there, or on its way */
    enum seat seat;
    uint64_t op; /* open while the seat is one that passes */
    bool escalated;
    bool slept; /* before it was unloaded */
    bool ghost; /* gone with its backend; what it had may be there */
    uint64_t op_since_ns, asleep_bytes, ghost_ns;
    struct spot at, to; /* to: of a move, or of a resume */
    uint32_t strayed;   /* devices where it was not put, but seen: its bytes may be anywhere */
    struct list waiting[CLASS__COUNT];
    uint32_t waiting_count, running;
    uint32_t life, busy;     /* busy: running ones of this life of its process that are not quiet */
    bool forced;             /* it may be cut: an order to stop at once, a broken server */
    bool ordered;            /* an order to unload: it admits nothing more */
    bool known;              /* from the configuration that names it until it is retired */
    bool pinned, was_pinned; /* by command; since it came in */
    bool kept;               /* by command, for keep_ns */
    uint64_t keep_ns;
    uint32_t learned;    /* placements whose bytes were measured, in this life or an earlier one */
    uint64_t more_bytes; /* that it is given, perhaps, after it ran out of memory */
    uint64_t used_ns;    /* when it was last used, or came in, less gap_ns */
    uint64_t learned_bytes[CORE_PLACEMENTS_MAX], estimated_bytes[CORE_PLACEMENTS_MAX];
    enum wish wish;
    uint32_t wish_placement;
};

enum party_state { PARTY_FREE, PARTY_ASKED, PARTY_WAITING, PARTY_GRANTED };

struct party {                         /* a request, or a lease */
    struct link order, mates, granted; /* by arrival; in its model or gate; all that are inside */
    enum party_state state;
    bool lease, bounced, quiet, revoked, starving, overdue; /* overdue: at its gates */
    bool running;                                           /* it was granted in an earlier life */
    bool made_way_for;                                      /* others may have left for it */
    enum trace traced;
    uint64_t tag, seq;
    struct id id;
    uint32_t model, life;
    enum class class;
    uint64_t since_ns, granted_ns;
    uint64_t patience_ns; /* wait_ns_max; UINT64_MAX: none */
    uint64_t under;       /* tag of the lease it was made under */
    uint64_t gap_ns;      /* judge's gap_ns when its clock began */
    uint64_t bound_ns;    /* fair: when the bound is over; 0: not yet overdue */
    struct core_lease_ask ask;
    uint64_t ttl_from_ns, revoked_ns;
    uint64_t overdue_ns, overdue_tick; /* since when, and which TICK said so */
    uint64_t ttl_ns;                   /* as it holds now; 0: held */
    struct spot at;
};

struct judge_command {
    bool open;
    uint64_t tag;
    uint32_t model, placement;
    enum command what;
};

struct judge_gate {
    struct core_gate_policy policy;
    struct list waiting;    /* leases that ask for this gate alone, and for no bytes */
    uint32_t inside, mixed; /* mixed: waiting leases that ask for more than this gate */
};

#endif
