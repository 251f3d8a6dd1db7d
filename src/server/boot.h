/* boot.h: the parts start in their order, and from the gate on (parts.c) only once all that the
 * first decisions depend on is known: which GPUs there are, what is loaded already.
 *
 * Whoever has to find that out holds the boot from his own open or start, and releases it. Nobody
 * is waited for longer than he said: the daemon then begins with what is known. */
#ifndef SERVER_BOOT_H
#define SERVER_BOOT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/pure/check.h"

#define BOOT_HOLDS_MAX 8

struct part;
struct server;

struct boot_holder {
    const char *who; /* a static text */
    uint64_t until_ns;
};

struct boot {
    const struct part *parts;
    uint32_t count, next; /* next: to be started */
    struct boot_holder holds[BOOT_HOLDS_MAX];
    uint32_t hold_count;
    bool waits; /* before the gate */
    bool over;  /* behind it, or not to be started any more */
    void (*on_failed)(struct server *s);
    uv_timer_t timer;
};

void boot_init(struct server *s);
/* who: a static text, held by one at a time; for ns_max from now at most. Nothing happens once the
 * boot is over. */
void boot_hold(struct server *s, const char *who, uint64_t ns_max);
/* Starts what is behind the gate when this was the last, in the loop's next turn. */
void boot_release(struct server *s, const char *who);
/* Whether all others have been heard: who holds it alone, or nobody does. */
bool boot_waits_only_for(const struct server *s, const char *who);
/* Starts the parts up to the gate, and those behind it when nobody holds the boot. -1: one of them
 * could not be. One behind the gate that is started later and cannot be: on_failed is called. */
int boot_start(struct server *s, const struct part *parts, uint32_t count,
               void (*on_failed)(struct server *s), struct err *err) warn_unused;
/* Nothing more is started. */
void boot_stop(struct server *s);
void boot_close(struct server *s);

#endif
