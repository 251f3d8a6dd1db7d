/* ollama.h: how a model that an Ollama server holds comes and goes, and whether that server is
 * there; decides, and does nothing itself.
 *
 * Its answers prove little: an unload is answered at once, a load perhaps without one. What counts
 * is the list of what is loaded (GET /api/ps), asked for after whatever was done. So whatever
 * happens, a LOAD is answered by exactly one LOADED or LOAD_FAILED, an UNLOAD by one UNLOADED (or
 * STUCK, after which it goes by EXITED), or either by UNKNOWN, when the server is lost; as long as
 * lists go on coming, or the server is called lost, in bounded time after an ABORT or a KILL. */
#ifndef BACKEND_OLLAMA_H
#define BACKEND_OLLAMA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pure/check.h"
#include "base/pure/units.h"

/* ---- one model, from its LOAD or its being found there ---- */

enum ollama_event {
    OLLAMA_LOAD,
    OLLAMA_FOUND, /* it is there already */
    OLLAMA_ABORT,
    OLLAMA_UNLOAD,
    OLLAMA_KILL,        /* the time of the UNLOAD is over */
    OLLAMA_CALL_OK,     /* the call under way was answered with 200 */
    OLLAMA_CALL_UNFIT,  /* or that the model does not generate: it only embeds */
    OLLAMA_CALL_FAILED, /* or with something else, or not at all */
    OLLAMA_SEEN,        /* it is in the list */
    OLLAMA_SEEN_BRIEF,  /* it is, and Ollama means to unload it some time */
    OLLAMA_UNSEEN,      /* it is not */
    OLLAMA_LOST,        /* the server is not there */
    OLLAMA_EVENT__COUNT
};

enum ollama_action {
    /* A call; an answer follows, CALL_…, unless it is cancelled. There is one at most. */
    OLLAMA_DO_LOAD,
    OLLAMA_DO_EMBED, /* the same for a model that only embeds */
    OLLAMA_DO_KEEP,  /* it is to stay until it is told to go */
    OLLAMA_DO_UNLOAD,
    OLLAMA_DO_CANCEL,
    OLLAMA_DO_LOADED,
    OLLAMA_DO_LOAD_FAILED,
    OLLAMA_DO_UNLOADED,
    OLLAMA_DO_STUCK,
    OLLAMA_DO_EXITED,
    OLLAMA_DO_UNKNOWN,
    OLLAMA_ACTION__COUNT
};

enum ollama_phase {
    OLLAMA_BEGUN,
    OLLAMA_LOADING,   /* the call is under way */
    OLLAMA_CHECKING,  /* it was answered with 200 */
    OLLAMA_FAILING,   /* it is to be gone again before the LOAD is called failed */
    OLLAMA_HELD,      /* loaded */
    OLLAMA_UNLOADING, /* told to go */
    OLLAMA_KILLED,    /* KILL was given: the next list decides */
    OLLAMA_STUCK,
    OLLAMA_OVER,
    OLLAMA_PHASE__COUNT
};

#define OLLAMA_ACTIONS_MAX 3
/* A load that was answered with 200 is in a list within this. */
#define OLLAMA_CHECK_NS (2 * NS_PER_S)
/* One that was loaded and is in no list for so long has gone; for less, Ollama may be putting
 * another runner in its place, as it does for another num_ctx. */
#define OLLAMA_MISSING_NS (1 * NS_PER_S)
/* An unload, or a stay, is asked for again after this. */
#define OLLAMA_AGAIN_NS (1 * NS_PER_S)
/* A failed load that is in the lists for so long is called failed all the same. */
#define OLLAMA_FAILING_NS (10 * NS_PER_S)

struct ollama_model {
    enum ollama_phase phase;
    bool calling;      /* a call is under way */
    bool embeds;       /* it does not generate */
    bool told;         /* acted_ns is when it was last told to go, or to stay */
    uint64_t since_ns; /* when the phase began */
    uint64_t acted_ns;
    uint64_t missing_ns; /* HELD: since when no list has it; 0: the last one had */
};

struct ollama_actions {
    uint32_t count;
    enum ollama_action items[OLLAMA_ACTIONS_MAX];
};

/* at_ns: now; of SEEN and UNSEEN, when that list was asked for, which says nothing of what was done
 * later. */
struct ollama_actions ollama_step(struct ollama_model *m, enum ollama_event ev, uint64_t at_ns);
/* Whether something is awaited that the next list may tell. */
bool ollama_is_busy(const struct ollama_model *m);

/* ---- the server ---- */

enum ollama_state {
    OLLAMA_NEW, /* never asked */
    OLLAMA_UP,
    OLLAMA_LATE, /* the last list did not come in time */
    OLLAMA_DOWN,
    OLLAMA_STATE__COUNT
};

enum ollama_answer {
    OLLAMA_LISTED,
    OLLAMA_REFUSED, /* nobody is there, or what is there is broken */
    OLLAMA_SLOW,    /* no list in time */
    OLLAMA_ANSWER__COUNT
};

enum ollama_change { OLLAMA_SAME, OLLAMA_WENT_DOWN, OLLAMA_CAME_UP };

enum ollama_change ollama_answered(enum ollama_state *state, enum ollama_answer answer);
/* How long until the next list is asked for; 0: not before somebody asks. */
uint64_t ollama_period_ns(enum ollama_state state, bool busy, bool holds);

#endif
