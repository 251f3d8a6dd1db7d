/* process.h: how the process starts others and how it stops. */
#ifndef DEMO_PROCESS_H
#define DEMO_PROCESS_H

#include <stdint.h>

#include "engine.h"

/* Blocks the signals that process_wait waits for; before any thread or child is started. */
void process_block_signals(void);
/* Leaves processes behind that have a session of their own, no parent and no ear for SIGTERM, as
 * badly behaved engines do. Before any thread is started. */
void process_leave_grandchildren(uint64_t count);
/* Waits for SIGTERM or SIGINT and stops as the flags say. */
_Noreturn void process_wait(struct engine *e, int listen_fd);

#endif
