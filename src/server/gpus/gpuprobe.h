/* gpuprobe.h: the daemon's side of the probe process (gpu/probe.h), with a watchdog.
 *
 * It is asked one question at a time. An answer that does not come in time means that a driver
 * hangs: the process is killed and left to its end, whenever that is, nobody waits for it, and
 * another is started after a pause that grows from 1 to 60 s. Callbacks run on the loop. */
#ifndef SERVER_GPUPROBE_H
#define SERVER_GPUPROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "gpu/wire.h"

struct gpuprobe;
struct server;

struct gpuprobe_ops {
    /* Valid during the call. What was over before asked_ns is in it. final: none will follow. */
    void (*on_report)(void *owner, const struct gpu_report *r, uint64_t asked_ns);
    /* It is gone, for the time being. text says why. */
    void (*on_lost)(void *owner, const char *text);
};

struct gpuprobe *gpuprobe_new(struct server *s, const struct gpuprobe_ops *ops, void *owner);
/* Asks now, and starts the process first where there is none; false, and nothing happens, while an
 * answer is awaited, or a pause lasts, or after the last report. */
bool gpuprobe_ask(struct gpuprobe *p);
/* Ends the process, unless an answer is awaited; the next question starts another, which looks for
 * what was not there. */
void gpuprobe_renew(struct gpuprobe *p);
/* Times by which to wait, divided by WHARF_GPU_HURRY: tests have no time for a driver's patience.
 */
uint64_t gpuprobe_hurry(uint64_t time);
/* Ends it for good; nothing is called back any more. */
void gpuprobe_stop(struct gpuprobe *p);
/* Closes its handles; it is freed with gpuprobe_free, after the loop has ended. */
void gpuprobe_close(struct gpuprobe *p);
void gpuprobe_free(struct gpuprobe *p);

#endif
