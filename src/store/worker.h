/* worker.h: a thread that writes rows to a database and answers questions about it.
 *
 * Rows and questions go into bounded queues, which never make the caller wait: a row that does not
 * fit is dropped and counted. Rows are written many at a time, and wait in the queue while somebody
 * else has the file locked or it cannot be written. A question is answered once all rows that were
 * put before it are written. What a row is, and which file it goes to, its owner knows. */
#ifndef STORE_WORKER_H
#define STORE_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/pure/list.h"

struct worker;

struct worker_options {
    /* On the thread, of which there is nothing else to guard. Writes the rows, of which there is at
     * least one, as one transaction: an SQLite code. Other than SQLITE_OK: none of them is written,
     * and all wait on. patient: there will be no other time, and time is there. *failed: rows that
     * can never be written are added to it. */
    int (*write)(void *arg, const struct list *rows, bool patient, uint64_t *failed);
    /* On the thread, behind a write that failed, unless somebody else has the file: what is wrong.
     */
    const char *(*problem)(void *arg);
    /* On the thread: fills the question; what takes long is broken off when *ending turns true. */
    void (*answer)(void *arg, struct link *question, atomic_bool *ending);
    /* On the thread: worker_answered has something, worker_dropped has grown, or worker_locked or
     * worker_problem is another. */
    void (*on_news)(void *news_arg);
    void *arg, *news_arg;
    uint32_t rows_queued_max, questions_queued_max;
    uint32_t batch_ms; /* for which further rows are waited for */
    uint32_t again_ms; /* until what could not be written is tried again */
    /* Nothing that is written outlives the thread: rows stay in the queue until somebody asks, so
     * that those that leave again before that cost next to nothing. */
    bool lazy;
    uint64_t rows_kept_max; /* lazy: of more, the oldest leave the queue */
};

/* NULL: no thread can be started. */
struct worker *worker_start(const struct worker_options *opt);
/* lazy: from the next row on. */
void worker_keep(struct worker *w, uint64_t rows_kept_max);
/* Takes row, the first member of a block from malloc, to be freed with free(); false: it was
 * dropped. */
bool worker_put(struct worker *w, struct link *row);
/* Takes question when true; false: too many are asked already. */
bool worker_ask(struct worker *w, struct link *question);
/* The next question that is answered, now the caller's; or NULL. */
struct link *worker_answered(struct worker *w);
/* Rows that wait to be written. */
uint32_t worker_queued(struct worker *w);
/* Rows that did not fit or could not be written. */
uint64_t worker_dropped(struct worker *w);
/* Somebody else has the file locked: rows wait for it in the queue. */
bool worker_locked(struct worker *w);
/* Why rows wait in the queue otherwise, a full disk for one; NULL: they can be written. The
 * caller's. */
char *worker_problem(struct worker *w);
/* Writes what is queued and ends the thread; questions that take long are broken off.
 * worker_answered may be called after it. hurried: what cannot be written at once is dropped. */
void worker_stop(struct worker *w, bool hurried);
/* After worker_stop, and with all answers taken. NULL is legal. */
void worker_free(struct worker *w);

#endif
