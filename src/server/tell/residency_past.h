/* residency_past.h: what an earlier daemon kept of who was loaded where: read from the archive when
 * this one begins, so that the timeline goes on. */
#ifndef SERVER_RESIDENCY_PAST_H
#define SERVER_RESIDENCY_PAST_H

#include <stdbool.h>
#include <stdint.h>

struct residency_change;
struct residency_sample;
struct server;

/* In the order of time. */
struct residency_past {
    struct residency_change *changes; /* owned, and their names */
    struct residency_sample *samples; /* owned */
    uint32_t change_count, change_cap, sample_count, sample_cap;
    bool begun;     /* the archive was asked */
    uint32_t asked; /* questions that are not answered */
    bool told;      /* what went while no daemon was there is kept */
    int64_t end_ms; /* when the earlier daemon was last seen; wall clock, 0: not known */
};

void residency_past_fini(struct residency_past *p);
/* Asks the archive, once. */
void residency_past_ask(struct server *s);
/* From time to time, once the answer may be there: models that were loaded when the earlier daemon
 * ended without a word, and are not any more, are kept as unloaded then. */
void residency_past_turn(struct server *s);

#endif
