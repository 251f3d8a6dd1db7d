/* watchdog.h: those who wait while nothing is under way that they could be waiting for.
 *
 * That cannot be unless wharf is at fault, and then somebody has to notice. What has stood like
 * that for a while is told (no_progress) and has everything planned anew, as after a reload; if
 * that does not help, /health and /ready say so, and in the end those who wait are refused, so that
 * they can go elsewhere, and who comes next may fare better. */
#ifndef SERVER_WATCHDOG_H
#define SERVER_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/pure/units.h"

struct server;

/* Time at a standstill, until each. */
#define WATCHDOG_RETRY_NS (30 * NS_PER_S)
#define WATCHDOG_UNWELL_NS (60 * NS_PER_S)
#define WATCHDOG_REFUSE_NS (120 * NS_PER_S)

enum watchdog_verdict { WATCHDOG_WELL, WATCHDOG_RETRY, WATCHDOG_UNWELL, WATCHDOG_REFUSE };

struct watchdog {
    uv_timer_t timer;
    uint64_t since_ns, looked_ns; /* since_ns 0: there is progress */
    enum watchdog_verdict said;   /* at this standstill */
};

/* What is due at this look, once each: still: nothing has moved. Time in which the daemon itself
 * stood still does not count. */
enum watchdog_verdict watchdog_look(struct watchdog *w, bool still, uint64_t now_ns);

/* Does and says what the verdict calls for. */
void watchdog_act(struct server *s, enum watchdog_verdict verdict);

void watchdog_init(struct server *s);
void watchdog_start(struct server *s);
void watchdog_close(struct server *s);
/* Why it is not to be sent requests: "starting", "stopping", "no progress". NULL: it is ready. */
const char *watchdog_unready(const struct server *s);
/* Whether requests stand still for no reason. */
bool watchdog_is_unwell(const struct server *s);

#endif
