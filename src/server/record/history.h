/* history.h: the store of requests, as the loop sees it: rows go in at once, questions are answered
 * later. Without a file it is in memory, and there from the first row on. */
#ifndef SERVER_HISTORY_H
#define SERVER_HISTORY_H

#include <uv.h>

#include "base/err.h"
#include "store/store.h"

/* Rows that a file keeps; in memory metricsMaxInMemory counts. */
#define HISTORY_FILE_ROWS_MAX 1000000

struct config_ref;
struct exchange;
struct server;

struct history {
    struct store *store; /* owned; NULL: not opened yet, or not to be opened */
    uv_async_t wake;
    bool ready, broken;    /* the handle is there; the store cannot be opened */
    int64_t last_id;       /* given out */
    uint64_t dropped_told; /* rows that were lost, as last logged */
    bool locked_told, problem_told;
};

struct history_question {
    struct store_query query; /* first: freed with it */
    void (*answer)(struct exchange *ex, struct store_query *q);
};

int history_open(struct server *s, struct err *err);
void history_reload(struct server *s, const struct config_ref *old);
/* Tries to open the store, where it could not be. */
void history_mend(struct server *s);
void history_close(struct server *s);
void history_fini(struct server *s);

/* Takes row, from calloc, and gives it its id, which is returned. */
int64_t history_add(struct server *s, struct store_row *row);
/* Takes q, from calloc. Its answer is called later, while ex lives. False: nobody can be asked now;
 * q is freed. */
bool history_ask(struct exchange *ex, struct history_question *q);

#endif
