/* service.h: the service manager that may have started the daemon, which is systemd.
 *
 * It is told how the daemon stands (sd_notify(3)): ready, reloading, stopping, and, where the unit
 * has a watchdog, that the loop turns. It hands sockets over (sd_listen_fds(3)): those that it
 * listens on for the daemon, and those that an earlier daemon left with it (its fd store), so that
 * a connection that comes between two daemons waits and is not refused.
 *
 * Without a service manager, or built without libsystemd (service_none.c), nothing of this happens.
 */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"

struct server;
struct service;

/* Sees what was handed over (handed.h). The daemon's processes do not (process/spawn.c). */
void service_init(struct server *s);
/* The daemon is up: all that had to be found out has been. */
int service_start(struct server *s, struct err *err) warn_unused;
/* Nothing is told before service_start. ok: the new configuration is in force. */
void service_reloading(struct server *s);
void service_reloaded(struct server *s, bool ok);
/* The daemon is about to end, within about ns_max. */
void service_stopping(struct server *s, uint64_t ns_max);
void service_close(struct server *s);
void service_fini(struct server *s);
/* The next program in this process is to be watched as this one is. */
void service_before_exec(const struct server *s);

/* Leaves a duplicate of a listening socket with the service manager, for a next daemon, until
 * service_forget. where: its address as a text, by which it is found again. */
void service_store(struct server *s, int fd, const char *where);
void service_forget(struct server *s, const char *where);

#endif
