/* metrics.h: what is counted and measured while the daemon works, and /metrics, which tells it in
 * Prometheus' text format 0.0.4. metrics.def is the table of it all.
 *
 * What can be looked up is looked up when somebody asks; only what would be gone by then is counted
 * here, by the functions below, which are told of it where it happens. None of them allocates, but
 * for the first that ever happens to a model. Counts are a slot's of the roster: they outlive
 * reloads, and go with the model. After an upgrade they begin anew. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/histogram.h"
#include "base/pure/list.h"
#include "core/core.h"
#include "server/record/traffic.h"

/* A model that is back so soon after it was told to make room had better stayed. */
#define METRICS_RELOAD_NS (600 * NS_PER_S)
/* In place of a model's name. */
#define METRICS_OTHER "(other)"

struct exchange;
struct server;
struct tap_counts;

enum metrics_outcome {
    METRICS_ANSWERED,
    METRICS_ERROR,
    METRICS_FAILED,
    METRICS_REFUSED,
    METRICS_CANCELLED,
    METRICS_OUTCOME__COUNT
};

enum metrics_tokens { METRICS_INPUT, METRICS_OUTPUT, METRICS_CACHED, METRICS_TOKENS__COUNT };

/* Of one model and one class. */
struct metrics_class {
    bool seen; /* a request of it has been there */
    uint64_t outcomes[METRICS_OUTCOME__COUNT], tokens[METRICS_TOKENS__COUNT];
    struct histogram wait, first, total;
};

struct metrics_model {
    struct metrics_class classes[CLASS__COUNT];
    struct histogram load;
    uint64_t resumes, reloads, reload_ns;
    uint64_t evicted_ns; /* told to make room then, and not come in since; 0: it was not */
    uint64_t failures[REASON__COUNT], evictions[REASON__COUNT], unloads[REASON__COUNT];
};

struct metrics_decision {
    const char *type; /* static; NULL: there has been none */
    uint64_t counts[REASON__COUNT];
};

struct metrics {
    struct traffic_totals totals;  /* traffic.c */
    struct metrics_model **models; /* owned, as are they; by slot; NULL: nothing has happened */
    uint32_t model_count;
    struct metrics_model other;
    uint64_t recent; /* a bit for each of the last 64 that came in: it was a reload */
    uint32_t recent_count;
    uint64_t responses[6]; /* by the first digit of the status */
    uint64_t accepted;     /* connections */
    uint64_t events[EVENT__COUNT], effects[EFFECT__COUNT];
    struct metrics_decision decisions[NOTICE__COUNT + 2];
    struct histogram step, lag, lease_waits[CLASS__COUNT];
    uint64_t leases_refused[REASON__COUNT], leases_revoked[REASON__COUNT],
        leases_ended[REASON__COUNT];
    struct list scrapes;       /* write.c: answers that go on at their next turn */
    uv_idle_t spin;            /* runs while there are any */
    uint64_t turn_ns, idle_ns; /* at the last turn of the loop: when, and how long it had waited */
};

#define BUCKETS(name, ...) extern const struct histogram_buckets metrics_##name##_buckets;
#include "server/metrics/metrics.def"

/* count.c: what is told. Of requests the calls are those of traffic.h. */
void metrics_arrived(struct exchange *ex);
void metrics_begun(struct exchange *ex);
void metrics_granted(struct exchange *ex);
void metrics_content(struct exchange *ex);
void metrics_over(struct exchange *ex, enum ended how);
/* What its answer has cost; before metrics_over. */
void metrics_tokens(struct exchange *ex, const struct tap_counts *counts);
/* Once a step. */
void metrics_stepped(struct server *s, const struct event *ev, const struct effects *fx);
void metrics_noticed(struct server *s, const struct effect *e);
void metrics_lease_refused(struct server *s, const struct effect *e);
/* type: static. */
void metrics_decided(struct server *s, const struct effect *e, const char *type);
/* The slot is another's from now on. */
void metrics_forget(struct server *s, uint32_t slot);
/* Once a turn of the loop, at the same place. */
void metrics_turn(struct server *s);
void metrics_init(struct server *s);
void metrics_close(struct server *s);
void metrics_fini(struct server *s);

/* write.c: answers with the text of it all. Where that is long, it is made and sent over many turns
 * of the loop, so that nobody has to wait for it. */
void metrics_tell(struct exchange *ex, const char *content_type);

#endif
