/* listener.h: the sockets that clients connect to, TCP and unix. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"

struct listeners;
struct server;

/* None is open yet. */
struct listeners *listeners_new(struct server *s);
/* Opens what the options or the configuration name; 127.0.0.1:8080 when neither does; and the
 * configuration's ollama.listen, which it can do without. Nothing is accepted before
 * listeners_accept. After a failure of either, listeners_close still is to come. */
int listeners_open(struct listeners *l, struct err *err) warn_unused;
/* Starts accepting. */
int listeners_accept(struct listeners *l, struct err *err) warn_unused;
/* Writes the first address to STATE/listen. */
int listeners_announce(struct listeners *l, struct err *err) warn_unused;
/* Reads the files of TLS again; where they cannot be used, what was read before stays. */
void listeners_reload(struct listeners *ls);
/* Those that are open. */
struct listener_view {
    int fd;        /* borrowed */
    bool is_units; /* the service manager's */
};
bool listeners_next(const struct listeners *ls, uint32_t *cursor, struct listener_view *ret);
/* Closes them and leaves all else as it is: another process has them. */
void listeners_leave(struct listeners *ls);
/* Stops accepting and removes what was written; does nothing the second time. */
void listeners_close(struct listeners *l);
/* After the loop has ended. */
void listeners_free(struct listeners *l);

#endif
