#include "server/residents/process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/out_of_memory.h"
#include "backend/process.h"
#include "base/alloc.h"
#include "base/log.h"
#include "mapping/mapping.h"
#include "server/gpus/devices.h"
#include "server/net/call.h"
#include "server/net/origin.h"
#include "server/proxy/exchange.h"
#include "server/proxy/upstream.h"
#include "server/residents/ports.h"
#include "server/server.h"

/* A server that accepts and never answers costs one attempt, and no more. */
#define PROBE_NS_MAX (2 * NS_PER_S)
/* How much of a model's log goes into the error that its clients get. */
#define LOG_TAIL_BYTES 1024
#define LOG_NAME_BYTES_MAX 200

static struct roster_entry *entry_of(const struct instance *in)
{
    return &in->resident.server->roster.entries[in->resident.slot];
}

static const char *id_of(const struct instance *in)
{
    return roster_id(&in->resident.server->roster, in->resident.slot);
}

static void on_timer(uv_timer_t *timer)
{
    instance_feed(timer->data, PROCESS_TIMER);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

/* Until it is started again, or gone. */
static void tell_of_log(struct instance *in, int error)
{
    struct server *s = in->resident.server;
    char *name = alloc_printf("log of %s", id_of(in));
    if (error) {
        char *reason = alloc_printf("what it prints is not kept: cannot open %s: %s", in->log_path,
                                    strerror(error));
        degraded_set(s, DEGRADED_STORE, name, reason, &in->resident.slot, 1);
        free(reason);
    } else if (in->log_lost) {
        degraded_clear(s, DEGRADED_STORE, name);
    }
    in->log_lost = error != 0;
    free(name);
}

void instance_release(struct instance *in)
{
    if (in->stop) {
        child_kill(in->stop); /* its end calls this again */
        return;
    }
    instance_move_forget(in);
    instance_keep_not(in);
    tell_of_log(in, 0);
    tails_end(in->resident.server, in->log_path);
    if (in->probe)
        call_cancel(in->probe);
    in->probe = NULL;
    if (in->unheard)
        instance_heard(in);
    instance_stop_sleeper(in);
    in->origin->open = false;
    upstream_drop_idle(in->origin);
    origin_put(in->origin);
    uv_close((uv_handle_t *)in->timer, on_timer_closed);
    resident_fini(&in->resident);
    free(in->log_path);
    free(in->failure);
    free(in);
}

/* Ids may hold any byte and be of any length; a file name may not. Two ids never share a file:
 * where a byte had to be replaced or left out, a hash of the id (FNV-1a) follows. */
char *server_log_path(const struct server *s, const char *id)
{
    struct buf path = {0};
    uint32_t hash = 2166136261U;
    bool replaced = strlen(id) > LOG_NAME_BYTES_MAX;
    buf_printf(&path, "%s/logs/", s->state_dir);
    for (const char *p = id; *p; p++) {
        bool plain = isalnum((unsigned char)*p) || strchr("._-", *p);
        if (p - id < LOG_NAME_BYTES_MAX)
            buf_char(&path, plain ? *p : '_');
        replaced |= !plain;
        hash = (hash ^ (unsigned char)*p) * 16777619U;
    }
    if (replaced)
        buf_printf(&path, "-%08x", hash);
    buf_text(&path, ".log");
    return buf_take(&path);
}

/* The last lines that this start has written, as far as they are that many bytes. The caller frees
 * it. */
static char *log_tail(const struct instance *in, size_t bytes_max)
{
    int fd = open(in->log_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    char *text = alloc_zeroed(bytes_max + 1, 1);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
        /* It has been begun anew (tails.h). */
        int64_t start = st.st_size < in->log_start ? 0 : in->log_start;
        int64_t most = (int64_t)bytes_max, written = st.st_size - start;
        ssize_t n = pread(fd, text, bytes_max, written > most ? st.st_size - most : start);
        text[n > 0 ? n : 0] = '\0';
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
            text[--n] = '\0';
    }
    if (fd >= 0)
        close(fd);
    return text;
}

/* By what it has printed at its end. */
static enum reason why_it_ended(const struct instance *in, enum reason else_why)
{
    char *tail = log_tail(in, OUT_OF_MEMORY_TAIL_BYTES);
    bool out_of_memory = out_of_memory_said(tail, strlen(tail));
    free(tail);
    return out_of_memory ? REASON_OUT_OF_MEMORY : else_why;
}

static char *describe_end(const struct instance *in)
{
    if (in->failure)
        return alloc_text(in->failure);
    if (in->exited && in->wait_status == CHILD_STATUS_UNKNOWN)
        return alloc_text("its process ended");
    if (in->exited && WIFEXITED(in->wait_status))
        return alloc_printf("its process exited with status %d", WEXITSTATUS(in->wait_status));
    if (in->exited && WIFSIGNALED(in->wait_status) && !in->aborted)
        return alloc_printf("its process was ended by signal %d", WTERMSIG(in->wait_status));
    const char *endpoint = in->resident.model->check_endpoint;
    if (!in->origin->host[0] || !endpoint[0])
        return alloc_text("it did not become ready");
    return alloc_printf("GET %s%s at %s was never answered with 200", in->origin->base_path,
                        endpoint, in->origin->host);
}

static void remember_failure(struct instance *in)
{
    struct roster_entry *e = entry_of(in);
    if (in->resident.called_off) {
        log_info(e->id, "its load was called off");
        return;
    }
    char *what = describe_end(in), *tail = log_tail(in, LOG_TAIL_BYTES);
    free(e->last_error);
    e->last_error =
        *tail ? alloc_printf("%s; its log ends with:\n%s", what, tail) : alloc_text(what);
    log_warn_with(e->id, LOG_WITH(LOG_TEXT("log_tail", tail)), "load failed: %s", what);
    free(what);
    free(tail);
}

static void on_probe(void *arg, const struct call_answer *a)
{
    struct instance *in = arg;
    in->probe = NULL;
    instance_feed(in, a->error == 0 && a->status == 200 ? PROCESS_PROBE_OK : PROCESS_PROBE_FAILED);
}

static void start_probe(struct instance *in)
{
    const struct call_spec spec = {
        .method = "GET", .path = in->resident.model->check_endpoint, .timeout_ns = PROBE_NS_MAX};
    in->probe = call_start(in->origin, &spec, on_probe, in);
}

/* Runs cmdStop, if there is one; otherwise asks by signal. */
static void ask_to_stop(struct instance *in)
{
    upstream_drop_idle(in->origin);
    exchange_end_uncounted(in->origin);
    if (in->resident.model->stop_argv.count)
        instance_run_stop(in);
    else
        child_signal(in->child, SIGTERM);
}

static void act(struct instance *in, enum process_action action, uint64_t delay_ns)
{
    switch (action) {
    case PROCESS_DO_SPAWN:
        instance_spawn(in);
        break;
    case PROCESS_DO_PROBE:
        start_probe(in);
        break;
    case PROCESS_DO_TIMER:
        if (!in->child)
            break; /* it is the timer by which a start that cannot be tried comes to its end */
        uv_update_time(in->resident.server->loop);
        uv_timer_start(in->timer, on_timer, (delay_ns + NS_PER_MS - 1) / NS_PER_MS, 0);
        break;
    case PROCESS_DO_TERM:
        ask_to_stop(in);
        break;
    case PROCESS_DO_KILL:
        instance_kill_sleeper(in);
        upstream_drop_idle(in->origin);
        exchange_end_uncounted(in->origin);
        if (in->child)
            child_kill(in->child);
        break;
    case PROCESS_DO_LOADED:
        log_info_with(id_of(in),
                      LOG_WITH(LOG_NUMBER("pid", instance_pid(in)), LOG_NUMBER("port", in->port)),
                      "ready");
        if (in->prev)
            instance_move_ready(in);
        else
            resident_complete(&in->resident, RESIDENT_DONE, REASON_NONE, 0);
        break;
    case PROCESS_DO_LOAD_FAILED:
        remember_failure(in);
        if (in->prev)
            instance_move_failed(in);
        else
            resident_complete(&in->resident, RESIDENT_FAILED, why_it_ended(in, REASON_LOAD_FAILED),
                              0);
        break;
    case PROCESS_DO_STUCK:
        if (in->replaced)
            instance_move_left(in);
        else
            resident_complete(&in->resident, RESIDENT_STUCK, REASON_NONE, 0);
        break;
    case PROCESS_DO_BROKEN:
        resident_complete(&in->resident, RESIDENT_BROKEN, why_it_ended(in, REASON_EXITED), 0);
        break;
    case PROCESS_DO_UNLOADED:
    case PROCESS_DO_EXITED:
        if (in->replaced)
            instance_move_left(in);
        else
            resident_complete(&in->resident, RESIDENT_GONE, REASON_NONE, 0);
        break;
    }
}

void instance_feed(struct instance *in, enum process_event ev)
{
    enum process_phase before = in->process.phase;
    struct process_actions todo = process_step(&in->process, ev, uv_hrtime());
    in->origin->open = in->process.phase == PROCESS_READY;
    /* Before anything is done about it. */
    if (in->process.phase != before || ev == PROCESS_SPAWNED)
        instance_keep(in);
    for (uint32_t i = 0; i < todo.count; i++)
        act(in, todo.items[i], todo.delay_ns);
}

static void on_spawned(void *owner, struct child *c, pid_t pid)
{
    struct instance *in = owner;
    tell_of_log(in, child_log_error(c));
    log_info_with(id_of(in), LOG_WITH(LOG_NUMBER("pid", pid), LOG_NUMBER("port", in->port)),
                  "started");
    instance_feed(in, PROCESS_SPAWNED);
}

static void on_spawn_failed(void *owner, struct child *c, const char *text)
{
    struct instance *in = owner;
    (void)descriptors_short(in->resident.server, "to start a model", child_spawn_error(c));
    free(in->failure);
    in->failure = alloc_text(text);
    instance_feed(in, PROCESS_SPAWN_FAILED);
}

static void on_exited(void *owner, struct child *c, int wait_status)
{
    struct instance *in = owner;
    (void)c;
    in->exited = true;
    in->wait_status = wait_status;
    if (wait_status == CHILD_STATUS_UNKNOWN)
        log_info(id_of(in), "process ended, how is not known: an earlier daemon had started it");
    else
        log_info_with(id_of(in),
                      LOG_WITH(WIFSIGNALED(wait_status)
                                   ? LOG_NUMBER("signal", WTERMSIG(wait_status))
                                   : LOG_NUMBER("status", WEXITSTATUS(wait_status))),
                      "process ended");
    upstream_drop_idle(in->origin);
    instance_feed(in, PROCESS_EXITED);
}

static void on_gone(void *owner, struct child *c)
{
    struct instance *in = owner;
    (void)c;
    in->child = NULL;
    instance_feed(in, PROCESS_GONE);
    instance_release(in);
}

const struct child_ops instance_child_ops = {.on_spawned = on_spawned,
                                             .on_spawn_failed = on_spawn_failed,
                                             .on_exited = on_exited,
                                             .on_gone = on_gone};

/* A start that cannot even be tried is reported from the loop, like any other. */
static void on_cannot_start(uv_timer_t *timer)
{
    on_gone(timer->data, NULL);
}

void instance_cannot_start(struct instance *in, char *why)
{
    free(in->failure);
    in->failure = why;
    uv_timer_start(in->timer, on_cannot_start, 0, 0);
}

/* A log that has grown large is put aside, and the one put aside before is dropped. Returns the
 * bytes that stand in it. */
static int64_t prepare_log(const char *path, uint64_t bytes_max)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return 0;
    if ((uint64_t)st.st_size <= bytes_max)
        return st.st_size;
    char *aside = alloc_printf("%s.1", path);
    int rc = rename(path, aside);
    free(aside);
    return rc == 0 ? 0 : st.st_size;
}

static struct instance *instance_of(struct resident *r)
{
    return container_of(r, struct instance, resident);
}

void instance_find_variant(struct instance *in)
{
    const struct resident *r = &in->resident;
    in->variant = r->placement == CORE_SLOT_NONE
                      ? UINT32_MAX
                      : mapping_placement_variant(r->server->roster.current->config,
                                                  entry_of(in)->index, r->placement);
}

void instance_begin(struct instance *in)
{
    struct server *s = in->resident.server;
    const struct config_model *model = in->resident.model;
    instance_find_variant(in);
    in->origin = origin_new(s);
    in->origin->connect_timeout_ns = model->connect_timeout_ns;
    in->origin->tls_timeout_ns = model->tls_timeout_ns;
    in->origin->header_timeout_ns = model->header_timeout_ns;
    in->origin->idle_timeout_ns = model->idle_timeout_ns;
    in->timer = alloc_zeroed(1, sizeof(uv_timer_t));
    uv_timer_init(s->loop, in->timer);
    in->timer->data = in;
    in->record = RECORDS_NONE;
    in->log_path = server_log_path(s, model->id);
    if (!in->unheard) /* else it stands in the record */
        in->log_start = prepare_log(in->log_path, s->roster.current->config->log_file_bytes_max);
    tails_begin(s, in->log_path, in->log_start);
    process_init(&in->process, model->check_endpoint[0] != '\0');
}

static void load(struct server *s, uint32_t slot, const struct resident_order *order)
{
    struct resident *here = resident_at(s, slot);
    if (here) { /* adopted on its way */
        resident_take_over(here, order);
        instance_feed(instance_of(here), PROCESS_TAKE_OVER);
        return;
    }
    struct instance *in = alloc_zeroed(1, sizeof(*in));
    resident_begin(&in->resident, &resident_process, s, slot, order);
    instance_begin(in);
    instance_feed(in, PROCESS_LOAD);
}

static void abort_load(struct resident *r)
{
    instance_of(r)->aborted = true;
    instance_feed(instance_of(r), PROCESS_ABORT);
}

static void unload(struct resident *r)
{
    instance_feed(instance_of(r), PROCESS_UNLOAD);
}

static void kill_it(struct resident *r)
{
    if (!instance_move_kill(instance_of(r)))
        instance_feed(instance_of(r), PROCESS_KILL);
}

static struct origin *origin(struct resident *r)
{
    struct instance *in = instance_of(r);
    return in->process.phase == PROCESS_READY && !in->exited ? in->origin : NULL;
}

static void refused(struct resident *r)
{
    resident_complete(r, RESIDENT_BROKEN, REASON_BROKEN, 0);
}

int instance_pid(const struct instance *in)
{
    return in->child ? (int)child_pid(in->child) : 0;
}

bool instance_has_port(const struct resident *r, uint16_t port)
{
    if (r->ops != &resident_process)
        return false;
    const struct instance *in = container_of(r, const struct instance, resident);
    return in->port == port || (in->next && in->next->port == port) ||
           (in->prev && in->prev->port == port);
}

static void describe(const struct resident *r, struct resident_view *ret)
{
    const struct instance *in = container_of(r, const struct instance, resident);
    ret->pid = instance_pid(in);
    ret->port = ret->pid ? in->port : 0;
}

static bool owns(const struct instance *in, pid_t pid)
{
    return in && in->child && child_owns(in->child, pid);
}

/* What its whole tree uses; while it moves, both do. */
static bool uses(struct resident *r, uint32_t device, struct resident_claim *claims, uint32_t count,
                 uint64_t *ret_bytes)
{
    struct instance *in = instance_of(r);
    (void)device;
    for (uint32_t i = 0; i < count; i++)
        if (claims[i].slot == CORE_SLOT_NONE && !claims[i].known &&
            (owns(in, claims[i].pid) || owns(in->next, claims[i].pid) ||
             owns(in->prev, claims[i].pid)))
            claims[i].slot = r->slot;
    return resident_claimed(r, claims, count, ret_bytes);
}

const struct resident_ops resident_process = {.word = "process",
                                              .load = load,
                                              .abort = abort_load,
                                              .unload = unload,
                                              .suspend = instance_suspend,
                                              .resume = instance_resume,
                                              .move = instance_move,
                                              .kill = kill_it,
                                              .origin = origin,
                                              .refused = refused,
                                              .uses = uses,
                                              .describe = describe};
