/* clock.h: the clock of all timeouts, and waiting on a condition by it. */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/pure/check.h"
#include "base/pure/units.h"

static inline uint64_t clock_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* When a timeout is over; negative: never, which is UINT64_MAX. */
static inline uint64_t clock_end_ns(uint64_t now_ns, int64_t timeout_ns)
{
    return timeout_ns < 0 ? UINT64_MAX : now_ns + (uint64_t)timeout_ns;
}

static inline void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr) == 0);
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    must(pthread_cond_init(cond, &attr) == 0);
    must(pthread_condattr_destroy(&attr) == 0);
}

/* False: end_ns has come. It may return for no reason. */
static inline bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t end_ns)
{
    struct timespec t = {.tv_sec = (time_t)(end_ns / NS_PER_S),
                         .tv_nsec = (long)(end_ns % NS_PER_S)};
    int rc = end_ns == UINT64_MAX ? pthread_cond_wait(cond, lock)
                                  : pthread_cond_timedwait(cond, lock, &t);
    must(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

#endif
