/* footprints.h: what models were seen to take, in a SQLite file of wharf's own (wharf.sqlite of the
 * state directory), written by a thread of its own: the history's file is llama-swap's too, and may
 * be elsewhere, or in memory.
 *
 * A row is keyed by names, since slots and placements have no meaning for another life, and by the
 * hash of the model's definition (config hash_process): another command is another footprint. Of
 * each model the newest definitions are kept, so that going back to one finds its figures again. A
 * row that is put takes the place of one with the same key that still waits, so that a burst is one
 * write; it is in the file a few tenths of a second later. What cannot be written waits, and is
 * tried again. */
#ifndef STORE_FOOTPRINTS_H
#define STORE_FOOTPRINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/list.h"

/* Definitions of one model that are kept, rows in all, and rows that wait to be written. */
#define FOOTPRINTS_HASHES_MAX 4
#define FOOTPRINTS_ROWS_MAX 16384
#define FOOTPRINTS_QUEUED_MAX 4096

struct footprint_store;

enum footprint_source {
    FOOTPRINT_MEASURED, /* its processes were seen to use so much */
    FOOTPRINT_OOM,      /* it ran out of memory with less */
    FOOTPRINT_SOURCE__COUNT
};
extern const char *const footprint_source_words[FOOTPRINT_SOURCE__COUNT];

struct footprint_row {
    struct link link; /* the queue's */
    const char *model, *placement;
    const char *device; /* where it was measured last; "": not known */
    uint64_t hash;
    uint64_t bytes, residue_bytes, load_ns; /* bytes on each device; 0: not known */
    uint64_t samples;                       /* how often something was learned */
    enum footprint_source source;
    int64_t measured_s; /* when bytes were learned last; 0: never */
};

struct footprint_store_options {
    const char *path; /* borrowed during the call */
    /* Each row that is there, during the call; borrowed. */
    void (*on_row)(void *arg, const struct footprint_row *row);
    /* On the store's thread: footprint_store_problem is another. */
    void (*on_news)(void *arg);
    void *arg;
};

/* A file that is damaged, or of another version's making, is put aside as PATH.aside, in place of
 * one put aside before, and a new one begun; *ret_aside says why then (the caller frees it), else
 * it is NULL. NULL and *err: it cannot be opened. */
struct footprint_store *footprint_store_open(const struct footprint_store_options *opt,
                                             char **ret_aside, struct err *err);
/* A copy with its texts in one piece of memory: freed with free(). */
struct footprint_row *footprint_row_new(const struct footprint_row *from) __attribute__((malloc));
/* Takes row, which came from footprint_row_new; false: too many wait already, and it was dropped.
 */
bool footprint_store_put(struct footprint_store *st, struct footprint_row *row);
/* Why rows that wait cannot be written; NULL: nothing is known to keep them. The caller frees it.
 */
char *footprint_store_problem(struct footprint_store *st);
/* Tries to write what waits, for the last time, and ends the thread. NULL is legal. */
void footprint_store_free(struct footprint_store *st);

#endif
