/* judge.h: says from events and effects alone whether a core keeps its rules (rules.def).
 *
 * The judge is told each event before the core is, and each effect after. It keeps books of its
 * own, by the contract and not by the core's code; what it cannot know from events and effects it
 * does not judge, save what the world promised in its terms. Parties (requests and leases) and
 * commands are named by their tags, whose low bits are places in the judge's tables. */
#ifndef SIM_JUDGE_H
#define SIM_JUDGE_H

#include "base/pure/list.h"
#include "core/core.h"

#define JUDGE_MODELS_MAX 200
#define JUDGE_GROUPS_MAX 16
#define JUDGE_GATES_MAX 8
#define JUDGE_PARTIES_MAX 1024 /* powers of two: a tag's low bits */
#define JUDGE_COMMANDS_MAX 32
#define JUDGE_SETS_MAX 16
#define JUDGE_MEMBERS_MAX 256
#define JUDGE_CHAIN_MAX 4096 /* grants in one step and those that `more` asks for */

enum rule {
#define RULE(name, where, text) RULE_##name,
#include "rules.def"
#undef RULE
    RULE__COUNT
};

/* What the world promises; rules that need more than events and effects hold only then. */
struct terms {
    bool declared; /* every placement declares its bytes, and nothing else is measured */
    bool calm;     /* nothing fails or hangs; ops and requests keep the times below */
    uint64_t load_ns_max, unload_ns_max, settle_ns_max;
    uint32_t waiters_max, leases_max;
};

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
    uint64_t hash_running;           /* of the process that is there, or on its way */
    enum seat seat;
    uint64_t op; /* open while the seat is one that passes */
    bool escalated;
    bool slept; /* before it was unloaded */
    bool ghost; /* gone with its backend; what it had may be there */
    uint64_t op_since_ns, asleep_bytes, ghost_ns;
    struct spot at, to; /* to: of a move, or of a resume */
    struct list waiting[CLASS__COUNT];
    uint32_t waiting_count, running;
    uint32_t life, busy; /* busy: running ones of this life of its process that are not quiet */
    bool forced;   /* it may be cut: an order to stop at once, a broken server */
    bool ordered;  /* an order to unload: it admits nothing more */
    bool known; /* from the configuration that names it until it is retired */
    bool pinned, was_pinned; /* by command; since it came in */
    uint32_t learned;        /* placements for which something is known of its bytes */
    uint64_t used_ns; /* when it was last used, or came in, less gap_ns */
    uint64_t learned_bytes[CORE_PLACEMENTS_MAX];
    enum wish wish;
    uint32_t wish_placement;
};

enum party_state { PARTY_FREE, PARTY_ASKED, PARTY_WAITING, PARTY_GRANTED };

struct party { /* a request, or a lease */
    struct link order, mates, granted; /* by arrival; in its model or gate; all that are inside */
    enum party_state state;
    bool lease, bounced, quiet, revoked, starving, overdue; /* overdue: at its gates */
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
    uint64_t ttl_ns; /* as it holds now; 0: held */
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
    struct list waiting; /* leases that ask for this gate alone, and for no bytes */
    uint32_t inside, mixed; /* mixed: waiting leases that ask for more than this gate */
};

struct judge {
    struct terms terms;
    enum rule broken;
    char text[200];
    uint64_t now_ns, gap_ns, seq;
    const struct event *event; /* of this step */
    bool booted, draining, drained;
    bool guessed; /* the core could not know what a lost backend still had */
    uint64_t drain_cut_ns; /* when what still runs may be cut */
    uint32_t drains;
    /* The configuration. */
    struct core_config config;
    struct core_group_policy groups[JUDGE_GROUPS_MAX];
    uint32_t members[JUDGE_MEMBERS_MAX], ends[JUDGE_SETS_MAX];
    uint32_t model_count; /* slots ever configured */
    struct judge_model models[JUDGE_MODELS_MAX];
    struct core_device_policy devices[CORE_DEVICES_MAX];
    bool found[CORE_DEVICES_MAX];
    uint64_t total[CORE_DEVICES_MAX], handed[CORE_DEVICES_MAX];
    uint32_t loading[CORE_DEVICES_MAX]; /* loads that are open */
    uint32_t alone[CORE_DEVICES_MAX];   /* one above a model of unknown size, not yet measured */
    bool backend_down[CORE_BACKENDS_MAX + 1];
    uint64_t suspended_bytes;
    struct judge_gate gates[JUDGE_GATES_MAX];
    struct party parties[JUDGE_PARTIES_MAX];
    uint32_t request_at[JUDGE_PARTIES_MAX], lease_at[JUDGE_PARTIES_MAX]; /* by id.slot */
    struct judge_command commands[JUDGE_COMMANDS_MAX];
    struct list arrivals[2]; /* waiting requests, waiting leases */
    struct list granted;
    struct party *asked; /* until it is answered */
    struct party *chain[JUDGE_CHAIN_MAX]; /* granted in this chain of steps */
    uint32_t chain_count, ticks;
    uint64_t last_op, tick;
    uint32_t serving, leases_inside; /* granted requests, granted leases */
    uint64_t arrived, granted_count, refused, left;
    uint32_t touched; /* a model that this chain was about */
};

#include "judge_api.h"

#endif
