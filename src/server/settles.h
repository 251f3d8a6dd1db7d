/* settles.h: answers that wait until what a model has given back is seen to be free: an unload is
 * done for its client when the memory can be used, not when somebody says that it was let go. */
#ifndef SERVER_SETTLES_H
#define SERVER_SETTLES_H

#include <stdint.h>
#include <uv.h>

#include "base/pure/list.h"
#include "base/pure/units.h"

/* A little more than the core gives bytes that nobody sees coming free. */
#define SETTLES_NS_MAX (3 * NS_PER_S + 500 * NS_PER_MS)

struct exchange;
struct server;

struct settles {
    struct list waiting; /* struct settles_wait, oldest first */
    uv_timer_t timer;    /* for the first */
};

void settles_init(struct server *s);
/* on_done is called once: at once where nothing of the model settles, else when it no longer does,
 * or after SETTLES_NS_MAX; not when the exchange is over before. */
void settles_await(struct exchange *ex, uint32_t slot, void (*on_done)(struct exchange *ex));
/* Nothing of the model settles any more. */
void settles_over(struct server *s, uint32_t slot);
void settles_close(struct server *s);

#endif
