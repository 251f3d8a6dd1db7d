/* The daemon's life: start, signals, stop. */
#include "server/serve.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/abort.h"
#include "server/gpus/devices.h"
#include "server/handover/handover.h"
#include "server/handover/upgrade.h"
#include "server/net/listener.h"
#include "server/parts.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/upstream.h"
#include "server/residents/process_kept.h"
#include "server/server.h"
#include "server/service.h"

#define EVENTS_BYTES_MAX (2 * 1024 * 1024)
/* A second signal to stop cuts what runs after this. */
#define HURRY_NS (100 * NS_PER_MS)
/* After everything has been told to go, this long until the daemon goes alone. */
#define LAST_RESORT_MS 5000
/* What a stop may take beside the times that are configured: the kernel's, for processes that were
 * killed, and the last resort. */
#define STOP_NS_MORE (30 * NS_PER_S)

char *server_time(char out[32])
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%03ldZ", ts.tv_nsec / 1000000);
    return out;
}

void server_publish(struct server *s, const char *type, const char *details)
{
    struct buf line = {0};
    char time[32];
    if (s->drainer)
        return; /* nobody hears this process any more */
    buf_printf(&line, "{\"id\":%llu,\"time\":\"%s\",\"type\":\"%s\",\"details\":%s}",
               (unsigned long long)s->events.next, server_time(time), type, details);
    feed_add(&s->events, type, line.data, line.len);
    hooks_event(s, type, line.data);
    buf_fini(&line);
}

static uint64_t wall_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static bool keeps_models(const struct server *s)
{
    return s->roster.current->config->on_exit == CONFIG_EXIT_KEEP;
}

/* Until the last process is given up, after requests have had their grace and models theirs. */
static uint64_t stop_ns_max(const struct server *s, uint64_t grace)
{
    const struct config *c = s->roster.current->config;
    uint64_t longest = 0;
    for (uint32_t i = 0; i < c->model_count; i++)
        longest =
            c->models[i].unload_timeout_ns > longest ? c->models[i].unload_timeout_ns : longest;
    uint64_t sum = grace + longest; /* each fits into an int64_t */
    return sum + STOP_NS_MORE;
}

/* What an earlier life has left ends in the core's hands, and is given its time there, also when
 * the daemon is stopped before it has begun. */
static void tell_what_runs(struct server *s)
{
    struct err err = {0};
    processes_tell(s);
    if (handover_tell(s, &err) < 0)
        log_error(NULL, "%s", err.text);
}

void server_stop(struct server *s)
{
    uint64_t grace = s->roster.current->config->timeouts.shutdown_ns;
    if (s->stopping)
        grace = HURRY_NS;
    else
        log_info(NULL, "stopping");
    s->stopping = true;
    service_stopping(s, stop_ns_max(s, grace));
    if (!s->boot.over)
        tell_what_runs(s);
    boot_stop(s);
    listeners_close(s->listeners);
    peers_drain(s, grace);
    handover_stop(s, grace);
    runner_event(&s->runner, (struct event){.type = EVENT_DRAIN,
                                            .drain = {.grace_ns = grace, .keep = keeps_models(s)}});
}

/* Nothing runs and nothing is loaded, or the start failed: close every handle, and the loop ends by
 * itself. */
static void close_all(struct server *s)
{
    struct link *n, *next;
    list_each_safe(n, next, &s->clients) {
        struct client *c = list_entry(n, struct client, link);
        /* Followers of events and logs get a proper end. */
        if (c->exchange && c->exchange->on_local_end)
            exchange_stream_end(c->exchange);
        client_drop(c);
    }
    exchange_end_drained(s);
    timeouts_close(&s->timeouts);
    stream_hub_close(&s->hub);
    logs_close(s);
    for (uint32_t i = server_part_count; i-- > 0;)
        if (server_parts[i].close)
            server_parts[i].close(s);
    for (size_t i = 0; i < countof(s->signals); i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
    uv_close((uv_handle_t *)&s->check, NULL);
    uv_close((uv_handle_t *)&s->last_resort, NULL);
}

/* What even SIGKILL does not end must not keep the daemon: the kernel will be done with it some
 * time. */
static void on_last_resort(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, last_resort);
    log_error(NULL, "leaving %u processes behind that cannot be ended",
              children_count(s->children));
    log_finish();
    exit(1);
}

/* No request is left, neither to the core's models nor to peers'. */
static void leave(struct server *s)
{
    s->leaving = true;
    hooks_stop(s);
    if (s->devices)
        devices_stop(s->devices);
    uv_timer_start(&s->last_resort, on_last_resort, LAST_RESORT_MS, 0);
}

static void decide(struct server *s)
{
    runner_after_poll(&s->runner);
    modes_flush(s);
    handover_turn(s);
    upgrade_turn(s);
    limits_tidy(s);
    if (s->drained && !s->leaving && s->peers.requests == 0)
        leave(s);
}

static void on_check(uv_check_t *check)
{
    struct server *s = container_of(check, struct server, check);
    metrics_turn(s);
    stream_hub_turn(&s->hub);
    stream_hub_relieve(&s->hub);
    if (s->drainer)
        return;
    if (!s->failed)
        decide(s);
    if (s->leaving && (s->failed || keeps_models(s)))
        processes_abandon(s);
    if (s->leaving && !s->closed && children_count(s->children) == 0) {
        s->closed = true;
        close_all(s);
    }
}

bool server_takes_more(const struct server *s)
{
    return !s->stopping || s->drainer;
}

void server_drained(struct server *s)
{
    s->drained = true;
}

void server_preload_next(struct server *s)
{
    const struct config *c = s->roster.current->config;
    while (!s->preload_running && !s->stopping && s->preload_next < c->preload.count) {
        uint32_t slot = roster_find(&s->roster, c->preload.items[s->preload_next++]);
        if (slot == CORE_SLOT_NONE)
            continue;
        s->preload_running = true;
        runner_command(&s->runner, SERVER_TAG_PRELOAD, slot, COMMAND_LOAD, REASON_PRELOAD);
    }
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct server *s = handle->data;
    if (signum == SIGHUP)
        server_reload(s);
    else if (signum == SIGUSR2)
        upgrade_begin(s, NULL);
    else
        server_stop(s);
}

static void on_expired(struct timeout *t, enum timeout_kind kind)
{
    if (kind == TIMEOUT_PROGRESS)
        waiting_on_timeout(t);
    else if (kind >= TIMEOUT_POOL)
        upstream_on_timeout(container_of(t, struct upstream, timeout), kind);
    else
        client_on_timeout(container_of(t, struct client, timeout), kind);
}

static const int heeded[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};

static void mask_signals(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD); /* the children's */
    for (size_t i = 0; i < countof(heeded); i++)
        sigaddset(&set, heeded[i]);
    must(pthread_sigmask(how, &set, NULL) == 0);
}

void server_block_signals(void)
{
    mask_signals(SIG_BLOCK);
}

void server_unblock_signals(void)
{
    mask_signals(SIG_UNBLOCK);
}

static void start_signals(struct server *s)
{
    _Static_assert(countof(heeded) == sizeof(s->signals) / sizeof(s->signals[0]), "one for each");
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < countof(heeded); i++) {
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], on_signal, heeded[i]);
    }
    server_unblock_signals();
    uv_check_start(&s->check, on_check);
}

/* All that cannot fail, so that whatever start comes to, close_all and fini find it here. */
static void init(struct server *s, const struct serve_options *options)
{
    s->options = *options;
    s->state_dir = alloc_text(options->state_dir);
    s->scratch = alloc_zeroed(1, SERVER_SCRATCH_BYTES);
    s->spool_scratch = alloc_zeroed(1, SERVER_SCRATCH_BYTES);
    s->bodies.folder = s->state_dir;
    s->bodies.on_trouble = mend_spool_failed;
    s->bodies.arg = s;
    s->bodies.streams = &s->hub.count;
    s->started_ns = uv_hrtime();
    s->started_wall_ns = wall_ns();
    list_init(&s->clients);
    feed_init(&s->events, EVENTS_BYTES_MAX);
    logs_init(s);
    stream_hub_init(&s->hub, s->loop);
    timeouts_init(&s->timeouts, s->loop, on_expired);
    for (uint32_t i = 0; i < server_part_count; i++)
        if (server_parts[i].init)
            server_parts[i].init(s);
    logs_apply(s, options->config); /* what is said from here on has the form asked for */
    for (size_t i = 0; i < countof(s->signals); i++)
        uv_signal_init(s->loop, &s->signals[i]);
    uv_timer_init(s->loop, &s->last_resort);
    uv_check_init(s->loop, &s->check);
}

/* The start failed. Models of an earlier daemon are left to the next one, as if this one had never
 * been; of what it has begun itself, a look at the GPUs for one, the end is waited for. */
static void fail(struct server *s)
{
    s->failed = s->stopping = true;
    if (s->children)
        processes_abandon(s);
    if (!s->children || children_count(s->children) == 0) {
        s->closed = true;
        close_all(s);
        return;
    }
    if (s->listeners)
        listeners_close(s->listeners);
    uv_check_start(&s->check, on_check);
    server_unblock_signals();
    leave(s);
}

static int start(struct server *s, struct err *err)
{
    for (uint32_t i = 0; i < server_part_count; i++)
        if (server_parts[i].open && server_parts[i].open(s, err) < 0)
            return -1;
    start_signals(s);
    return boot_start(s, server_parts, server_part_count, fail, err);
}

static void fini(struct server *s)
{
    for (uint32_t i = server_part_count; i-- > 0;)
        if (server_parts[i].fini)
            server_parts[i].fini(s);
    stream_hub_fini(&s->hub);
    feed_fini(&s->events);
    logs_fini(s);
    free(s->scratch);
    free(s->spool_scratch);
    free(s->state_dir);
}

/* The pool's threads are made with the first work; better now than amid some. */
static void on_nothing(uv_work_t *work)
{
    (void)work;
}

static uv_loop_t *make_loop(struct err *err)
{
    static uv_work_t nothing;
    uv_loop_t *loop = abort_foresee(err) < 0 ? NULL : uv_default_loop();
    if (loop)
        must(uv_queue_work(loop, &nothing, on_nothing, NULL) == 0);
    else if (!err->set)
        err_set(err, "no event loop: %s", strerror(errno));
    return loop;
}

int serve_run(const struct serve_options *options)
{
    static struct server server; /* large */
    struct err err = {0};
    abort_watch();
    if (!(server.loop = make_loop(&err))) {
        log_error(NULL, "cannot start: %s", err.text);
        config_free(options->config);
        return 1;
    }
    server_block_signals(); /* until somebody heeds them: after an upgrade they are already */
    init(&server, options);
    bool started = start(&server, &err) == 0;
    if (started) {
        /* Loading the configuration left holes that will never be needed again. */
        malloc_trim(0);
    } else {
        log_to_stderr();
        log_error(NULL, "cannot start: %s", err.text);
        fail(&server);
    }
    uv_run(server.loop, UV_RUN_DEFAULT);
    started &= !server.failed;
    if (started)
        log_info(NULL, "stopped");
    fini(&server);
    must(uv_loop_close(server.loop) == 0);
    log_finish();
    return started ? 0 : 1;
}
