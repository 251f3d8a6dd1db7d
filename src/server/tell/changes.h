/* changes.h: what followers of llama-swap's event stream (/api/events) are told, besides the logs.
 *
 * A feed whose items have llama-swap's name of the event as their type and its payload, JSON, as
 * their text. An item "modelStatus" has no text: it says that the list of models is another one
 * than before, and whoever reads it shows the list as it is then. Changes that come together are
 * one item. Nothing is kept for those who come later: they begin with a snapshot. */
#ifndef SERVER_CHANGES_H
#define SERVER_CHANGES_H

#include <uv.h>

#include "server/tell/feed.h"

#define CHANGE_MODELS "modelStatus"

struct server;

struct changes {
    struct feed feed;
    uv_timer_t timer; /* runs while something is still to be told */
    bool models;      /* a change of models is among that */
};

void changes_init(struct server *s);
/* Some model is in another state, or the configuration is another. */
void changes_models(struct server *s);
/* Something else happened; type: static text. */
void changes_tell(struct server *s, const char *type, const char *json);
/* The same from within a request's way through the proxy, where nobody else's connection may be
 * written to: followers learn of it within 10 ms. */
void changes_tell_soon(struct server *s, const char *type, const char *json);
void changes_close(struct server *s);
void changes_fini(struct server *s);

#endif
