/* archiving.h: wharf's own history as the loop sees it: history.db of the state directory, where
 * `history.enabled` has it. What is kept is put together by those who know of it; it is written,
 * and questions are answered, by a thread (store/archive.h). */
#ifndef SERVER_ARCHIVING_H
#define SERVER_ARCHIVING_H

#include <uv.h>

#include "base/err.h"
#include "server/tell/residency_past.h"
#include "store/archive.h"

struct buf;
struct config_ref;
struct exchange;
struct server;
struct swaps;

struct archiving {
    struct archive *archive; /* owned; NULL: nothing is kept */
    uv_async_t wake;
    uv_timer_t timer;      /* what is kept from time to time */
    bool ready;            /* the handle is there */
    int64_t began_ms;      /* what is older is another daemon's; wall clock */
    uint64_t dropped_told; /* rows that were lost, as last logged */
    bool locked_told, problem_told;
    struct archive_state state; /* as last seen, without its texts */
    bool handed_on;             /* of a drainer: its successor keeps one */
    struct swaps *swaps;        /* owned; swaps.c */
    struct residency_past past; /* of an earlier daemon */
};

struct archiving_question {
    struct archive_question question; /* first: freed with it */
    /* Of an exchange, while it lives; NULL: on_news is called, whoever asked. */
    void (*answer)(struct exchange *ex, struct archive_question *q);
    void (*on_news)(struct server *s, struct archive_question *q);
};

int archiving_open(struct server *s, struct err *err);
int archiving_start(struct server *s, struct err *err);
void archiving_reload(struct server *s, const struct config_ref *old);
/* Writes what is queued, and lets go of the file. */
void archiving_close(struct server *s);
void archiving_fini(struct server *s);

/* Whether anything is kept at all: else nobody need put anything together. */
bool archiving_is_on(const struct server *s);
/* Keeps it; a drainer hands it on. */
void archiving_put(struct server *s, const struct archive_draft *row);
/* Takes q, from calloc. Its answer is called later. ex: who asks; NULL: nobody. False: nobody can
 * be asked now; q is freed. */
bool archiving_ask(struct server *s, struct exchange *ex, struct archiving_question *q);
/* The names of the devices of a mask, a JSON list. */
void archiving_put_devices(const struct server *s, uint32_t mask, struct buf *out);
/* Wall clock. */
int64_t archiving_now_ms(void);

#endif
