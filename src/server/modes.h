/* modes.h: the mode that is set, and what it wishes.
 *
 * A mode is kept by its name over reloads. Its wishes go to the core when it is set, and again when
 * a reload changed them: setting the same ones again would undo what was loaded on demand. */
#ifndef SERVER_MODES_H
#define SERVER_MODES_H

#include <stdbool.h>

struct config;
struct config_mode;
struct config_ref;
struct server;

struct modes {
    char *name;   /* owned; never NULL once started */
    bool due;     /* its wishes are still to be sent: asked for from within an effect */
    bool reached; /* the core said that all wishes are granted, or there are none */
};

/* The mode that the daemon begins with. */
void modes_start(struct server *s);
/* Sets the mode of that name; false (and nothing changed) when there is none. */
bool modes_set(struct server *s, const char *name);
/* After a reload; old: the configuration before. */
void modes_reload(struct server *s, const struct config_ref *old);
/* Sends what could not be sent from within an effect. */
void modes_flush(struct server *s);
/* The core has reached it. */
void modes_reached(struct server *s);
const struct config_mode *modes_find(const struct config *c, const char *name);
void modes_fini(struct modes *m);

#endif
