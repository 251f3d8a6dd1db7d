/* words.h: the vocabulary that the core shares with its callers: classes, states, reasons, limits.
 *
 * Names of models, devices and gates live outside; the core knows them by slot, a small number that
 * the caller gives out and keeps for its own lifetime. */
#ifndef CORE_WORDS_H
#define CORE_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pure/check.h"
#include "base/pure/pool.h"
#include "base/pure/units.h"

#define CORE_DEVICES_MAX 8
#define CORE_PLACEMENTS_MAX 4
#define CORE_BACKENDS_MAX 8
#define CORE_LEASE_GATES_MAX 4
#define CORE_SLOT_NONE UINT32_MAX

/* Who waits for whom; lower goes first. */
enum class { CLASS_FOREGROUND, CLASS_NORMAL, CLASS_BACKGROUND, CLASS__COUNT };

enum model_state {
#define STATE(name, text, resident, settled) MODEL_##name,
#include "states.def"
#undef STATE
    MODEL__COUNT
};

/* Why something was refused, ended, or done; also what a DECISION says. */
enum reason {
#define REASON(name, text) REASON_##name,
#include "reasons.def"
#undef REASON
    REASON__COUNT
};

enum ended { ENDED_DONE, ENDED_GONE, ENDED_CUT };
enum command {
    COMMAND_LOAD, /* of a suspended model: resume it */
    COMMAND_UNLOAD,
    COMMAND_UNLOAD_NOW,
    COMMAND_MOVE,
    COMMAND_SUSPEND,
    COMMAND_PIN,
    COMMAND_UNPIN,
    COMMAND_KEEP, /* another ttl, until it is unloaded next */
    COMMAND__COUNT
};

/* What a mode wants of a model. */
enum wish { WISH_NONE, WISH_LOADED, WISH_UNLOADED };

/* How a move, a suspend or a resume ended. */
/* How far one had come that is there without having been ordered. */
enum adopted {
    ADOPTED_LOADED,
    ADOPTED_LOADING, /* LOAD is given out for it, as if it began only now */
    ADOPTED_SUSPENDED,
};

enum outcome { OUTCOME_DONE, OUTCOME_AT_SOURCE, OUTCOME_AT_TARGET, OUTCOME_GONE };

const char *model_state_text(enum model_state s);
const char *reason_text(enum reason r);
const char *class_text(enum class c);

#endif
