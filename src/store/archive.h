/* archive.h: wharf's own history, history.db: what it is made of is in archive.def.
 *
 * It is opened, written and read by one thread (worker.h): nobody waits for it, not even at the
 * daemon's start. What cannot be opened or written is tried again; a file that is damaged, or that
 * no wharf like this one has written, is put aside as PATH.aside, in place of one put aside before,
 * and a new one begun. The file is kept within a size and an age: the oldest rows leave, some with
 * each batch of new ones. Samples are put together as they age, with their sums kept. */
#ifndef STORE_ARCHIVE_H
#define STORE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pure/list.h"
#include "store/archive_row.h"

/* Rows, and questions, that wait for the thread. */
#define ARCHIVE_ROWS_QUEUED_MAX 8192
#define ARCHIVE_QUESTIONS_QUEUED_MAX 64
#define ARCHIVE_PAGE_MAX 1000
/* A time, a dash, a number. */
#define ARCHIVE_CURSOR_MAX 44

struct archive;

struct archive_bounds {
    uint64_t bytes_max;  /* of the file and its log together */
    uint64_t age_ms_max; /* of requests, swaps, leases and decisions; 0: any */
};

enum archive_form { ARCHIVE_AS_JSON, ARCHIVE_AS_CSV };

/* What is asked for is answered as text, so that nothing of it is left to the loop. */
struct archive_question {
    struct link link; /* first: the worker's */
    enum archive_table table;
    enum archive_form form;
    int64_t start_ms, end_ms;       /* inclusive */
    char *filter;                   /* owned; the value of the table's filter; NULL: any */
    bool ascending;                 /* else the newest come first */
    char after[ARCHIVE_CURSOR_MAX]; /* from an earlier answer; "": from the beginning */
    uint32_t limit;                 /* 1 to ARCHIVE_PAGE_MAX */
    void (*on_row)(void *arg, const struct archive_draft *row); /* in place of text; or NULL */
    void *arg;                                                  /* on the thread */
    uint64_t tag;                                               /* the caller's own */
    /* the answer */
    bool failed;
    struct buf text; /* rows, without what stands around them */
    uint32_t row_count;
    char next[ARCHIVE_CURSOR_MAX]; /* "": there is no more */
};

struct archive_options {
    const char *path; /* copied */
    struct archive_bounds bounds;
    /* On the archive's thread: archive_answered has something, or how it stands is another. */
    void (*on_news)(void *arg);
    void *arg;
    /* For tests; NULL: the machine's clocks, in milliseconds: the time of day, and one that only
     * goes on, also while the machine sleeps. */
    int64_t (*wall_ms)(void);
    int64_t (*steady_ms)(void);
};

/* NULL: no thread can be started. */
struct archive *archive_open(const struct archive_options *opt);
/* From the next batch on. */
void archive_bound(struct archive *a, const struct archive_bounds *bounds);
/* Takes row; false: it was dropped. */
bool archive_put(struct archive *a, struct archive_row *row);
/* Takes q, from calloc, when true; false: too many are asked already. */
bool archive_ask(struct archive *a, struct archive_question *q);
/* The next question that is answered, now the caller's; or NULL. */
struct archive_question *archive_answered(struct archive *a);
/* NULL is legal. */
void archive_question_free(struct archive_question *q);
/* False: it is none that an answer has given. */
bool archive_is_cursor(const char *text);
/* Appends the headings of the table's columns as a line of CSV. */
void archive_put_headings(enum archive_table table, struct buf *out);

/* Rows that wait to be written. */
uint32_t archive_queued(struct archive *a);
/* How it stands; the texts are the caller's. */
struct archive_state {
    uint64_t dropped; /* rows that did not fit or could not be written */
    bool locked;      /* somebody else has the file: rows wait */
    char *problem;    /* why rows wait otherwise; NULL: they do not */
    char *aside;      /* why the file was put aside; told once; NULL: it was not */
    uint64_t bytes;   /* of the file */
};
void archive_look(struct archive *a, struct archive_state *ret);

/* Writes what is queued, breaks off questions that take long, and ends the thread. archive_answered
 * may be called after it. hurried: what cannot be written at once is dropped. */
void archive_stop(struct archive *a, bool hurried);
void archive_free(struct archive *a);

#endif
