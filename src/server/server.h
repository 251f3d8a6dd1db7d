/* server.h: the daemon's one loop and what hangs on it. Everything here runs on the loop thread;
 * only children's workers and device readings leave it. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <uv.h>

#include "base/buf.h"
#include "core/core.h"
#include "http/head.h"
#include "server/boot.h"
#include "server/descriptors.h"
#include "server/handover/handover.h"
#include "server/handover/upgrade.h"
#include "server/leases/leases.h"
#include "server/limits.h"
#include "server/mend.h"
#include "server/metrics/metrics.h"
#include "server/models/footprints.h"
#include "server/models/peers.h"
#include "server/models/profiles.h"
#include "server/models/roster.h"
#include "server/modes.h"
#include "server/net/handed.h"
#include "server/net/resolver.h"
#include "server/net/stream.h"
#include "server/net/timeouts.h"
#include "server/process/children.h"
#include "server/proxy/body.h"
#include "server/proxy/guesses.h"
#include "server/proxy/tap.h"
#include "server/record/archiving.h"
#include "server/record/captures.h"
#include "server/record/history.h"
#include "server/record/logs.h"
#include "server/record/tails.h"
#include "server/records.h"
#include "server/residents/residents.h"
#include "server/route.h"
#include "server/runner.h"
#include "server/serve.h"
#include "server/settles.h"
#include "server/tell/changes.h"
#include "server/tell/decisions.h"
#include "server/tell/degraded.h"
#include "server/tell/feed.h"
#include "server/tell/hooks.h"
#include "server/watchdog.h"

#define SERVER_SCRATCH_BYTES (64 * 1024)
/* The command tag of preloads; no exchange has it. */
#define SERVER_TAG_PRELOAD 0
/* The tag of commands whose end nobody waits for. */
#define SERVER_TAG_NOBODY 1

struct devices;
struct drainer;
struct exchange;
struct exchange_table;
struct listeners;
struct service;
struct tls_context;
struct watch;

struct server {
    uv_loop_t *loop;
    struct serve_options options; /* borrowed texts, valid for the daemon's life */
    char *state_dir;              /* owned */
    struct stream_hub hub;
    struct timeouts timeouts;
    struct resolver resolver;
    struct tls_context *tls_client; /* owned; NULL until it is needed */
    struct roster roster;
    struct boot boot;
    struct runner runner;
    struct residents residents;
    struct list workers; /* residents/worker.c */
    struct body_budget bodies;
    struct records records; /* what a next daemon has to know, should this one be killed */
    struct children *children;
    struct devices *devices;
    struct monitor *monitor;
    struct listeners *listeners;
    struct service *service; /* owned; service.c */
    struct handed handed;
    struct handover handover;
    struct upgrade upgrade;
    struct drainer *drainer; /* owned; this process only finishes what it had begun; else NULL */
    int lock_fd;             /* of the state directory, held until the process ends; -1: none */
    struct watch *watch;     /* NULL: the configuration's files are not watched */
    struct exchange_table *exchanges;
    struct list clients; /* struct client */
    struct limits limits;
    struct descriptors descriptors;
    struct guesses guesses;
    struct feed events;
    struct logs logs;
    struct tails tails;
    struct changes changes;
    struct decisions decisions;
    struct residency *residency; /* owned */
    struct degraded degraded;
    struct mend mend;
    struct settles settles;
    struct history history;
    struct archiving archiving;
    struct footprints footprints;
    struct captures captures;
    struct list in_flight; /* struct recording, oldest first */
    uint64_t in_flight_id; /* of the newest */
    struct metrics metrics;
    struct tap_spare tap_spare;
    struct hooks hooks;
    struct modes modes;
    struct peers peers;
    struct leases leases;
    struct profiles profiles;
    struct watchdog watchdog;
    char *scratch, *spool_scratch; /* owned, SERVER_SCRATCH_BYTES each; valid within one callback */
    struct http_head head;         /* scratch of the same kind, for parsing */
    uint64_t started_ns, started_wall_ns;
    uint32_t preload_next;
    bool preload_running, stopping, drained, leaving, closed;
    bool failed; /* a part could not be started once the loop ran */
    uv_signal_t signals[4];
    uv_check_t check;
    uv_timer_t last_resort;
};

/* Wall-clock time as RFC 3339 with milliseconds. Returns out. */
char *server_time(char out[32]);
/* Adds a public event: details is a JSON object. */
void server_publish(struct server *s, const char *type, const char *details);
/* Takes over what is not the core's of the configuration in force: log level, timeouts, bounds. */
void server_apply(struct server *s);
/* No child gets a variable with a client's key in it; again after a reload. */
void server_hide_keys(struct server *s);
/* Reads the configuration's files again; false (and nothing changed) when it has errors. */
bool server_reload(struct server *s);
/* Begins the shutdown; a second call hurries it. */
void server_stop(struct server *s);
/* Whether a connection may be kept for another request: a drainer hands it on. */
bool server_takes_more(const struct server *s);
/* Called when the core says that nothing is left. */
void server_drained(struct server *s);
void server_preload_next(struct server *s);
/* Path of a model's log file; the caller frees it. */
char *server_log_path(const struct server *s, const char *id);

#endif
