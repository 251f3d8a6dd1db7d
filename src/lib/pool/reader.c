#include "lib/pool/reader.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/probe.h"
#include "lib/clock.h"

/* For a driver that is being asked at the end. */
#define END_NS_MAX NS_PER_S

struct reader {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* of the thread */
    pthread_cond_t done; /* an answer */
    uint64_t asked;      /* the number of the last question */
    uint64_t answered;   /* those up to it */
    pthread_t thread;
    bool ending;                /* nobody asks any more */
    bool over;                  /* the thread has nothing more to do */
    bool orphan;                /* it is in a driver, and frees all of this if it ever comes back */
    struct gpu_report *report;  /* the last answer */
    struct gpu_report *scratch; /* of the thread */
    char *root, *nvml_path;
};

static void end(struct reader *r)
{
    must(pthread_cond_destroy(&r->wake) == 0);
    must(pthread_cond_destroy(&r->done) == 0);
    must(pthread_mutex_destroy(&r->lock) == 0);
    free(r->report);
    free(r->scratch);
    free(r->root);
    free(r->nvml_path);
    free(r);
}

/* Drivers are opened anew with the next reading where one is missing or has gone. */
static bool is_whole(const struct gpu_report *report)
{
    bool whole = report->device_count > 0;
    for (uint32_t i = 0; i < report->device_count; i++)
        whole &= !report->devices[i].lost;
    return whole;
}

/* Without the lock. */
static void ask_drivers(struct reader *r, struct probe **probe)
{
    const struct gpu_place place = {.root = r->root, .nvml_path = r->nvml_path};
    if (!*probe)
        *probe = probe_new(&place);
    memset(r->scratch, 0, sizeof(*r->scratch));
    probe_read(*probe, r->scratch);
    if (!is_whole(r->scratch)) {
        probe_free(*probe);
        *probe = NULL;
    }
}

static void *run(void *arg)
{
    struct reader *r = arg;
    struct probe *probe = NULL;
    must(pthread_mutex_lock(&r->lock) == 0);
    while (!r->ending) {
        uint64_t number = r->asked;
        if (number == r->answered) {
            (void)clock_cond_wait(&r->wake, &r->lock, UINT64_MAX);
            continue;
        }
        must(pthread_mutex_unlock(&r->lock) == 0);
        ask_drivers(r, &probe);
        must(pthread_mutex_lock(&r->lock) == 0);
        struct gpu_report *answer = r->scratch;
        r->scratch = r->report;
        r->report = answer;
        r->answered = number;
        must(pthread_cond_broadcast(&r->done) == 0);
    }
    must(pthread_mutex_unlock(&r->lock) == 0);
    if (probe)
        probe_free(probe);
    must(pthread_mutex_lock(&r->lock) == 0);
    bool orphan = r->orphan;
    r->over = true;
    must(pthread_cond_broadcast(&r->done) == 0);
    must(pthread_mutex_unlock(&r->lock) == 0);
    if (orphan)
        end(r);
    return NULL;
}

/* The program's signals are not for this thread. */
static int start(struct reader *r)
{
    sigset_t all, before;
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int rc = -pthread_create(&r->thread, NULL, run, r);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return rc;
}

int reader_new(struct reader **ret)
{
    struct reader *r = calloc(1, sizeof(*r));
    const struct gpu_place place = probe_place();
    if (!r)
        return -ENOMEM;
    must(pthread_mutex_init(&r->lock, NULL) == 0);
    clock_cond_init(&r->wake);
    clock_cond_init(&r->done);
    r->report = calloc(1, sizeof(*r->report));
    r->scratch = calloc(1, sizeof(*r->scratch));
    r->root = strdup(place.root);
    r->nvml_path = strdup(place.nvml_path);
    int rc = r->report && r->scratch && r->root && r->nvml_path ? start(r) : -ENOMEM;
    if (rc < 0) {
        end(r);
        return rc;
    }
    *ret = r;
    return 0;
}

void reader_free(struct reader *r)
{
    if (!r)
        return;
    uint64_t end_ns = clock_ns() + END_NS_MAX;
    bool in_time = true;
    must(pthread_mutex_lock(&r->lock) == 0);
    r->ending = true;
    must(pthread_cond_signal(&r->wake) == 0);
    while (!r->over && in_time)
        in_time = clock_cond_wait(&r->done, &r->lock, end_ns);
    bool over = r->over;
    pthread_t thread = r->thread;
    r->orphan = !over;
    must(pthread_mutex_unlock(&r->lock) == 0);
    must((over ? pthread_join(thread, NULL) : pthread_detach(thread)) == 0);
    if (over)
        end(r);
}

int reader_read(struct reader *r, uint64_t wait_ns_max, struct gpu_device *out, uint32_t room,
                uint32_t *ret_count)
{
    uint64_t end_ns = clock_ns() + wait_ns_max;
    bool in_time = true;
    must(pthread_mutex_lock(&r->lock) == 0);
    uint64_t number = ++r->asked;
    must(pthread_cond_signal(&r->wake) == 0);
    while (r->answered < number && in_time)
        in_time = clock_cond_wait(&r->done, &r->lock, end_ns);
    bool answered = r->answered >= number;
    if (answered) {
        *ret_count = r->report->device_count < room ? r->report->device_count : room;
        memcpy(out, r->report->devices, *ret_count * sizeof(*out));
    }
    must(pthread_mutex_unlock(&r->lock) == 0);
    return answered ? 0 : -ETIMEDOUT;
}
