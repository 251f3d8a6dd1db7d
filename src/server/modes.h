/* modes.h: the mode that is set, what it wishes, what has become of that, and who waits for it.
 *
 * A mode is kept by its name over reloads. Its wishes go to the core when it is set, and again when
 * a reload changed them: setting the same ones again would undo what was loaded on demand. */
#ifndef SERVER_MODES_H
#define SERVER_MODES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pure/list.h"

struct buf;
struct config;
struct config_mode;
struct config_ref;
struct exchange;
struct server;

struct modes {
    char *name;        /* owned; never NULL once started */
    bool due;          /* its wishes are still to be sent: asked for from within an effect */
    struct list waits; /* of modes_look.c */
};

void modes_init(struct server *s);
/* The mode that the daemon begins with. */
void modes_start(struct server *s);
/* Sets the mode of that name; false (and nothing changed) when there is none. */
bool modes_set(struct server *s, const char *name);
/* After a reload; old: the configuration before. */
void modes_reload(struct server *s, const struct config_ref *old);
/* Sends what could not be sent from within an effect. */
void modes_flush(struct server *s);
const struct config_mode *modes_find(const struct config *c, const char *name);
void modes_fini(struct modes *m);

/* ---- modes_look.c ---- */

enum mode_standing {
    MODE_REACHED,
    MODE_ON_WAY,
    MODE_FAILED, /* it will not come by itself, or not soon: a try has failed */
};
/* How one wish of the mode that is set stands, and, unless it is reached, why, as a clause without
 * a full stop; why may be NULL. */
enum mode_standing modes_standing(const struct server *s, uint32_t wish, struct buf *why);
/* Of all wishes of it: failed if one has, else on its way if one is. */
enum mode_standing modes_look(const struct server *s);

/* What a wait has come to. */
enum mode_wait_end {
    MODE_WAIT_REACHED,
    MODE_WAIT_FAILED,
    MODE_WAIT_EXPIRED,
    MODE_WAIT_REPLACED, /* another mode was set */
    MODE_WAIT_STOPPED,  /* the daemon ends */
};
/* Calls on_end once, now or later, unless the exchange ends first. wait_ns_max: UINT64_MAX: never
 * expires. */
void modes_wait(struct server *s, struct exchange *ex, uint64_t wait_ns_max,
                void (*on_end)(struct exchange *ex, enum mode_wait_end end));
/* Something may have changed for those who wait. */
void modes_turn(struct server *s);
/* Another mode was set: whoever waits for the one before is told so at the next turn. */
void modes_replaced(struct modes *m);

#endif
