#include "server/parts.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/gpus/devices.h"
#include "server/gpus/monitor.h"
#include "server/net/listener.h"
#include "server/net/tls.h"
#include "server/proxy/exchange.h"
#include "server/record/swaps.h"
#include "server/residents/process_kept.h"
#include "server/residents/worker.h"
#include "server/server.h"
#include "server/service.h"
#include "server/statedir.h"
#include "server/tell/residency.h"
#include "server/watch.h"

/* ---- models and their configuration ---- */

static void init_roster(struct server *s)
{
    roster_init(&s->roster);
}

static int open_roster(struct server *s, struct err *err)
{
    /* No more than one configuration's, which has been checked. */
    must(residents_place(s, s->options.config));
    if (!roster_apply(&s->roster, s->options.config))
        return err_set(err, "more than %d models", ROSTER_MODELS_MAX);
    server_apply(s);
    return 0;
}

static void step_config(void *arg, const struct core_config *config)
{
    struct server *s = arg;
    runner_event(&s->runner, (struct event){.type = EVENT_CONFIG, .config = config});
}

static int start_roster(struct server *s, struct err *err)
{
    const struct config *c = s->roster.current->config;
    (void)err;
    const char *scheduler = config_scheduler_words[c->scheduler];
    const char *planner =
        config_wants_gpus(c) ? config_planner_words[c->planner] : roster_planner(c);
    log_info_with(NULL,
                  LOG_WITH(LOG_SAID("scheduler", scheduler), LOG_SAID("planner", planner),
                           LOG_NUMBER("models", c->model_count)),
                  "scheduler=%s (%s) planner=%s (%s)", scheduler, c->scheduler_why, planner,
                  c->planner_why);
    if (c->planner == CONFIG_PLAN_FIT && !roster_fits(c) && !config_wants_gpus(c))
        log_warn_with(NULL, LOG_WITH(LOG_SAID("planner", roster_planner(c))),
                      "no GPU is to be used: planner=%s holds", roster_planner(c));
    roster_configure(&s->roster, step_config, s);
    return 0;
}

void parts_configure(struct server *s)
{
    roster_configure(&s->roster, step_config, s);
}

static void reload_roster(struct server *s, const struct config_ref *old)
{
    (void)old;
    parts_configure(s);
}

static void fini_roster(struct server *s)
{
    roster_fini(&s->roster);
}

/* ---- names of hosts ---- */

static void init_resolver(struct server *s)
{
    resolver_init(&s->resolver, s->loop);
}

static void close_resolver(struct server *s)
{
    resolver_close(&s->resolver);
}

static void fini_tls(struct server *s)
{
    tls_context_free(s->tls_client);
}

/* ---- the state directory ---- */

static int open_state(struct server *s, struct err *err)
{
    return statedir_open(s->state_dir, &s->lock_fd, err);
}

/* ---- what outlives the daemon ---- */

static int open_records(struct server *s, struct err *err)
{
    char *path = alloc_printf("%s/records", s->state_dir);
    if (records_open(&s->records, path, NULL, err) < 0) {
        /* All goes on without, as long as the daemon lives. */
        mend_records_failed(s, err->text);
        *err = (struct err){0};
    }
    s->records.on_trouble = mend_records_failed;
    s->records.arg = s;
    free(path);
    return 0;
}

static void fini_records(struct server *s)
{
    records_close(&s->records);
}

/* ---- what is recorded ---- */

static void init_captures(struct server *s)
{
    list_init(&s->in_flight);
    captures_init(&s->captures, s->options.config->observe.capture_bytes_max);
}

static void reload_captures(struct server *s, const struct config_ref *old)
{
    (void)old;
    captures_resize(&s->captures, s->roster.current->config->observe.capture_bytes_max);
}

static void fini_captures(struct server *s)
{
    captures_fini(&s->captures);
    tap_spare_fini(&s->tap_spare);
}

static void fini_archive(struct server *s)
{
    archiving_fini(s);
    swaps_fini(s);
}

/* ---- the core, and those who ask it for something ---- */

static void init_core(struct server *s)
{
    uint32_t max = s->options.config->connections_max + CONNECTIONS_KEPT;
    s->exchanges = exchange_table_new(max);
    runner_init(&s->runner, s, max);
}

static void close_core(struct server *s)
{
    runner_close(&s->runner);
}

static void fini_core(struct server *s)
{
    runner_fini(&s->runner);
    exchange_table_free(s->exchanges);
    decisions_fini(&s->decisions);
}

/* ---- processes ---- */

static int open_children(struct server *s, struct err *err)
{
    char mark[STATEDIR_MARK_BYTES] = "";
    if (statedir_mark(s->state_dir, mark, err) < 0)
        return -1;
    struct children_options opt = {
        .loop = s->loop, .mark = mark, .cgroup_root = getenv("WHARF_CGROUP")};
    s->children = children_new(&opt);
    processes_take_over(s);
    server_hide_keys(s);
    uint32_t ended = children_sweep(s->children);
    if (ended)
        log_warn(NULL, "ended %u process%s left over from an earlier run", ended,
                 ended == 1 ? "" : "es");
    log_info(NULL, "models are contained by %s", children_how(s->children));
    return 0;
}

static void on_children_closed(void *arg)
{
    (void)arg;
}

static void close_children(struct server *s)
{
    if (s->children)
        children_close(s->children, on_children_closed, s);
}

/* ---- devices ---- */

static int open_devices(struct server *s, struct err *err)
{
    s->devices = devices_new(s);
    return devices_open(s->devices, err);
}

static int start_devices(struct server *s, struct err *err)
{
    (void)err;
    devices_start(s->devices);
    return 0;
}

static void reload_devices(struct server *s, const struct config_ref *old)
{
    (void)old;
    devices_reload(s->devices);
}

static int find_devices(struct server *s, struct err *err)
{
    (void)err;
    devices_find(s->devices);
    return 0;
}

static void close_devices(struct server *s)
{
    if (s->devices)
        devices_close(s->devices);
}

static void fini_devices(struct server *s)
{
    if (s->devices)
        devices_free(s->devices);
}

/* ---- modes ---- */

static int start_modes(struct server *s, struct err *err)
{
    (void)err;
    modes_start(s);
    return 0;
}

static void fini_modes(struct server *s)
{
    modes_fini(&s->modes);
}

/* ---- models of an earlier daemon ---- */

static int start_adopted(struct server *s, struct err *err)
{
    (void)err;
    processes_tell(s);
    return 0;
}

/* ---- the world is as it will be: the core may decide ---- */

static int start_deciding(struct server *s, struct err *err)
{
    (void)err;
    runner_event(&s->runner, (struct event){.type = EVENT_BOOT_DONE});
    return 0;
}

/* ---- listeners ---- */

static int open_listeners(struct server *s, struct err *err)
{
    s->listeners = listeners_new(s);
    return listeners_open(s->listeners, err);
}

static int start_listeners(struct server *s, struct err *err)
{
    if (!s->handover.waits && listeners_accept(s->listeners, err) < 0)
        return -1;
    return listeners_announce(s->listeners, err);
}

static void reload_listeners(struct server *s, const struct config_ref *old)
{
    (void)old;
    listeners_reload(s->listeners);
}

static void close_listeners(struct server *s)
{
    if (s->listeners)
        listeners_close(s->listeners);
}

static void fini_listeners(struct server *s)
{
    if (s->listeners)
        listeners_free(s->listeners);
}

/* ---- those who wait for nothing ---- */

static int start_watchdog(struct server *s, struct err *err)
{
    (void)err;
    watchdog_start(s);
    return 0;
}

/* ---- preloads ---- */

static int start_preload(struct server *s, struct err *err)
{
    (void)err;
    server_preload_next(s);
    return 0;
}

const struct part server_parts[] = {
    /* First, so that it is closed last: what cannot be called off may keep it. */
    {.name = "resolver", .init = init_resolver, .close = close_resolver},
    {.name = "models",
     .init = init_roster,
     .open = open_roster,
     .start = start_roster,
     .reload = reload_roster,
     .fini = fini_roster},
    {.name = "tls", .fini = fini_tls},
    {.name = "service manager", .init = service_init, .close = service_close, .fini = service_fini},
    {.name = "handed sockets", .fini = handed_fini},
    {.name = "handover",
     .init = handover_init,
     .open = handover_open,
     .start = handover_start,
     .close = handover_close,
     .fini = handover_fini},
    {.name = "degraded", .init = mend_init, .close = mend_close, .fini = degraded_fini},
    {.name = "guesses", .init = guesses_init, .close = guesses_close},
    {.name = "state", .open = open_state},
    {.name = "records", .open = open_records, .fini = fini_records},
    {.name = "history",
     .open = history_open,
     .reload = history_reload,
     .close = history_close,
     .fini = history_fini},
    {.name = "archive",
     .init = swaps_init,
     .open = archiving_open,
     .reload = archiving_reload,
     .close = archiving_close,
     .fini = fini_archive},
    {.name = "captures", .init = init_captures, .reload = reload_captures, .fini = fini_captures},
    {.name = "changes", .init = changes_init, .close = changes_close, .fini = changes_fini},
    {.name = "tails",
     .init = tails_init,
     .start = tails_start,
     .close = tails_close,
     .fini = tails_fini},
    {.name = "core", .init = init_core, .close = close_core, .fini = fini_core},
    {.name = "residents",
     .init = residents_init,
     .start = residents_start,
     .reload = residents_reload,
     .close = residents_close,
     .fini = residents_fini},
    {.name = "metrics", .init = metrics_init, .close = metrics_close, .fini = metrics_fini},
    {.name = "settles", .init = settles_init, .close = settles_close},
    {.name = "workers", .init = workers_init, .reload = workers_reload, .close = workers_close},
    {.name = "peers", .init = peers_init, .close = peers_close},
    {.name = "hooks", .init = hooks_init, .close = hooks_close, .fini = hooks_fini},
    {.name = "leases", .init = leases_init, .close = leases_close, .fini = leases_fini},
    {.name = "children", .open = open_children, .close = close_children},
    /* Behind the children: they get the limit that there was. */
    {.name = "descriptors",
     .init = descriptors_init,
     .open = descriptors_open,
     .close = descriptors_close},
    {.name = "devices",
     .open = open_devices,
     .start = start_devices,
     .reload = reload_devices,
     .close = close_devices,
     .fini = fini_devices},
    {.name = "residency",
     .init = residency_init,
     .start = residency_start,
     .close = residency_close,
     .fini = residency_fini},
    /* Behind the devices, which say whether bytes are planned at all. */
    {.name = "footprints",
     .init = footprints_init,
     .start = footprints_start,
     .reload = footprints_reload,
     .close = footprints_close,
     .fini = footprints_fini},
    {.name = "modes",
     .init = modes_init,
     .start = start_modes,
     .reload = modes_reload,
     .fini = fini_modes},
    {.name = "profiles", .reload = profiles_reload, .fini = profiles_fini},
    {.name = "listeners",
     .open = open_listeners,
     .start = start_listeners,
     .reload = reload_listeners,
     .close = close_listeners,
     .fini = fini_listeners},
    {.name = "archived past", .start = archiving_start},
    {.name = "watch",
     .start = watch_start,
     .reload = watch_follow,
     .close = watch_close,
     .fini = watch_fini},
    /* Behind the listeners: nobody waits for the first look at the machine. */
    {.name = "monitor",
     .init = monitor_init,
     .start = monitor_start,
     .reload = monitor_reload,
     .close = monitor_close,
     .fini = monitor_fini},
    /* Nothing that may fail comes behind a process that was started. */
    {.name = "probe", .start = find_devices},
    /* Clients may come meanwhile, and wait. */
    {.name = "boot", .gate = true, .init = boot_init, .close = boot_close},
    {.name = "adopted models", .start = start_adopted},
    {.name = "running requests", .start = handover_tell},
    {.name = "restored leases", .start = leases_restore},
    {.name = "clients of an earlier program", .start = handover_take_parked},
    {.name = "deciding", .start = start_deciding},
    {.name = "preload", .start = start_preload},
    {.name = "watchdog", .init = watchdog_init, .start = start_watchdog, .close = watchdog_close},
    {.name = "upgrade",
     .init = upgrade_init,
     .start = handover_end,
     .close = upgrade_close,
     .fini = upgrade_fini},
    {.name = "ready", .start = service_start},
};
const uint32_t server_part_count = countof(server_parts);
