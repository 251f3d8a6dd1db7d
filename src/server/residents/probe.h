/* probe.h: asks a model's server whether it is ready, once a call: GET the check endpoint, 200 is
 * yes. Connections are fresh each time and bounded by PROBE_MS_MAX, so that a server that accepts
 * and never answers costs one attempt and no more. */
#ifndef SERVER_RESIDENTS_PROBE_H
#define SERVER_RESIDENTS_PROBE_H

#include <stdbool.h>

#define PROBE_MS_MAX 2000

struct origin;
struct prober;

/* Starts one attempt; on_answer comes exactly once, later, unless it is cancelled. path, which
 * goes behind the origin's, is copied. */
struct prober *probe_start(struct origin *o, const char *path,
                           void (*on_answer)(void *arg, bool ready), void *arg);
void probe_cancel(struct prober *p);

#endif
