/* watch.h: has the configuration read again when a file of it changes.
 *
 * The files are looked at every two seconds, and at once when the system says that something
 * happened in their folders. A change counts when it has stood for a moment, since editors and
 * deployments write in several steps. What disappears is no change. */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include "base/err.h"
#include "base/pure/check.h"

struct config_ref;
struct server;

/* Watches the sources of the server's options from now on, if these say so: server_reload is called
 * on the loop. Does not fail. */
int watch_start(struct server *s, struct err *err) warn_unused;
/* The sources are about to be read: what they look like now is no news any more. */
void watch_note(struct server *s);
/* Another configuration is in force, which may name another modelsDir. */
void watch_follow(struct server *s, const struct config_ref *old);
void watch_close(struct server *s);
void watch_fini(struct server *s);

#endif
