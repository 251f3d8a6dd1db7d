/* Jobs as leases of a broker: it decides who is let in, and this keeps their names, counts them,
 * and asks the devices what is in use before each decision. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/list.h"
#include "lib/inbox.h"
#include "lib/pool/devices.h"
#include "wharf/broker.h"

#define JOBS_MAX_DEFAULT 3
#define LIMIT_PERMILLE_DEFAULT 800
#define SLOTS "slots"
#define CPU "cpu"

enum job_state { JOB_WAITS, JOB_IN, JOB_ENDS };

struct job {
    struct link link; /* in the pool's jobs */
    char *name;
    uint64_t bytes;
    enum job_state state;
    uint64_t id;     /* of its lease */
    uint32_t device; /* where its bytes are; count of devices: nowhere */
};

struct wharf_pool {
    pthread_mutex_t lock; /* of what is below; never held while the broker is called */
    struct list jobs;
    uint64_t processed, failed, refused, reserved_bytes, peak_bytes;
    struct pool_devices devices; /* but for what is read and reserved, nothing changes */
    struct wharf_broker *broker;
    uint32_t jobs_max;
    uint32_t limit_permille;
    uint64_t reserve_bytes;
    void (*cleanup)(void *arg, const char *job, const char *device);
    void *arg;
};

struct wharf_pool_wait {
    struct wharf_pool *pool;
    struct job *job;
    struct wharf_call *call;
    struct wharf_answer answer;
};

static void lock(struct wharf_pool *p)
{
    must(pthread_mutex_lock(&p->lock) == 0);
}

static void unlock(struct wharf_pool *p)
{
    must(pthread_mutex_unlock(&p->lock) == 0);
}

/* The broker's, of its devices, which are numbers here. */
static int sample(void *arg, const char *device, uint64_t *ret_used_bytes)
{
    struct wharf_pool *p = arg;
    struct pool_device *d = &p->devices.items[strtoul(device, NULL, 10)];
    struct wharf_pool_reading reading = {.used_bytes = 0};
    int rc = pool_devices_read(&p->devices, (uint32_t)(d - p->devices.items), &reading);
    lock(p);
    d->stale = rc != 0;
    if (rc == 0) {
        d->used_bytes = reading.used_bytes;
        d->utilisation_percent = reading.utilisation_percent;
    }
    unlock(p);
    *ret_used_bytes = reading.used_bytes;
    return rc;
}

static bool is_sampled(const struct wharf_pool *p)
{
    return p->devices.source != SOURCE_PROGRAM || p->devices.sample;
}

/* A driver that does not answer in its time leaves the last numbers standing. */
static void refresh(struct wharf_pool *p)
{
    if (is_sampled(p))
        (void)!wharf_broker_refresh(p->broker, 2 * (int64_t)p->devices.wait_ns_max);
}

static int start(struct wharf_pool *p, const struct wharf_pool_options *o)
{
    struct wharf_device devices[WHARF_DEVICES_MAX];
    int rc = o->limit_permille > 1000 ? -EINVAL : pool_devices_init(&p->devices, o);
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < p->devices.count; i++)
        devices[i] = (struct wharf_device){.name = p->devices.items[i].slot,
                                           .total_bytes = p->devices.items[i].total_bytes,
                                           .reserve_bytes = o->reserve_bytes,
                                           .limit_permille = p->limit_permille};
    const struct wharf_named_gate slots = {.name = SLOTS, .limit = p->jobs_max};
    const struct wharf_broker_options setup = {.devices = devices,
                                               .device_count = p->devices.count,
                                               .gates = &slots,
                                               .gate_count = 1,
                                               .ops = {.sample = is_sampled(p) ? sample : NULL},
                                               .arg = p};
    p->broker = wharf_broker_new(&setup);
    return p->broker ? 0 : -errno;
}

struct wharf_pool *wharf_pool_new(const struct wharf_pool_options *o)
{
    static const struct wharf_pool_options defaults;
    struct wharf_pool *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    o = o ? o : &defaults;
    must(pthread_mutex_init(&p->lock, NULL) == 0);
    list_init(&p->jobs);
    p->jobs_max = o->jobs_max ? o->jobs_max : JOBS_MAX_DEFAULT;
    p->limit_permille = o->limit_permille ? o->limit_permille : LIMIT_PERMILLE_DEFAULT;
    p->reserve_bytes = o->reserve_bytes;
    p->cleanup = o->cleanup;
    p->arg = o->arg;
    int rc = start(p, o);
    if (rc == 0) {
        refresh(p);
        return p;
    }
    wharf_pool_free(p);
    errno = -rc;
    return NULL;
}

static void forget(struct job *job)
{
    free(job->name);
    free(job);
}

void wharf_pool_free(struct wharf_pool *p)
{
    if (!p)
        return;
    wharf_broker_free(p->broker);
    for (struct link *n; (n = list_pop(&p->jobs));)
        forget(list_entry(n, struct job, link));
    pool_devices_fini(&p->devices);
    must(pthread_mutex_destroy(&p->lock) == 0);
    free(p);
}

struct wharf_pool *wharf_pool_default(const struct wharf_pool_options *o)
{
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    static struct wharf_pool *made;
    must(pthread_mutex_lock(&making) == 0);
    if (!made)
        made = wharf_pool_new(o);
    struct wharf_pool *p = made;
    must(pthread_mutex_unlock(&making) == 0);
    return p;
}

/* With the lock. */
static struct job *find(struct wharf_pool *p, const char *name)
{
    struct link *n;
    list_each(n, &p->jobs) {
        if (strcmp(list_entry(n, struct job, link)->name, name) == 0)
            return list_entry(n, struct job, link);
    }
    return NULL;
}

static const char *const slots[] = {SLOTS};

/* 0, or -ENOENT: there is no such device. */
static int make_order(const struct wharf_pool *p, const struct wharf_job *job, int64_t timeout_ns,
                      struct wharf_order *ret)
{
    uint32_t device = job->device ? pool_devices_find(&p->devices, job->device) : 0;
    if (device == p->devices.count)
        return -ENOENT;
    *ret = (struct wharf_order){.kind = WHARF_LEASE,
                                .wharf_class = job->wharf_class,
                                .device = job->device ? p->devices.items[device].slot : NULL,
                                .bytes = job->bytes,
                                .gates = slots,
                                .gate_count = 1,
                                .timeout_ns = timeout_ns};
    return 0;
}

int wharf_pool_can_run(struct wharf_pool *p, const struct wharf_job *job)
{
    struct wharf_order order;
    int rc = make_order(p, job, 0, &order);
    if (rc < 0)
        return rc;
    refresh(p);
    return wharf_broker_can(p->broker, &order, NULL);
}

/* A job that waits. */
static int add(struct wharf_pool *p, const struct wharf_job *from, struct job **ret)
{
    if (!from->name || !from->name[0])
        return -EINVAL;
    struct job *job = calloc(1, sizeof(*job));
    char *name = strdup(from->name);
    if (!job || !name) {
        free(job);
        free(name);
        return -ENOMEM;
    }
    *job = (struct job){.name = name, .bytes = from->bytes, .device = p->devices.count};
    lock(p);
    bool there = find(p, name) != NULL;
    if (!there)
        list_push(&p->jobs, &job->link);
    unlock(p);
    if (there)
        forget(job);
    else
        *ret = job;
    return there ? -EEXIST : 0;
}

static void remove_job(struct wharf_pool *p, struct job *job, uint64_t *counter)
{
    lock(p);
    list_remove(&p->jobs, &job->link);
    ++*counter;
    unlock(p);
    forget(job);
}

static const char *device_name(const struct wharf_pool *p, uint32_t device)
{
    return device < p->devices.count ? p->devices.items[device].name : CPU;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What the broker has said of it. */
static int settle(struct wharf_pool *p, struct job *job, const struct wharf_answer *answer,
                  const char **ret_device)
{
    if (answer->rc < 0) {
        remove_job(p, job, &p->refused);
        return answer->rc;
    }
    lock(p);
    job->state = JOB_IN;
    job->id = answer->id;
    if (answer->device) {
        job->device = (uint32_t)strtoul(answer->device, NULL, 10);
        struct pool_device *d = &p->devices.items[job->device];
        d->reserved_bytes += job->bytes;
        d->peak_bytes = larger(d->peak_bytes, d->reserved_bytes);
        p->reserved_bytes += job->bytes;
        p->peak_bytes = larger(p->peak_bytes, p->reserved_bytes);
    }
    if (ret_device)
        *ret_device = device_name(p, job->device);
    unlock(p);
    return 0;
}

int wharf_pool_allocate(struct wharf_pool *p, const struct wharf_job *job, int64_t timeout_ns,
                        struct wharf_cancel *cancel, const char **ret_device)
{
    struct wharf_order order;
    struct wharf_answer answer;
    struct job *added;
    int rc = make_order(p, job, timeout_ns, &order);
    if (rc == 0)
        rc = add(p, job, &added);
    if (rc < 0)
        return rc;
    refresh(p);
    (void)!wharf_broker_do(p->broker, &order, cancel, &answer);
    return settle(p, added, &answer, ret_device);
}

int wharf_pool_begin(struct wharf_pool *p, const struct wharf_job *job, int64_t timeout_ns,
                     struct wharf_inbox *inbox, void *arg, struct wharf_pool_wait **ret_wait)
{
    struct wharf_order order;
    struct wharf_pool_wait *w = calloc(1, sizeof(*w));
    int rc = w ? make_order(p, job, timeout_ns, &order) : -ENOMEM;
    if (rc == 0)
        rc = add(p, job, &w->job);
    if (rc < 0) {
        free(w);
        return rc;
    }
    w->pool = p;
    wharf_broker_sample(p->broker);
    *ret_wait = w;
    rc = wharf_broker_begin(p->broker, &order, &w->answer, inbox, arg, &w->call);
    if (rc < 0) {
        *ret_wait = NULL;
        remove_job(p, w->job, &p->refused);
        free(w);
    }
    return rc;
}

int wharf_pool_finish(struct wharf_pool_wait *w, const char **ret_device)
{
    int rc = settle(w->pool, w->job, &w->answer, ret_device);
    free(w);
    return rc;
}

void wharf_pool_cancel(struct wharf_pool_wait *w)
{
    wharf_call_cancel(w->call);
    remove_job(w->pool, w->job, &w->pool->refused);
    free(w);
}

/* The job is on its way out, so that nobody else can end it. */
static struct job *take_out(struct wharf_pool *p, const char *name)
{
    lock(p);
    struct job *job = name ? find(p, name) : NULL;
    if (job && job->state == JOB_IN)
        job->state = JOB_ENDS;
    else
        job = NULL;
    unlock(p);
    return job;
}

int wharf_pool_release(struct wharf_pool *p, const char *name, int rc)
{
    struct job *job = take_out(p, name);
    if (!job)
        return -ENOENT;
    if (p->cleanup)
        p->cleanup(p->arg, job->name, device_name(p, job->device));
    lock(p); /* first, so that whoever gets its bytes is not counted beside it */
    if (job->device < p->devices.count) {
        p->devices.items[job->device].reserved_bytes -= job->bytes;
        p->reserved_bytes -= job->bytes;
    }
    unlock(p);
    wharf_broker_leave(p->broker, job->id);
    remove_job(p, job, rc == 0 ? &p->processed : &p->failed);
    return 0;
}

struct running {
    struct wharf_pool *pool;
    const char *name;
    int rc;
};

static void end_running(void *arg)
{
    const struct running *r = arg;
    (void)!wharf_pool_release(r->pool, r->name, r->rc);
}

int wharf_pool_run(struct wharf_pool *p, const struct wharf_job *job, int64_t timeout_ns,
                   int (*run)(void *arg, const char *device), void *arg, bool *ret_ran)
{
    /* Until the function has returned, it has failed: that is how it ends where it never does. */
    struct running running = {.pool = p, .name = job->name, .rc = -ECANCELED};
    const char *device;
    int rc = wharf_pool_allocate(p, job, timeout_ns, NULL, &device);
    if (ret_ran)
        *ret_ran = rc == 0;
    if (rc < 0)
        return rc;
    pthread_cleanup_push(end_running, &running);
    running.rc = run(arg, device);
    pthread_cleanup_pop(1);
    return running.rc;
}

static uint64_t limit_bytes(const struct wharf_pool *p, const struct pool_device *d)
{
    uint64_t bytes = d->total_bytes / 1000 * p->limit_permille +
                     d->total_bytes % 1000 * p->limit_permille / 1000;
    return bytes > p->reserve_bytes ? bytes - p->reserve_bytes : 0;
}

int wharf_pool_device(struct wharf_pool *p, uint32_t i, struct wharf_pool_device *ret)
{
    struct wharf_device_view v;
    if (i >= p->devices.count)
        return -ENOENT;
    refresh(p);
    must(wharf_broker_view_device(p->broker, p->devices.items[i].slot, &v) == 0);
    lock(p);
    const struct pool_device *d = &p->devices.items[i];
    *ret = (struct wharf_pool_device){.name = d->name,
                                      .product = d->gpu.name,
                                      .uuid = d->gpu.uuid,
                                      .total_bytes = v.total_bytes,
                                      .limit_bytes = limit_bytes(p, d),
                                      .allocated_bytes =
                                          is_sampled(p) ? d->used_bytes : d->reserved_bytes,
                                      .reserved_bytes = d->reserved_bytes,
                                      .free_bytes = v.free_bytes,
                                      .peak_bytes = d->peak_bytes,
                                      .utilisation_percent = d->utilisation_percent,
                                      .stale = d->stale};
    unlock(p);
    return 0;
}

/* With the lock: jobs that are in or on their way out have a slot; the others wait. */
static void count_jobs(struct wharf_pool *p, struct wharf_pool_stats *ret)
{
    struct link *n;
    list_each(n, &p->jobs) {
        if (list_entry(n, struct job, link)->state == JOB_WAITS)
            ret->waiting++;
        else
            ret->active++;
    }
}

void wharf_pool_stats(struct wharf_pool *p, struct wharf_pool_stats *ret)
{
    struct wharf_pool_stats s = {.devices = p->devices.count, .jobs_max = p->jobs_max};
    refresh(p);
    for (uint32_t i = 0; i < p->devices.count; i++) {
        struct wharf_device_view v;
        must(wharf_broker_view_device(p->broker, p->devices.items[i].slot, &v) == 0);
        s.total_bytes += v.total_bytes;
        s.free_bytes += v.free_bytes;
    }
    lock(p);
    for (uint32_t i = 0; i < p->devices.count; i++)
        s.allocated_bytes +=
            is_sampled(p) ? p->devices.items[i].used_bytes : p->devices.items[i].reserved_bytes;
    count_jobs(p, &s);
    s.processed = p->processed;
    s.failed = p->failed;
    s.refused = p->refused;
    s.reserved_bytes = p->reserved_bytes;
    s.peak_bytes = p->peak_bytes;
    unlock(p);
    *ret = s;
}

void wharf_pool_reset_peak(struct wharf_pool *p)
{
    lock(p);
    p->peak_bytes = p->reserved_bytes;
    for (uint32_t i = 0; i < p->devices.count; i++)
        p->devices.items[i].peak_bytes = p->devices.items[i].reserved_bytes;
    unlock(p);
}
