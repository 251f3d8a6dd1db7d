/* The daemon's life: start, configuration, reload, stop. */
#include "server/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/devices.h"
#include "server/listener.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/upstream.h"
#include "server/server.h"

#define EVENTS_BYTES_MAX (2 * 1024 * 1024)
#define LOG_BYTES_MAX (256 * 1024)
/* A second signal to stop cuts what runs after this. */
#define HURRY_NS (100 * NS_PER_MS)
/* After everything has been told to go, this long until the daemon goes alone. */
#define LAST_RESORT_MS 5000
/* Descriptors that are not client connections: listeners, logs, models' pipes, the store. */
#define FDS_RESERVED 256

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
    buf_printf(&line, "{\"id\":%llu,\"time\":\"%s\",\"type\":\"%s\",\"details\":%s}",
               (unsigned long long)s->events.next, server_time(time), type, details);
    feed_add(&s->events, type, line.data, line.len);
    hooks_event(s, type, line.data);
    buf_fini(&line);
}

static void apply_timeouts(struct server *s)
{
    const struct config_timeouts *t = &s->roster.current->config->timeouts;
    const uint64_t lengths[TIMEOUT__COUNT] = {
        [TIMEOUT_HEAD] = t->head_ns / NS_PER_MS,
        [TIMEOUT_BODY] = t->body_ns / NS_PER_MS,
        [TIMEOUT_IDLE] = t->idle_ns / NS_PER_MS,
        [TIMEOUT_WRITE] = t->write_ns / NS_PER_MS,
        [TIMEOUT_LINGER] = 1000,
        [TIMEOUT_POOL] = UPSTREAM_IDLE_MS,
    };
    memcpy(s->timeouts.length_ms, lengths, sizeof(lengths));
    s->bodies.body_max = s->roster.current->config->body_bytes_max;
    s->bodies.spooled_max = s->roster.current->config->spool_bytes_max;
}

static void step_config(void *arg, const struct core_config *config)
{
    struct server *s = arg;
    runner_event(&s->runner, (struct event){.type = EVENT_CONFIG, .config = config});
}

/* What was opened at the start stays as it is until the next one. */
static void warn_of_fixed(const struct config *old, const struct config *new)
{
    bool gpus = old->gpu_count != new->gpu_count, listens = old->listen_count != new->listen_count;
    for (uint32_t i = 0; !gpus && i < new->gpu_count; i++)
        gpus = strcmp(old->gpus[i].name, new->gpus[i].name) != 0 ||
               strcmp(old->gpus[i].folder, new->gpus[i].folder) != 0 ||
               old->gpus[i].sim != new->gpus[i].sim ||
               old->gpus[i].memory_bytes != new->gpus[i].memory_bytes;
    for (uint32_t i = 0; !listens && i < new->listen_count; i++)
        listens = strcmp(old->listens[i].host, new->listens[i].host) != 0 ||
                  strcmp(old->listens[i].path, new->listens[i].path) != 0 ||
                  old->listens[i].port != new->listens[i].port;
    if (gpus)
        log_warn(NULL, "a change of gpus takes effect at the next start");
    if (old->connections_max != new->connections_max)
        log_warn(NULL, "a change of maxConnections takes effect at the next start");
    if (strcmp(old->state, new->state) != 0)
        log_warn(NULL, "a change of state takes effect at the next start");
    if (listens)
        log_warn(NULL, "a change of listen takes effect at the next start");
}

bool server_reload(struct server *s)
{
    struct config_ref *old = config_ref_get(s->roster.current);
    struct config_report report = {0};
    struct config *config = config_load_file(s->options.config_path, &report);
    if (report.text.len)
        log_warn(NULL, "configuration:\n%s", report.text.data);
    config_report_fini(&report);
    if (config && !roster_apply(&s->roster, config)) {
        log_error(NULL, "too many models are still leaving");
        config = NULL;
    }
    if (!config) {
        log_error(NULL, "the configuration was not reloaded; the old one stays in force");
        server_publish(s, "config_rejected", "{}");
        config_ref_put(old);
        return false;
    }
    warn_of_fixed(old->config, config);
    log_level_min = log_level_parse(config->log_level);
    apply_timeouts(s);
    roster_configure(&s->roster, step_config, s);
    modes_reload(s, old);
    config_ref_put(old);
    log_info(NULL, "configuration reloaded models=%u", config->model_count);
    server_publish(s, "config_reloaded", "{}");
    return true;
}

void server_stop(struct server *s)
{
    uint64_t grace = s->roster.current->config->timeouts.shutdown_ns;
    if (s->stopping)
        grace = HURRY_NS;
    else
        log_info(NULL, "stopping");
    s->stopping = true;
    listeners_close(s->listeners);
    runner_event(&s->runner, (struct event){.type = EVENT_DRAIN, .drain = {.grace_ns = grace}});
}

static void on_children_closed(void *arg)
{
    (void)arg;
}

/* Nothing runs and nothing is loaded: close every handle, and the loop ends by itself. What a start
 * that failed did not come to is not there. */
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
    if (s->devices)
        devices_close(s->devices);
    hooks_close(s);
    runner_close(&s->runner);
    for (size_t i = 0; i < countof(s->signals); i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
    uv_close((uv_handle_t *)&s->check, NULL);
    uv_close((uv_handle_t *)&s->last_resort, NULL);
    if (s->children)
        children_close(s->children, on_children_closed, s);
}

static void on_check(uv_check_t *check)
{
    struct server *s = container_of(check, struct server, check);
    runner_after_poll(&s->runner);
    modes_flush(s);
    stream_hub_relieve(&s->hub);
    if (s->drained && !s->closed && children_count(s->children) == 0) {
        s->closed = true;
        close_all(s);
    }
}

/* What even SIGKILL does not end must not keep the daemon: the kernel will be done with it some
 * time. */
static void on_last_resort(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, last_resort);
    log_error(NULL, "leaving %u processes behind that cannot be ended",
              children_count(s->children));
    exit(1);
}

void server_drained(struct server *s)
{
    s->drained = true;
    hooks_stop(s);
    uv_timer_start(&s->last_resort, on_last_resort, LAST_RESORT_MS, 0);
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
    else
        server_stop(s);
}

static void on_expired(struct timeout *t, enum timeout_kind kind)
{
    if (kind >= TIMEOUT_POOL)
        upstream_on_timeout(container_of(t, struct upstream, timeout), kind);
    else
        client_on_timeout(container_of(t, struct client, timeout), kind);
}

static void on_log_line(void *arg, const char *line, size_t n)
{
    struct server *s = arg;
    feed_add(&s->log_lines, NULL, line, n);
}

static int make_folder(const char *state, const char *name, struct err *err)
{
    char *path = alloc_printf("%s/%s", state, name);
    int rc = mkdir(path, 0700) < 0 && errno != EEXIST
                 ? err_set(err, "cannot create %s: %s", path, strerror(errno))
                 : 0;
    free(path);
    return rc;
}

/* One daemon a state directory: two would end each other's models. Held until the process ends. */
static int lock_state(const char *state, struct err *err)
{
    char *path = alloc_printf("%s/lock", state);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc = 0;
    if (fd < 0)
        rc = err_set(err, "cannot open %s: %s", path, strerror(errno));
    else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        rc = err_set(err, "another wharf uses the state directory %s (see --state)", state);
    free(path);
    return rc;
}

/* This installation's name for its processes: made once, kept in the state directory. */
static int read_mark(const char *state, char mark[33], struct err *err)
{
    char *path = alloc_printf("%s/instance-id", state);
    FILE *f = fopen(path, "re");
    int rc = 0;
    bool known = f && fscanf(f, "%32[0-9a-f]", mark) == 1 && strlen(mark) == 32;
    if (f)
        fclose(f);
    if (!known) {
        unsigned char bytes[16];
        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
            rc = err_set(err, "no random numbers: %s", strerror(errno));
        for (size_t i = 0; i < sizeof(bytes); i++)
            snprintf(mark + 2 * i, 3, "%02x", bytes[i]);
        f = fopen(path, "we");
        bool ok = f && fprintf(f, "%s\n", mark) > 0;
        if ((f && fclose(f) != 0) || !ok)
            rc = err_set(err, "cannot write %s: %s", path, strerror(errno));
    }
    free(path);
    return rc;
}

/* Connections need descriptors, two each; children get the original limit back. */
static void raise_fd_limit(struct server *s)
{
    struct rlimit lim;
    uint32_t want = s->roster.current->config->connections_max * 2 + FDS_RESERVED;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        return;
    lim.rlim_cur = lim.rlim_max < want ? lim.rlim_max : want;
    setrlimit(RLIMIT_NOFILE, &lim);
    if (lim.rlim_cur < want)
        log_warn(NULL, "the limit of open files (%llu) is too low for maxConnections (%u)",
                 (unsigned long long)lim.rlim_cur, s->roster.current->config->connections_max);
}

static int start_children(struct server *s, struct err *err)
{
    char mark[33] = "";
    if (read_mark(s->state_dir, mark, err) < 0)
        return -1;
    struct children_options opt = {
        .loop = s->loop, .mark = mark, .cgroup_root = getenv("WHARF_CGROUP")};
    s->children = children_new(&opt);
    uint32_t ended = children_sweep(s->children);
    if (ended)
        log_warn(NULL, "ended %u processes left over from an earlier run", ended);
    log_info(NULL, "models are contained by %s", children_how(s->children));
    return 0;
}

static void start_signals(struct server *s)
{
    const int signums[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < countof(signums); i++) {
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], on_signal, signums[i]);
    }
    uv_check_start(&s->check, on_check);
}

/* All that cannot fail, so that whatever start comes to, close_all and fini find it here. */
static void init(struct server *s, const struct serve_options *options)
{
    s->options = *options;
    s->state_dir = alloc_text(options->state_dir);
    s->loop = uv_default_loop();
    s->scratch = alloc_zeroed(1, SERVER_SCRATCH_BYTES);
    s->spool_scratch = alloc_zeroed(1, SERVER_SCRATCH_BYTES);
    s->bodies.folder = s->state_dir;
    s->started_ns = uv_hrtime();
    list_init(&s->clients);
    feed_init(&s->events, EVENTS_BYTES_MAX);
    feed_init(&s->log_lines, LOG_BYTES_MAX);
    log_set_sink(on_log_line, s);
    stream_hub_init(&s->hub, s->loop);
    timeouts_init(&s->timeouts, s->loop, on_expired);
    roster_init(&s->roster);
    s->exchanges = exchange_table_new(options->config->connections_max);
    runner_init(&s->runner, s, options->config->connections_max);
    hooks_init(s);
    for (size_t i = 0; i < countof(s->signals); i++)
        uv_signal_init(s->loop, &s->signals[i]);
    uv_timer_init(s->loop, &s->last_resort);
    uv_check_init(s->loop, &s->check);
}

static int start(struct server *s, struct err *err)
{
    const struct config *c = s->options.config;
    log_level_min = log_level_parse(c->log_level);
    if (!roster_apply(&s->roster, s->options.config))
        return err_set(err, "more than %d models", ROSTER_MODELS_MAX);
    apply_timeouts(s);
    if (make_folder(s->state_dir, "logs", err) < 0 || lock_state(s->state_dir, err) < 0 ||
        start_children(s, err) < 0)
        return -1;
    raise_fd_limit(s);
    s->devices = devices_new(s);
    s->listeners = listeners_new(s);
    if (devices_open(s->devices, err) < 0 || listeners_open(s->listeners, err) < 0)
        return -1;
    log_info(NULL, "scheduler=%s (%s) planner=%s (%s) models=%u",
             config_scheduler_words[c->scheduler], c->scheduler_why, roster_planner(c),
             c->planner_why, c->model_count);
    if (c->planner == CONFIG_PLAN_FIT && !roster_fits(c))
        log_warn(NULL, "real GPUs cannot be read yet and none is simulated: planner=group holds");
    roster_configure(&s->roster, step_config, s);
    devices_start(s->devices);
    modes_start(s);
    runner_event(&s->runner, (struct event){.type = EVENT_BOOT_DONE});
    start_signals(s);
    if (listeners_start(s->listeners, err) < 0)
        return -1;
    server_preload_next(s);
    return 0;
}

/* After a start that failed: what it opened and wrote is closed and removed again. */
static void abandon(struct server *s)
{
    if (s->listeners)
        listeners_close(s->listeners);
    close_all(s);
}

static void fini(struct server *s)
{
    log_set_sink(NULL, NULL);
    if (s->listeners)
        listeners_free(s->listeners);
    if (s->devices)
        devices_free(s->devices);
    runner_fini(&s->runner);
    exchange_table_free(s->exchanges);
    hooks_fini(s);
    modes_fini(&s->modes);
    decisions_fini(&s->decisions);
    roster_fini(&s->roster);
    stream_hub_fini(&s->hub);
    feed_fini(&s->events);
    feed_fini(&s->log_lines);
    free(s->scratch);
    free(s->spool_scratch);
    free(s->state_dir);
}

int serve_run(const struct serve_options *options)
{
    static struct server server; /* large */
    struct err err = {0};
    init(&server, options);
    bool started = start(&server, &err) == 0;
    if (started) {
        /* Loading the configuration left holes that will never be needed again. */
        malloc_trim(0);
    } else {
        log_error(NULL, "cannot start: %s", err.text);
        abandon(&server);
    }
    uv_run(server.loop, UV_RUN_DEFAULT);
    if (started)
        log_info(NULL, "stopped");
    fini(&server);
    must(uv_loop_close(server.loop) == 0);
    return started ? 0 : 1;
}
