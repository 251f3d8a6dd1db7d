/* listener.h: the sockets that clients connect to, TCP and unix. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include "base/err.h"
#include "base/pure/check.h"

struct listeners;
struct server;

/* None is open yet. */
struct listeners *listeners_new(struct server *s);
/* Opens what the options or the configuration name; 127.0.0.1:8080 when neither does; and the
 * configuration's ollama.listen, which it can do without. Nothing is accepted before
 * listeners_start. After a failure of either, listeners_close still is to come. */
int listeners_open(struct listeners *l, struct err *err) warn_unused;
/* Starts accepting, and writes the first address to STATE/listen. */
int listeners_start(struct listeners *l, struct err *err) warn_unused;
/* Stops accepting and removes what was written; does nothing the second time. */
/* Reads the files of TLS again; where they cannot be used, what was read before stays. */
void listeners_reload(struct listeners *ls);
void listeners_close(struct listeners *l);
/* After the loop has ended. */
void listeners_free(struct listeners *l);

#endif
