#include "server/models/estimates.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "backend/estimate.h"
#include "backend/gguf_file.h"
#include "base/alloc.h"
#include "base/log.h"
#include "server/server.h"

/* What is decided first may well depend on it, but is not kept waiting by a slow disk. */
#define BOOT_HOLD_NS_MAX NS_PER_S

static const char boot_holder[] = "footprints are not estimated yet";

struct estimate_job {
    uv_work_t work;
    struct link link;
    struct server *server;
    struct estimate_subject subject;
    char **argv; /* owned, with its texts */
    uint32_t argc;
    uint64_t bytes; /* in all; 0: nothing is known */
};

/* ---- on the thread pool ---- */

/* Of all its files together; 0: the first is not there. */
static uint64_t size_of(const char *path)
{
    uint64_t sum = 0;
    uint32_t count = estimate_file_count(path);
    for (uint32_t i = 0; i < count; i++) {
        char *name = estimate_file_name(path, i);
        struct stat st;
        bool there = stat(name, &st) == 0 && S_ISREG(st.st_mode);
        free(name);
        if (!there && i == 0)
            return 0;
        sum += there ? (uint64_t)st.st_size : 0;
    }
    return sum;
}

/* Nothing is known of what is no such file. */
static void read_model(const char *path, struct gguf_model *ret)
{
    enum gguf_result result;
    *ret = (struct gguf_model){.layers = 0};
    (void)!gguf_read_file(path, ret, &result);
}

static uint64_t part_bytes(const struct estimate_part *part, const struct estimate_args *args)
{
    struct gguf_model m;
    read_model(part->path, &m);
    return estimate_part_bytes(&m, size_of(part->path), part, args);
}

static bool is_counted(const struct estimate_args *args, const char *path)
{
    bool is = args->draft.path && strcmp(args->draft.path, path) == 0;
    for (uint32_t i = 0; i < args->besides_count; i++)
        is |= strcmp(args->besides[i], path) == 0;
    return is;
}

/* A program is no model, however large. */
static bool may_be_model(const char *path, uint64_t *ret_bytes)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 0111))
        return false;
    *ret_bytes = size_of(path);
    return *ret_bytes >= ESTIMATE_FILE_BYTES_MIN;
}

/* The largest file that the command line names, as a word or behind a '='; NULL: none. */
static const char *find_largest(const struct estimate_job *job, const struct estimate_args *args)
{
    const char *found = NULL;
    uint64_t most = 0, bytes;
    for (uint32_t i = 1; i < job->argc; i++) {
        const char *value = strchr(job->argv[i], '=');
        const char *words[] = {job->argv[i], value ? value + 1 : NULL};
        for (size_t k = 0; k < countof(words) && words[k]; k++) {
            if (!may_be_model(words[k], &bytes) || bytes <= most || is_counted(args, words[k]))
                continue;
            most = bytes;
            found = words[k];
        }
    }
    return found;
}

static void on_run(uv_work_t *work)
{
    struct estimate_job *job = container_of(work, struct estimate_job, work);
    struct estimate_args args;
    estimate_read_args((const char *const *)job->argv, job->argc, &args);
    if (!args.model.path || size_of(args.model.path) == 0)
        args.model.path = find_largest(job, &args);
    if (!args.model.path)
        return;
    uint64_t bytes = estimate_plus(part_bytes(&args.model, &args), ESTIMATE_OVERHEAD_BYTES);
    if (args.draft.path)
        bytes = estimate_plus(bytes, part_bytes(&args.draft, &args));
    for (uint32_t i = 0; i < args.besides_count; i++)
        bytes = estimate_plus(bytes, size_of(args.besides[i]));
    job->bytes = bytes <= ESTIMATE_BYTES_MAX ? bytes : 0;
}

/* ---- on the loop ---- */

static void free_job(struct estimate_job *job)
{
    for (uint32_t i = 0; i < job->argc; i++)
        free(job->argv[i]);
    free(job->argv);
    free(job);
}

static void begin_next(struct server *s);

static void on_done(uv_work_t *work, int status)
{
    struct estimate_job *job = container_of(work, struct estimate_job, work);
    struct server *s = job->server;
    uint32_t devices = job->subject.devices;
    (void)status;
    s->footprints.estimates.running = NULL;
    if (!s->footprints.estimates.closed) {
        if (job->bytes)
            footprints_estimated(s, &job->subject,
                                 job->bytes / devices + (job->bytes % devices != 0));
        else
            log_info(roster_id(&s->roster, job->subject.slot),
                     "not estimated: its command line names no file of a model that can be read; "
                     "until it has run it is taken to need all of a GPU, unless vram says less");
        begin_next(s);
    }
    free_job(job);
}

static void begin_next(struct server *s)
{
    struct estimates *e = &s->footprints.estimates;
    struct link *pos = e->running ? NULL : list_pop(&e->waiting);
    if (pos) {
        e->running = list_entry(pos, struct estimate_job, link);
        must(uv_queue_work(s->loop, &e->running->work, on_run, on_done) == 0);
    } else if (!e->running) {
        boot_release(s, boot_holder);
    }
}

void estimates_init(struct estimates *e)
{
    list_init(&e->waiting);
}

void estimates_ask(struct server *s, const struct estimate_subject *subject,
                   const struct config_strings *argv)
{
    struct estimates *e = &s->footprints.estimates;
    struct estimate_job *job = alloc_zeroed(1, sizeof(*job));
    must(!e->closed);
    job->server = s;
    job->subject = *subject;
    job->argc = argv->count;
    job->argv = alloc_zeroed(argv->count + 1, sizeof(*job->argv));
    for (uint32_t i = 0; i < argv->count; i++)
        job->argv[i] = alloc_text(argv->items[i]);
    if (!e->running)
        boot_hold(s, boot_holder, BOOT_HOLD_NS_MAX);
    list_push(&e->waiting, &job->link);
    begin_next(s);
}

void estimates_close(struct estimates *e)
{
    struct link *pos;
    e->closed = true;
    while ((pos = list_pop(&e->waiting)))
        free_job(list_entry(pos, struct estimate_job, link));
}
