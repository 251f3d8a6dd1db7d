/* archive_priv.h: shared by the archive's files. All of it is its thread's, but for what the lock
 * guards. */
#ifndef STORE_ARCHIVE_PRIV_H
#define STORE_ARCHIVE_PRIV_H

#include <pthread.h>
#include <sqlite3.h>

#include "store/archive.h"
#include "store/worker.h"

/* Names in memory; a power of two. */
#define ARCHIVE_NAMES_CACHED 1024
/* Samples are put together in steps: of one second, ten, a minute, ten minutes. */
#define ARCHIVE_LEVELS 4
/* Requests that one statement writes: by far the most rows are of this table. */
#define ARCHIVE_REQUESTS_AT_ONCE 16
/* Ids of the table stamp: when it was written last, and behind it the last id of each table. */
#define ARCHIVE_STAMP_TIME 1
#define ARCHIVE_STAMP_IDS 2

struct archive_name {
    char *text; /* owned; NULL: none */
    int64_t id;
};

/* What time it is for the age of rows: a clock that was set is believed after an hour only. */
struct archive_clock {
    int64_t offset_ms;                       /* of the wall clock, that is believed */
    int64_t other_offset_ms, other_since_ms; /* that it has been lately, and since when */
    bool known, doubted;
};

struct archive {
    char *path; /* owned */
    int64_t (*wall_ms)(void), (*steady_ms)(void);
    void (*on_news)(void *arg);
    void *arg;
    struct worker *worker;
    sqlite3 *db; /* NULL: not open */
    /* Of one row, and of as many requests as are written at once. */
    sqlite3_stmt *insert[ARCHIVE__COUNT], *insert_requests;
    int64_t last_id[ARCHIVE__COUNT]; /* that was given out; ids are not given out twice */
    sqlite3_stmt *expire[ARCHIVE__COUNT], *oldest[ARCHIVE__COUNT];
    sqlite3_stmt *name_find, *name_add, *name_text, *pages, *free_pages, *stamp, *newest_sample;
    struct archive_name names[ARCHIVE_NAMES_CACHED];
    struct archive_clock clock;
    int64_t aged_ms[ARCHIVE_LEVELS]; /* all samples before are of a longer step */
    int64_t aged_at_ms;              /* when that was seen to; steady */
    char why[256];                   /* what went wrong last */
    pthread_mutex_t lock;            /* guards what follows */
    struct archive_bounds bounds;
    char *aside; /* owned; why the file was put aside; NULL: told, or it was not */
    uint64_t bytes;
};

/* archive_file.c */

/* An SQLite code; SQLITE_OK: the file is open. A damaged one is put aside. */
int archive_file_open(struct archive *a);
void archive_file_close(struct archive *a);
/* Writes a number that the file knows of itself. An SQLite code. */
int archive_file_stamp(struct archive *a, int id, int64_t number);
/* What an error means for the file: closed where it was damaged, so that the next call of
 * archive_file_open begins anew. Returns rc. */
int archive_file_failed(struct archive *a, int rc);
sqlite3_stmt *archive_prepare(struct archive *a, const char *sql, int *rc);
/* Of a statement that gives one number, which is reset. */
int archive_read_number(sqlite3_stmt *st, int64_t *ret);

/* archive_names.c */
/* The name's number, made if there is none; 0: the text is none, or *rc is an error. */
int64_t archive_name_id(struct archive *a, const char *text, int *rc);
/* Its number; 0: there is none. */
int64_t archive_name_known(struct archive *a, const char *text);
/* Borrowed until the next call; NULL: none. */
const char *archive_name_text(struct archive *a, int64_t id);
/* What is in memory may be of a transaction that came to nothing. */
void archive_names_forget(struct archive *a);

/* archive_age.c: keeps the file within its bounds, in the transaction of the rows that were written
 * last. An SQLite code. */
int archive_age(struct archive *a, uint64_t written);
/* What time it is for the age of rows. */
int64_t archive_now_ms(struct archive *a);
/* What the file knows of the time when it was written last. */
void archive_clock_init(struct archive *a, int64_t stamp_ms);

/* archive_read.c */
void archive_answer(struct archive *a, struct archive_question *q);

#endif
