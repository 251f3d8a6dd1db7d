/* store_priv.h: shared by the store's files. */
#ifndef STORE_STORE_PRIV_H
#define STORE_STORE_PRIV_H

#include <sqlite3.h>

#include "store/store.h"

/* schema.c: an open file with its tables; NULL and *err. ret_last_id: the largest id so far. */
sqlite3 *store_db_open(const char *path, int64_t *ret_last_id, struct err *err);
/* A file that is not there yet, for its owner alone; SQLite's files beside it get its mode. What is
 * there stays as it is. */
void store_create_private(const char *path);
/* One or more statements without results; an SQLite code. */
int store_exec(sqlite3 *db, const char *sql);

/* query.c: fills the question's answer. */
void store_answer(sqlite3 *db, struct store_query *q);

#endif
