/* Three jobs of 5 GiB each on a device of 12 GiB: one at a time, since a pool gives out 80 % of it. */
#include <pthread.h>
#include <stdio.h>
#include <wharf/pool.h>

#define GIB (UINT64_C(1) << 30)

static struct wharf_pool *pool;

static int generate(void *arg, const char *device)
{
    printf("%s runs on %s\n", (const char *)arg, device);
    return 0;
}

static void *job(void *name)
{
    const struct wharf_job job = {.name = name, .bytes = 5 * GIB, .wharf_class = WHARF_NORMAL};
    int rc = wharf_pool_run(pool, &job, WHARF_FOREVER, generate, name, NULL);
    return rc == 0 ? NULL : name;
}

int main(void)
{
    static char names[3][2] = {"a", "b", "c"};
    pthread_t threads[3];
    int failed = 0;
    /* Of a device whose size is given; with all zero it would be the GPUs of the machine. */
    pool = wharf_pool_new(&(struct wharf_pool_options){.total_bytes = 12 * GIB, .jobs_max = 2});
    if (!pool)
        return 1;
    for (int i = 0; i < 3; i++)
        failed |= pthread_create(&threads[i], NULL, job, names[i]);
    for (int i = 0; i < 3 && !failed; i++) {
        void *not_run;
        failed |= pthread_join(threads[i], &not_run) || not_run;
    }
    struct wharf_pool_stats s;
    wharf_pool_stats(pool, &s);
    printf("%llu jobs, at most %llu GiB at once\n", (unsigned long long)s.processed,
           (unsigned long long)(s.peak_bytes / GIB));
    failed |= s.processed != 3 || s.peak_bytes != 5 * GIB;
    wharf_pool_free(pool);
    return failed;
}
