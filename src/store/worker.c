#include "store/worker.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"

/* As much as is known here of one. */
struct row {
    struct link link;
};

struct worker {
    struct worker_options opt;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t news;
    struct list rows, asked, answered;
    uint64_t dropped, rows_kept_max;
    bool stopping, hurried;
    atomic_bool ending; /* the same as stopping, for who has not the lock */
    bool locked;        /* somebody else has the file: rows stay where they are */
    char *problem;      /* owned; why it cannot be written otherwise; NULL: it can, or is locked */
    bool gathering;     /* the thread has been told of rows, and waits for more */
};

/* Files that are full or broken, or of which somebody else has hold: rows stay where they are. */
static bool waits(const struct worker *w)
{
    return w->locked || w->problem;
}

/* So many are written at once, without waiting for more. */
static uint32_t enough(const struct worker *w)
{
    return w->opt.lazy ? w->opt.rows_queued_max / 2 : w->opt.rows_queued_max / 8;
}

/* Whether there is something that cannot wait. */
static bool is_urgent(const struct worker *w)
{
    return w->stopping || w->asked.count || (w->rows.count >= enough(w) && !waits(w));
}

static struct timespec after_ms(uint32_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* the other one may be set back by hours */
    t.tv_nsec += ms % 1000 * 1000000L;
    t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    return t;
}

/* Waits for something to do, and where that is but a few rows, for more of them. With the lock. */
static void wait_for_work(struct worker *w)
{
    while (!is_urgent(w) && (w->rows.count == 0 || w->opt.lazy))
        pthread_cond_wait(&w->news, &w->lock);
    struct timespec until = after_ms(waits(w) ? w->opt.again_ms : w->opt.batch_ms);
    w->gathering = true;
    while (!is_urgent(w))
        if (pthread_cond_timedwait(&w->news, &w->lock, &until) != 0)
            break;
    w->gathering = false;
}

/* The oldest leave, until so many are there. With the lock. */
static uint64_t drop_oldest(struct worker *w, uint64_t max)
{
    uint64_t dropped = 0;
    for (; w->rows.count > max; dropped++)
        free(list_entry(list_pop(&w->rows), struct row, link));
    return dropped;
}

/* Takes why, or NULL. With the lock; true: that is news. */
static bool set_problem(struct worker *w, bool locked, char *why)
{
    bool news = locked != w->locked || (why != NULL) != (w->problem != NULL) ||
                (why && strcmp(why, w->problem) != 0);
    w->locked = locked;
    free(w->problem);
    w->problem = why;
    return news;
}

/* Writes what is queued. What cannot be written goes back to the head of the queue; at the end
 * there is nothing left to wait for. With the lock, which it lets go of meanwhile. */
static void flush(struct worker *w)
{
    struct list rows;
    struct link *row;
    uint64_t failed = 0;
    bool last = w->stopping, patient = last && !w->hurried;
    list_init(&rows);
    list_splice(&rows, &w->rows);
    if (rows.count == 0)
        return;
    pthread_mutex_unlock(&w->lock);
    int rc = w->opt.write(w->opt.arg, &rows, patient, &failed);
    bool locked = rc == SQLITE_BUSY;
    char *why = rc == SQLITE_OK || locked ? NULL : alloc_text(w->opt.problem(w->opt.arg));
    while (rc == SQLITE_OK && (row = list_pop(&rows)))
        free(list_entry(row, struct row, link));
    pthread_mutex_lock(&w->lock);
    list_splice(&rows, &w->rows);
    list_splice(&w->rows, &rows);
    if (rc != SQLITE_OK && last)
        failed += drop_oldest(w, 0);
    failed += drop_oldest(w, w->opt.rows_queued_max);
    w->dropped += failed;
    if (set_problem(w, locked && !last, why) || failed)
        w->opt.on_news(w->opt.news_arg);
}

/* With the lock, which it lets go of meanwhile. */
static void answer(struct worker *w, struct link *question)
{
    pthread_mutex_unlock(&w->lock);
    w->opt.answer(w->opt.arg, question, &w->ending);
    pthread_mutex_lock(&w->lock);
    list_push(&w->answered, question);
    w->opt.on_news(w->opt.news_arg);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->stopping || w->rows.count || w->asked.count) {
        wait_for_work(w);
        if (w->stopping && w->opt.lazy && w->asked.count == 0)
            (void)drop_oldest(w, 0); /* they would go with the memory */
        /* Before what is queued is written: a question is about all rows put before it. */
        struct link *asked = list_pop(&w->asked);
        flush(w);
        if (asked)
            answer(w, asked);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void init_news(struct worker *w)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->news, &attr);
    pthread_condattr_destroy(&attr);
}

/* Signals are the loop thread's. */
static bool start_thread(struct worker *w)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    w->running = pthread_create(&w->thread, NULL, work, w) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return w->running;
}

struct worker *worker_start(const struct worker_options *opt)
{
    struct worker *w = alloc_zeroed(1, sizeof(*w));
    w->opt = *opt;
    w->rows_kept_max = opt->rows_kept_max;
    pthread_mutex_init(&w->lock, NULL);
    init_news(w);
    list_init(&w->rows);
    list_init(&w->asked);
    list_init(&w->answered);
    if (start_thread(w))
        return w;
    worker_free(w);
    return NULL;
}

void worker_keep(struct worker *w, uint64_t rows_kept_max)
{
    pthread_mutex_lock(&w->lock);
    w->rows_kept_max = rows_kept_max;
    pthread_mutex_unlock(&w->lock);
}

bool worker_put(struct worker *w, struct link *row)
{
    pthread_mutex_lock(&w->lock);
    bool fits = w->rows.count < w->opt.rows_queued_max && !w->stopping;
    if (fits) {
        list_push(&w->rows, row);
        if (w->opt.lazy) /* what will not be kept need not be written first */
            (void)drop_oldest(w, w->rows_kept_max);
        if (w->rows.count == enough(w) || (w->rows.count == 1 && !w->gathering && !w->opt.lazy))
            pthread_cond_signal(&w->news);
    } else {
        w->dropped++;
    }
    pthread_mutex_unlock(&w->lock);
    if (!fits)
        free(row);
    return fits;
}

bool worker_ask(struct worker *w, struct link *question)
{
    pthread_mutex_lock(&w->lock);
    bool fits = w->asked.count < w->opt.questions_queued_max && !w->stopping;
    if (fits) {
        list_push(&w->asked, question);
        pthread_cond_signal(&w->news);
    }
    pthread_mutex_unlock(&w->lock);
    return fits;
}

struct link *worker_answered(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    struct link *question = list_pop(&w->answered);
    pthread_mutex_unlock(&w->lock);
    return question;
}

uint32_t worker_queued(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    uint32_t queued = w->rows.count;
    pthread_mutex_unlock(&w->lock);
    return queued;
}

uint64_t worker_dropped(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    uint64_t dropped = w->dropped;
    pthread_mutex_unlock(&w->lock);
    return dropped;
}

bool worker_locked(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    bool locked = w->locked;
    pthread_mutex_unlock(&w->lock);
    return locked;
}

char *worker_problem(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    char *problem = w->problem ? alloc_text(w->problem) : NULL;
    pthread_mutex_unlock(&w->lock);
    return problem;
}

void worker_stop(struct worker *w, bool hurried)
{
    if (!w->running)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    atomic_store(&w->ending, true);
    w->hurried = hurried;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->running = false;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    must(!w->running && w->answered.count == 0);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->news);
    free(w->problem);
    free(w);
}
