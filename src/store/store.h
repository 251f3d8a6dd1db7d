/* store.h: the history of requests, in SQLite, on a thread of its own.
 *
 * Rows and questions go into a bounded queue, which never makes the caller wait: a row that does
 * not fit is dropped and counted. Rows of a file are written many at a time, and wait in the queue
 * while somebody else has it locked or it cannot be written. Rows in memory stay in the queue until
 * somebody asks, so that those that leave again before that cost next to nothing. The file is one
 * that llama-swap's own versions can go on with: its table `activity`, its indexes, and the marks
 * of its migrations. What wharf knows besides stands in a table of its own, `activity_wharf`, with
 * the same ids. Ids are the caller's and ascend. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/list.h"

/* Rows, and questions, that wait for the thread. */
#define STORE_ROWS_QUEUED_MAX 4096
#define STORE_QUERIES_QUEUED_MAX 64
#define STORE_MODELS_MAX 64 /* in one question */
#define STORE_BINS_MAX 20

struct store;

/* One request that is over. -1 in a count or a speed: not known. */
struct store_row {
    struct link link; /* the queue's */
    int64_t id, created_s;
    const char *model, *path, *content_type, *error;
    const char *metadata; /* a JSON object, or "" */
    int64_t status;
    int64_t cached, drafted, draft_accepted, input, output, duration_ms;
    double prompt_per_second, output_per_second;
    /* wharf's own */
    int64_t waited_ms; /* before its model's server got it; -1: not known */
    const char *ended; /* done, cut or gone; "": not known */
};

/* Of values above 0. */
struct store_histogram {
    uint64_t values; /* 0: there is none */
    uint32_t bin_count;
    uint64_t bins[STORE_BINS_MAX];
    double min, max, bin_size, p50, p95, p99;
};

struct store_stats {
    int64_t requests, input, output, cached;
    struct store_histogram prompt_speed, output_speed;
};

enum store_question { STORE_ACTIVITY, STORE_STATS };

struct store_query {
    struct link link;
    enum store_question what;
    char *models[STORE_MODELS_MAX]; /* owned; any of these */
    uint32_t model_count;           /* 0: all */
    /* STORE_ACTIVITY */
    int64_t start_s, end_s, id_min, id_max; /* inclusive */
    uint32_t limit, page;                   /* pages begin with 1 */
    uint32_t sort;                          /* from store_sort_find */
    bool ascending;
    /* the answer */
    bool failed;
    struct store_row **rows; /* owned */
    uint32_t row_count;
    int64_t total; /* on all pages */
    struct store_stats stats;
    uint64_t tag; /* the caller's own */
};

struct store_options {
    const char *path;  /* "": in memory; borrowed during store_open */
    uint64_t rows_max; /* older ones are deleted */
    /* On the store's thread: store_answered has something, store_dropped has grown, or store_locked
     * or store_problem is another. */
    void (*on_news)(void *arg);
    void *arg;
};

/* Opens and prepares the file, which must take WAL, and starts the thread. NULL and *err;
 * *ret_short: the machine is short of something, or somebody else has the file locked, so that it
 * may be had later. */
struct store *store_open(const struct store_options *opt, bool *ret_short, struct err *err);
/* The largest id that there has ever been; before the first put. */
int64_t store_last_id(const struct store *st);
/* From the next row on, so many are kept. */
void store_limit(struct store *st, uint64_t rows_max);
/* A copy with its texts, where NULL becomes "", in one piece of memory: freed with free(). */
struct store_row *store_row_new(const struct store_row *from) __attribute__((malloc));
/* Takes row, which came from store_row_new; false: it was dropped. */
bool store_put(struct store *st, struct store_row *row);
/* Takes q when true; false: too many are asked already. */
bool store_ask(struct store *st, struct store_query *q);
/* The next question that is answered, now the caller's; or NULL. */
struct store_query *store_answered(struct store *st);
/* Rows that wait to be written. */
uint32_t store_queued(struct store *st);
/* Rows that did not fit or could not be written. */
uint64_t store_dropped(struct store *st);
/* Somebody else has the file locked: rows wait for it in the queue. */
bool store_locked(struct store *st);
/* Why rows wait in the queue otherwise, a full disk for one; NULL: they can be written. The
 * caller's. */
char *store_problem(struct store *st);
/* Writes what is queued, breaks off questions that take long, and ends the thread. store_answered
 * may be called after it. hurried: what cannot be written at once is dropped. */
void store_stop(struct store *st, bool hurried);
void store_free(struct store *st);

/* NULL is legal. */
void store_query_free(struct store_query *q);
/* What to sort by, in llama-swap's word; -1 for none. */
int store_sort_find(const char *word);
/* Sorts values. Bins and percentiles as in llama-swap's statistics. */
void store_histogram(double *values, uint64_t count, struct store_histogram *ret);

#endif
