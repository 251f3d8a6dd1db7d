/* cancel.h: how blocking calls are ended from another thread. */
#ifndef LIB_CANCEL_H
#define LIB_CANCEL_H

#include "base/pure/list.h"
#include "wharf/api.h"

/* A call that may wait. wake is called by the thread that sets the cancel; it may take the lock of
 * the object that is waited for, which is therefore never held around cancel_join or cancel_leave.
 */
struct cancel_member {
    struct link link;
    void (*wake)(struct cancel_member *m);
};

/* c may be NULL. False: it is set already, and the call must not wait. */
bool cancel_join(struct wharf_cancel *c, struct cancel_member *m);
/* After it wake is not under way, and comes no more. */
void cancel_leave(struct wharf_cancel *c, struct cancel_member *m);

#endif
