#include "server/instance.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/process.h"
#include "base/alloc.h"
#include "base/log.h"
#include "server/devices.h"
#include "server/origin.h"
#include "server/ports.h"
#include "server/probe.h"
#include "server/proxy/exchange.h"
#include "server/proxy/upstream.h"
#include "server/server.h"

/* How much of a model's log goes into the error that its clients get. */
#define LOG_TAIL_BYTES 1024
/* A model's log is put aside at the next start when it is larger. */
#define LOG_BYTES_MAX (16 * 1024 * 1024)

static void feed(struct instance *in, enum process_event ev);

static void on_timer(uv_timer_t *timer)
{
    feed(timer->data, PROCESS_TIMER);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

void instance_release(struct instance *in)
{
    struct roster_entry *e = &in->server->roster.entries[in->slot];
    if (e->instance == in)
        e->instance = NULL;
    if (in->stop) {
        child_kill(in->stop); /* its end calls this again */
        return;
    }
    tails_end(in->server, in->log_path);
    if (in->prober)
        probe_cancel(in->prober);
    in->origin->open = false;
    upstream_drop_idle(in->origin);
    origin_put(in->origin);
    uv_close((uv_handle_t *)in->timer, on_timer_closed);
    config_ref_put(in->config);
    free(in->log_path);
    free(in->failure);
    free(in);
}

/* Ids may hold any byte; a file name may not. Two ids never share a file: where a byte had to be
 * replaced, a hash of the id (FNV-1a) follows. */
char *server_log_path(const struct server *s, const char *id)
{
    struct buf path = {0};
    uint32_t hash = 2166136261U;
    bool replaced = false;
    buf_printf(&path, "%s/logs/", s->state_dir);
    for (const char *p = id; *p; p++) {
        bool plain = isalnum((unsigned char)*p) || strchr("._-", *p);
        buf_char(&path, plain ? *p : '_');
        replaced |= !plain;
        hash = (hash ^ (unsigned char)*p) * 16777619U;
    }
    if (replaced)
        buf_printf(&path, "-%08x", hash);
    buf_text(&path, ".log");
    return buf_take(&path);
}

/* The last lines that this start has written. The caller frees it. */
static char *log_tail(const struct instance *in)
{
    int fd = open(in->log_path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text = alloc_zeroed(LOG_TAIL_BYTES + 1, 1);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > in->log_start) {
        int64_t from = st.st_size - in->log_start > LOG_TAIL_BYTES ? st.st_size - LOG_TAIL_BYTES
                                                                   : in->log_start;
        ssize_t n = pread(fd, text, LOG_TAIL_BYTES, from);
        text[n > 0 ? n : 0] = '\0';
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
            text[--n] = '\0';
    }
    if (fd >= 0)
        close(fd);
    return text;
}

/* Engines say it in many ways, and all of them in these words. */
static enum reason why_it_failed(const struct instance *in)
{
    const char *error = in->server->roster.entries[in->slot].last_error;
    if (error && (strcasestr(error, "out of memory") || strcasestr(error, "outofmemory")))
        return REASON_OUT_OF_MEMORY;
    return REASON_LOAD_FAILED;
}

static char *describe_end(const struct instance *in)
{
    if (in->failure)
        return alloc_text(in->failure);
    if (in->exited && WIFEXITED(in->wait_status))
        return alloc_printf("its process exited with status %d", WEXITSTATUS(in->wait_status));
    if (in->exited && WIFSIGNALED(in->wait_status) && !in->aborted)
        return alloc_printf("its process was ended by signal %d", WTERMSIG(in->wait_status));
    if (!in->origin->host[0] || !in->model->check_endpoint[0])
        return alloc_text("it did not become ready");
    return alloc_printf("GET %s%s at %s was never answered with 200", in->origin->base_path,
                        in->model->check_endpoint, in->origin->host);
}

static void remember_failure(struct instance *in)
{
    struct roster_entry *e = &in->server->roster.entries[in->slot];
    char *what = describe_end(in), *tail = log_tail(in);
    free(e->last_error);
    e->last_error =
        *tail ? alloc_printf("%s; its log ends with:\n%s", what, tail) : alloc_text(what);
    char quoted[512];
    log_warn(e->id, "load failed: %s log_tail=\"%s\"", what,
             log_quote(tail, strlen(tail), quoted, sizeof(quoted)));
    free(what);
    free(tail);
}

static void complete(struct instance *in, enum event_type type, uint64_t op, enum reason why,
                     bool stuck)
{
    runner_event(
        &in->server->runner,
        (struct event){.type = type,
                       .model = {.op = op, .model = in->slot, .why = why, .stuck = stuck}});
}

static void on_probe(void *arg, bool ready)
{
    struct instance *in = arg;
    in->prober = NULL;
    feed(in, ready ? PROCESS_PROBE_OK : PROCESS_PROBE_FAILED);
}

static void start_probe(struct instance *in)
{
    in->prober = probe_start(in->origin, in->model->check_endpoint, on_probe, in);
}

/* Runs cmdStop, if there is one; otherwise asks by signal. */
static void ask_to_stop(struct instance *in)
{
    upstream_drop_idle(in->origin);
    exchange_end_uncounted(in->origin);
    if (in->model->stop_argv.count)
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
        uv_update_time(in->server->loop);
        uv_timer_start(in->timer, on_timer, (delay_ns + NS_PER_MS - 1) / NS_PER_MS, 0);
        break;
    case PROCESS_DO_TERM:
        ask_to_stop(in);
        break;
    case PROCESS_DO_KILL:
        upstream_drop_idle(in->origin);
        exchange_end_uncounted(in->origin);
        if (in->child)
            child_kill(in->child);
        break;
    case PROCESS_DO_LOADED:
        log_info(roster_id(&in->server->roster, in->slot), "ready pid=%d port=%u", instance_pid(in),
                 in->port);
        complete(in, EVENT_MODEL_LOADED, in->load_op, REASON_NONE, false);
        break;
    case PROCESS_DO_LOAD_FAILED:
        remember_failure(in);
        /* What cannot be ended may still be there; the model is rid of it. */
        in->server->roster.entries[in->slot].instance = NULL;
        complete(in, EVENT_MODEL_LOAD_FAILED, in->load_op, why_it_failed(in), false);
        break;
    case PROCESS_DO_UNLOADED:
        complete(in, EVENT_MODEL_UNLOADED, in->unload_op, REASON_NONE, false);
        break;
    case PROCESS_DO_STUCK:
        complete(in, EVENT_MODEL_UNLOADED, in->unload_op, REASON_STUCK, true);
        break;
    case PROCESS_DO_BROKEN:
        complete(in, EVENT_UPSTREAM_BROKEN, 0, REASON_EXITED, false);
        break;
    case PROCESS_DO_EXITED:
        complete(in, EVENT_MODEL_EXITED, 0, REASON_EXITED, false);
        break;
    }
}

static void feed(struct instance *in, enum process_event ev)
{
    struct process_actions todo = process_step(&in->process, ev, uv_hrtime());
    in->origin->open = in->process.phase == PROCESS_READY;
    for (uint32_t i = 0; i < todo.count; i++)
        act(in, todo.items[i], todo.delay_ns);
}

static void on_spawned(void *owner, struct child *c, pid_t pid)
{
    struct instance *in = owner;
    (void)c;
    log_info(roster_id(&in->server->roster, in->slot), "started pid=%d port=%u", pid, in->port);
    feed(in, PROCESS_SPAWNED);
}

static void on_spawn_failed(void *owner, struct child *c, const char *text)
{
    struct instance *in = owner;
    (void)c;
    free(in->failure);
    in->failure = alloc_text(text);
    feed(in, PROCESS_SPAWN_FAILED);
}

static void on_exited(void *owner, struct child *c, int wait_status)
{
    struct instance *in = owner;
    (void)c;
    in->exited = true;
    in->wait_status = wait_status;
    log_info(roster_id(&in->server->roster, in->slot), "process ended %s=%d",
             WIFSIGNALED(wait_status) ? "signal" : "status",
             WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
    upstream_drop_idle(in->origin);
    feed(in, PROCESS_EXITED);
}

static void on_gone(void *owner, struct child *c)
{
    struct instance *in = owner;
    (void)c;
    in->child = NULL;
    /* It is no longer the model's when the core hears of it: the core may load anew at once. */
    in->server->roster.entries[in->slot].instance = NULL;
    feed(in, PROCESS_GONE);
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
static int64_t prepare_log(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return 0;
    if (st.st_size <= LOG_BYTES_MAX)
        return st.st_size;
    char *aside = alloc_printf("%s.1", path);
    int rc = rename(path, aside);
    free(aside);
    return rc == 0 ? 0 : st.st_size;
}

void instance_load(struct server *s, uint32_t slot, uint64_t op, uint32_t devices)
{
    struct roster_entry *e = &s->roster.entries[slot];
    must(e->instance == NULL);
    const struct config_model *model = roster_model(&s->roster, slot);
    must(model != NULL);
    struct instance *in = alloc_zeroed(1, sizeof(*in));
    *in = (struct instance){.server = s,
                            .slot = slot,
                            .config = config_ref_get(s->roster.current),
                            .model = model,
                            .load_op = op,
                            .devices = devices,
                            .origin = origin_new(s),
                            .log_path = server_log_path(s, model->id),
                            .timer = alloc_zeroed(1, sizeof(uv_timer_t))};
    in->origin->connect_timeout_ns = model->connect_timeout_ns;
    in->origin->tls_timeout_ns = model->tls_timeout_ns;
    in->origin->header_timeout_ns = model->header_timeout_ns;
    in->origin->idle_timeout_ns = model->idle_timeout_ns;
    uv_timer_init(s->loop, in->timer);
    in->timer->data = in;
    in->log_start = prepare_log(in->log_path);
    tails_begin(s, in->log_path, in->log_start);
    process_init(&in->process, model->check_endpoint[0] != '\0');
    e->instance = in;
    feed(in, PROCESS_LOAD);
}

static struct instance *find(struct server *s, uint32_t slot)
{
    struct instance *in = s->roster.entries[slot].instance;
    must(in != NULL);
    return in;
}

void instance_abort(struct server *s, uint32_t slot, uint64_t op)
{
    struct instance *in = s->roster.entries[slot].instance;
    if (!in)
        return; /* its LOAD_FAILED is already on its way */
    must(in->load_op == op);
    in->aborted = true;
    feed(in, PROCESS_ABORT);
}

void instance_unload(struct server *s, uint32_t slot, uint64_t op)
{
    struct instance *in = find(s, slot);
    in->unload_op = op;
    feed(in, PROCESS_UNLOAD);
}

void instance_kill(struct server *s, uint32_t slot, uint64_t op)
{
    struct instance *in = s->roster.entries[slot].instance;
    if (!in)
        return;
    must(in->unload_op == op);
    feed(in, PROCESS_KILL);
}

struct instance *instance_ready(struct server *s, uint32_t slot)
{
    struct instance *in = s->roster.entries[slot].instance;
    return in && in->process.phase == PROCESS_READY && !in->exited ? in : NULL;
}

int instance_pid(const struct instance *in)
{
    return in->child ? (int)child_pid(in->child) : 0;
}

void server_model_process(const struct server *s, uint32_t slot, int *ret_pid, uint16_t *ret_port)
{
    const struct instance *in = s->roster.entries[slot].instance;
    *ret_pid = in ? instance_pid(in) : 0;
    *ret_port = *ret_pid ? in->port : 0;
}
