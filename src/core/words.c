#include "core/words.h"
#include "core/effect.h"
#include "core/event.h"

static const char *const state_texts[MODEL__COUNT] = {
#define STATE(name, text, resident, settled) [MODEL_##name] = text,
#include "states.def"
#undef STATE
};

static const char *const reason_texts[REASON__COUNT] = {
#define REASON(name, text) [REASON_##name] = text,
#include "reasons.def"
#undef REASON
};

static const char *const class_texts[] = {"foreground", "normal", "background"};
_Static_assert(countof(class_texts) == CLASS__COUNT, "a text for each class");

static const char *const event_texts[] = {
    [EVENT_CONFIG] = "CONFIG",
    [EVENT_MODE] = "MODE",
    [EVENT_LEARNED] = "LEARNED",
    [EVENT_FOOTPRINT] = "FOOTPRINT",
    [EVENT_MODEL_ADOPTED] = "MODEL_ADOPTED",
    [EVENT_LEASE_RESTORED] = "LEASE_RESTORED",
    [EVENT_BOOT_DONE] = "BOOT_DONE",
    [EVENT_TICK] = "TICK",
    [EVENT_REQUEST_ARRIVED] = "REQUEST_ARRIVED",
    [EVENT_REQUEST_ENDED] = "REQUEST_ENDED",
    [EVENT_REQUEST_BOUNCED] = "REQUEST_BOUNCED",
    [EVENT_REQUEST_QUIET] = "REQUEST_QUIET",
    [EVENT_LEASE_ASKED] = "LEASE_ASKED",
    [EVENT_LEASE_RENEWED] = "LEASE_RENEWED",
    [EVENT_LEASE_ENDED] = "LEASE_ENDED",
    [EVENT_LEASE_REMAINS] = "LEASE_REMAINS",
    [EVENT_MODEL_LOADED] = "MODEL_LOADED",
    [EVENT_MODEL_LOAD_FAILED] = "MODEL_LOAD_FAILED",
    [EVENT_MODEL_UNLOADED] = "MODEL_UNLOADED",
    [EVENT_MODEL_MOVED] = "MODEL_MOVED",
    [EVENT_MODEL_SUSPENDED] = "MODEL_SUSPENDED",
    [EVENT_MODEL_RESUMED] = "MODEL_RESUMED",
    [EVENT_MODEL_EXITED] = "MODEL_EXITED",
    [EVENT_UPSTREAM_BROKEN] = "UPSTREAM_BROKEN",
    [EVENT_BACKEND_DOWN] = "BACKEND_DOWN",
    [EVENT_BACKEND_UP] = "BACKEND_UP",
    [EVENT_DEVICE_FOUND] = "DEVICE_FOUND",
    [EVENT_DEVICE_LOST] = "DEVICE_LOST",
    [EVENT_DEVICE_SAMPLE] = "DEVICE_SAMPLE",
    [EVENT_COMMAND] = "COMMAND",
    [EVENT_COMMAND_CANCELLED] = "COMMAND_CANCELLED",
    [EVENT_FORESEEN] = "FORESEEN",
    [EVENT_DRAIN] = "DRAIN",
};
_Static_assert(countof(event_texts) == EVENT__COUNT, "a text for each event");

static const char *const effect_texts[] = {
    [EFFECT_WAIT] = "WAIT",
    [EFFECT_GRANT] = "GRANT",
    [EFFECT_REFUSE] = "REFUSE",
    [EFFECT_LEASE_WAIT] = "LEASE_WAIT",
    [EFFECT_LEASE_GRANT] = "LEASE_GRANT",
    [EFFECT_LEASE_REVOKE] = "LEASE_REVOKE",
    [EFFECT_LEASE_END] = "LEASE_END",
    [EFFECT_LOAD] = "LOAD",
    [EFFECT_ABORT] = "ABORT",
    [EFFECT_UNLOAD] = "UNLOAD",
    [EFFECT_MOVE] = "MOVE",
    [EFFECT_SUSPEND] = "SUSPEND",
    [EFFECT_RESUME] = "RESUME",
    [EFFECT_KILL] = "KILL",
    [EFFECT_SAMPLE_NOW] = "SAMPLE_NOW",
    [EFFECT_BACKEND_PROBE] = "BACKEND_PROBE",
    [EFFECT_COMMAND_DONE] = "COMMAND_DONE",
    [EFFECT_MODEL_RETIRED] = "MODEL_RETIRED",
    [EFFECT_LEARNED] = "LEARNED",
    [EFFECT_NOTICE] = "NOTICE",
    [EFFECT_DECISION] = "DECISION",
    [EFFECT_TRACE] = "TRACE",
};
_Static_assert(countof(effect_texts) == EFFECT__COUNT, "a text for each effect");

static const char *const notice_texts[] = {
    [NOTICE_MODEL_LOADING] = "model_loading",
    [NOTICE_MODEL_LOADED] = "model_loaded",
    [NOTICE_MODEL_UNLOADING] = "model_unloading",
    [NOTICE_MODEL_UNLOADED] = "model_unloaded",
    [NOTICE_LOAD_FAILED] = "load_failed",
    [NOTICE_OOM] = "oom",
    [NOTICE_MOVING] = "moving",
    [NOTICE_DEVICE_CHANGED] = "device_changed",
    [NOTICE_SUSPENDING] = "suspending",
    [NOTICE_SUSPENDED] = "suspended",
    [NOTICE_RESUMING] = "resuming",
    [NOTICE_RESUMED] = "resumed",
    [NOTICE_OP_FAILED] = "op_failed",
    [NOTICE_EVICTED] = "evicted",
    [NOTICE_IDLE_UNLOAD] = "idle_unload",
    [NOTICE_STUCK] = "stuck",
    [NOTICE_ERROR_OVER] = "error_over",
    [NOTICE_SETTLED] = "settled",
    [NOTICE_BLOCKED] = "blocked",
    [NOTICE_STARVING] = "starving",
    [NOTICE_BACKEND_DOWN] = "degraded",
    [NOTICE_BACKEND_UP] = "recovered",
    [NOTICE_LEASE_GRANTED] = "lease_granted",
    [NOTICE_LEASE_REVOKED] = "lease_revoked",
    [NOTICE_LEASE_ENDED] = "lease_ended",
    [NOTICE_ELSEWHERE] = "running_on_cpu",
    [NOTICE_MODE_REACHED] = "mode_reached",
    [NOTICE_DRAINED] = "drained",
};
_Static_assert(countof(notice_texts) == NOTICE__COUNT, "a text for each notice");

static const char *const trace_texts[] = {
    [TRACE_NONE] = "",
    [TRACE_ENQUEUED] = "enqueued",
    [TRACE_ACQUIRED] = "acquired",
    [TRACE_RELEASED] = "released",
    [TRACE_CANCELLED] = "cancelled",
};

const char *trace_text(enum trace t)
{
    must(t < countof(trace_texts));
    return trace_texts[t];
}

const char *model_state_text(enum model_state s)
{
    must(s < MODEL__COUNT);
    return state_texts[s];
}

const char *reason_text(enum reason r)
{
    must(r < REASON__COUNT);
    return reason_texts[r];
}

const char *class_text(enum class c)
{
    must(c < CLASS__COUNT);
    return class_texts[c];
}

const char *event_type_text(enum event_type t)
{
    must(t < EVENT__COUNT);
    return event_texts[t];
}

const char *effect_type_text(enum effect_type t)
{
    must(t < EFFECT__COUNT);
    return effect_texts[t];
}

const char *notice_text(enum notice n)
{
    must(n < NOTICE__COUNT);
    return notice_texts[n];
}
