/* store_priv.h: shared by the store's files. */
#ifndef STORE_STORE_PRIV_H
#define STORE_STORE_PRIV_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "store/store.h"

/* SQLite takes a file that it cannot write for one to be read, and never asks again. */
bool store_is_read_only(sqlite3 *db);
/* Before a file is opened: that SQLite counts its memory takes a lock for each piece of it. */
void store_configure(void);
/* What is wrong with a file that another one in its place would mend. */
bool store_is_damage(int rc);
/* A file, and with it what belongs to it: a log of writes that is not its own would damage the next
 * one. It becomes PATH.aside, in place of one that was put aside before; -1: it cannot be. */
int store_put_aside(const char *path);
/* schema.c: an open file with its tables; NULL and *err. ret_last_id: the largest id so far. */
sqlite3 *store_db_open(const char *path, int64_t *ret_last_id, bool *ret_short, struct err *err);
/* A file that is not there yet, for its owner alone; SQLite's files beside it get its mode. What is
 * there stays as it is. */
void store_create_private(const char *path);
/* One or more statements without results; an SQLite code. */
int store_exec(sqlite3 *db, const char *sql);
/* What is read from now on is broken off when that turns true; NULL: it is not any more. */
void store_break_off(sqlite3 *db, atomic_bool *ending);

/* query.c: fills the question's answer. */
void store_answer(sqlite3 *db, struct store_query *q);

#endif
