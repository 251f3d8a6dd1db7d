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
#include "judge_objects.h"

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

struct judge {
    struct terms terms;
    enum rule broken;
    char text[200];
    uint64_t now_ns, gap_ns, seq;
    const struct event *event; /* of this step */
    bool booted, draining, drained, drain_keeps;
    bool guessed;          /* the core could not know what a lost backend still had */
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
    struct party *asked;                  /* until it is answered */
    struct party *chain[JUDGE_CHAIN_MAX]; /* granted in this chain of steps */
    uint32_t chain_count, ticks;
    uint64_t last_op, tick;
    uint32_t serving, leases_inside; /* granted requests, granted leases */
    uint64_t arrived, granted_count, refused, left;
    uint32_t touched; /* a model that this chain was about */
};

#include "judge_api.h"

#endif
