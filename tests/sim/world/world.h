/* world.h: the simulated world around a core: devices, engines, clients, backends, an inbox.
 *
 * It does what the core's callers do. Effects are carried out, and each result comes back as an
 * event through a FIFO, later, so that results and orders cross. What can go wrong does, at rates
 * that are drawn for each world (odds.def, acts.def). Everything comes from one seed. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/pure/heap.h"
#include "base/pure/rng.h"
#include "run.h"

#define WORLD_MODELS_MAX 198 /* the judge keeps one place for those that there never were */
#define WORLD_GROUPS_MAX 6
#define WORLD_GATES_MAX 6
#define WORLD_CLIENTS_MAX JUDGE_PARTIES_MAX
#define WORLD_INBOX_MAX 8192
#define WORLD_USES_MAX 64 /* samples in the inbox at once */
#define WORLD_NEVER UINT64_MAX

enum odds {
#define ODDS(name, on, least, most, calm) ODDS_##name,
#include "odds.def"
#undef ODDS
    ODDS__COUNT
};

enum act {
#define ACT(name, on, least, most, calm) ACT_##name,
#include "acts.def"
#undef ACT
    ACT__COUNT
};

struct swarm { /* what this world is like */
    bool calm, declared, honest, one_size;
    uint32_t odds[ODDS__COUNT], weights[ACT__COUNT], weight_sum;
    uint32_t models, devices, groups, gates, backends, clients;
    uint64_t hop_ns, load_ns, end_ns, serve_ns, linger_ns;
};

enum work { WORK_NONE, WORK_LOAD, WORK_UNLOAD, WORK_MOVE, WORK_SUSPEND, WORK_RESUME };

struct engine { /* of a model: a process, or what a backend does for one */
    enum work work;
    bool posted, escalated; /* the end of its work is in the inbox; ABORT or KILL has come */
    bool alive, asleep, exit_posted, linger_seen;
    uint32_t backend;
    uint32_t placement, to_placement, devices, to_devices, linger_devices;
    uint64_t bytes, to_bytes, linger_bytes, linger_until_ns; /* on each of devices */
    uint32_t honesty; /* permille of what it says that it really takes */
};

struct client {
    bool used, lease, inside, leaving, bounced, quiet, lax;
    uint64_t tag, lease_bytes;
    uint32_t lease_devices;
    uint64_t renew_ns; /* how often; 0: never */
    uint64_t end_ns;
};

struct letter {
    struct note note;
    uint32_t uses; /* the place of its uses; CORE_SLOT_NONE: none */
};

struct world {
    uint64_t seed;
    struct rng rng;
    const uint8_t *choices; /* taken before the rng is asked; see world_choose */
    size_t choices_left;
    bool chosen;
    struct swarm swarm;
    struct run run;
    struct core_config config;
    struct core_model_policy models[WORLD_MODELS_MAX];
    struct core_group_policy groups[WORLD_GROUPS_MAX];
    struct core_device_policy devices[CORE_DEVICES_MAX];
    struct core_gate_policy gates[WORLD_GATES_MAX];
    uint32_t members[JUDGE_MEMBERS_MAX], ends[JUDGE_SETS_MAX];
    struct core_wish wishes[WORLD_MODELS_MAX];
    uint64_t total[CORE_DEVICES_MAX], foreign[CORE_DEVICES_MAX], alarm[CORE_DEVICES_MAX];
    bool backend_lost[CORE_BACKENDS_MAX + 1];
    struct engine engines[WORLD_MODELS_MAX];
    struct client clients[WORLD_CLIENTS_MAX];
    uint32_t free_clients[WORLD_CLIENTS_MAX], free_count;
    uint64_t serial, command_serial;
    struct heap timers; /* see world_timer */
    struct letter inbox[WORLD_INBOX_MAX];
    uint32_t inbox_head, inbox_count;
    struct sample_use *uses[WORLD_USES_MAX];
    bool uses_taken[WORLD_USES_MAX];
    bool chaos;        /* something may go wrong */
    size_t peace_from; /* place on the tape where the last peace began */
};

struct world *world_new(uint64_t seed, struct counts *counts);
void world_free(struct world *w);
/* From here on choices come from these bytes, which stay the caller's; once they are used up,
 * nothing more is begun, and the rng chooses how what is left ends. */
void world_choose(struct world *w, const uint8_t *choices, size_t n);
/* Lives until so many steps are done; then everything comes to its end. The broken rule. */
enum rule world_live(struct world *w, uint64_t steps);

#endif
