/* handover.h: another program in the daemon's place, without anybody noticing.
 *
 *   the old program                            the new one, in the same process
 *   ---------------                            --------------------------------
 *   tries the new one (upgrade.h)
 *   writes down what it leaves   ──────────▶   the listening sockets, the lock, what runs
 *   forks ──▶ drainer (drainer.h)              takes models over as after a crash
 *   execs                                      counts what runs as running
 *             connections, requests  ───────▶  takes them up again, in their old order
 *             that wait
 *             "all are sent"         ───────▶  accepts new connections, decides
 *             each end               ───────▶  counts it as over
 *
 * What is written down is a file of which the new program gets the descriptor in WHARF_UPGRADE. */
#ifndef SERVER_HANDOVER_HANDOVER_H
#define SERVER_HANDOVER_HANDOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/pure/list.h"
#include "core/core.h"

#define HANDOVER_ENV "WHARF_UPGRADE"

struct handover_run;
struct server;

struct handover {
    struct list drainers;      /* struct handover_drainer */
    struct list parked;        /* clients that come when devices and leases are known */
    struct handover_run *runs; /* owned; requests that drainers finish */
    uint32_t run_count, run_cap;
    uint32_t clients;  /* that were handed over at first */
    bool waits;        /* for these: nobody else comes in */
    bool upgraded;     /* this program took another's place */
    uint64_t upgrades; /* since the first program was started */
    uint64_t began_ns; /* that one stopped accepting */
    char from[64];     /* its version */
    json_t *settings;  /* owned; what it was told (settings.h); NULL: nothing is known */
    uv_timer_t patience;
};

void handover_init(struct server *s);
/* Takes what the program before this one has left, if there was one. */
int handover_open(struct server *s, struct err *err) warn_unused;
int handover_start(struct server *s, struct err *err) warn_unused;
/* Tells the core what runs; once it knows the models, before BOOT_DONE. */
int handover_tell(struct server *s, struct err *err) warn_unused;
/* Takes those who had to wait for the devices and the leases. */
int handover_take_parked(struct server *s, struct err *err) warn_unused;
/* Says that it is done, and drops what nobody can finish. */
int handover_end(struct server *s, struct err *err) warn_unused;
void handover_turn(struct server *s);
/* Drainers have this long. */
void handover_stop(struct server *s, uint64_t grace_ns);
void handover_close(struct server *s);
void handover_fini(struct server *s);

/* Whether an effect is about a request of a drainer's. */
bool handover_granted(struct server *s, const struct effect *e);
bool handover_refused(struct server *s, const struct effect *e);
/* Requests that drainers finish. */
uint32_t handover_running(const struct server *s);
/* Writes down what a next program has to know, with a descriptor of a new drainer's courier; what
 * it names stays open over an exec. The file's descriptor, or -1. */
int handover_write(struct server *s, int drainer_fd);

#endif
