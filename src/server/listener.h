/* listener.h: the sockets that clients connect to, TCP and unix. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include "base/err.h"
#include "base/pure/check.h"

struct listeners;
struct server;

/* Opens what the options or the configuration name; 127.0.0.1:8080 when neither does. NULL with
 * *err set on failure. Nothing is accepted before listeners_start. */
struct listeners *listeners_new(struct server *s, struct err *err);
/* Starts accepting, and writes the first address to STATE/listen. */
int listeners_start(struct listeners *l, struct err *err) warn_unused;
/* Stops accepting and removes what was written. */
void listeners_close(struct listeners *l);
void listeners_free(struct listeners *l);

#endif
