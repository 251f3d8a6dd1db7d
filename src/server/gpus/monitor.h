/* monitor.h: what the machine does, read every performance.every off the loop, and kept for an
 * hour; and what the machine is, read once after the start. */
#ifndef SERVER_MONITOR_H
#define SERVER_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"

struct buf;
struct config_ref;
struct host_reading;
struct machine;
struct monitor;
struct server;

void monitor_init(struct server *s);
int monitor_start(struct server *s, struct err *err) warn_unused;
void monitor_reload(struct server *s, const struct config_ref *old);
void monitor_close(struct server *s);
void monitor_fini(struct server *s);

/* Whether measurements are taken (performance.disabled). */
bool monitor_enabled(const struct server *s);
/* The last one, or NULL: none is there, or they are not taken. Valid until the next. */
const struct host_reading *monitor_latest(const struct server *s);
/* The size of the history's file with its journal, as of the last; false: it has none, or it is not
 * known. */
bool monitor_store_bytes(const struct server *s, uint64_t *ret_bytes);
/* How busy that core was before the last measurement, in hundredths of a percent. */
uint32_t monitor_core_busy(const struct server *s, uint32_t core);
/* llama-swap's JSON of those that were taken after after_ns (wall clock), the oldest first. */
void monitor_write(const struct server *s, uint64_t after_ns, struct buf *json);
/* llama-swap's JSON of what the machine is; false, and nothing is written, while that is not known.
 */
bool monitor_write_hardware(const struct server *s, struct buf *json);

/* hardware.c */
void hardware_write(const struct server *s, const struct machine *m, uint64_t wall_ns,
                    struct buf *json);

#endif
