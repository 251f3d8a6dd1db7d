/* mend.h: what could not be kept for want of room, descriptors or a disk is tried again, every now
 * and then, for as long as it is said to be degraded: nobody has to come for it to be well again.
 */
#ifndef SERVER_MEND_H
#define SERVER_MEND_H

#include <stdbool.h>
#include <uv.h>

struct server;

struct mend {
    uv_timer_t timer;
    bool open;
};

void mend_init(struct server *s);
void mend_close(struct server *s);
/* Something is degraded: it is looked after from now on. */
void mend_soon(struct server *s);
/* Bodies cannot be spooled. */
void mend_spool_failed(void *server, const char *why);
/* What the next daemon has to know cannot be written down. */
void mend_records_failed(void *server, const char *why);

#endif
