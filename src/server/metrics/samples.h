/* samples.h: a row of metrics.def while its samples are written, and what they are written of.
 *
 * Whoever writes a sample gives the values of its labels, in the order of the row, and then its
 * value; the names and all else stand in the row. */
#ifndef SERVER_METRICS_SAMPLES_H
#define SERVER_METRICS_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "core/core.h"
#include "server/limits.h"

struct host_reading;
struct samples;
struct server;

struct metric {
    const char *name, *type, *labels, *help;
    void (*put)(struct samples *s);
    const struct histogram_buckets *buckets; /* NULL: it is no histogram */
};

/* Requests of a model that are under way. */
struct metrics_load {
    uint32_t running[CLASS__COUNT], waiting[CLASS__COUNT];
};

/* What several rows tell of, looked up once. */
struct metrics_now {
    const struct host_reading *host; /* NULL: there is none */
    struct limit_now limits[LIMIT__COUNT];
    uint32_t slot_count;        /* of the roster, when this began */
    struct metrics_load *loads; /* owned; by slot; behind the last: of all others */
};

struct samples {
    const struct server *server;
    const struct metrics_now *now;
    const struct metric *metric;
    struct buf *out;
    struct buf labels;      /* of the sample to come, as they will stand between its braces */
    const char *next_label; /* the rest of their names */
    bool headed;            /* the row's help and type stand there */
    /* A row of all models may be left in the midst of it, and gone on with at another turn. */
    size_t pause_at;      /* bytes of out */
    bool paused;          /* the row is not over */
    uint32_t slot, class; /* where it goes on; 0 at its beginning */
};

/* Between two samples: whether that is enough for this turn; noted in paused. */
bool samples_pause(struct samples *s);
/* The next label's value, escaped here; NULL: this sample goes without it. */
void samples_label(struct samples *s, const char *value);
void samples_label_number(struct samples *s, uint64_t value);
/* The sample, with the labels that were given. */
void samples_put(struct samples *s, uint64_t value);
void samples_put_signed(struct samples *s, int64_t value);
/* value is in 10^-decimals. */
void samples_put_decimal(struct samples *s, uint64_t value, unsigned decimals);
void samples_put_ns(struct samples *s, uint64_t ns); /* in seconds */
/* All samples of a histogram of nanoseconds. */
void samples_put_histogram(struct samples *s, const struct histogram *h);
/* The labels were given in vain. */
void samples_drop(struct samples *s);

/* A sample for each reason of which there is a count. before: the label before that; NULL: there is
 * none. none: what REASON_NONE is called here; NULL: it has no sample. */
void samples_put_reasons(struct samples *s, const char *before,
                         const uint64_t counts[REASON__COUNT], const char *none);
/* A name of the C sources, in small letters, as the next label. */
void samples_label_lower(struct samples *s, const char *name);

/* The functions of metrics.def. */
#define METRIC(name, type, labels, writer, help) void metrics_put_##writer(struct samples *s);
#define HISTOGRAM(name, buckets, labels, writer, help) void metrics_put_##writer(struct samples *s);
#include "server/metrics/metrics.def"

#endif
