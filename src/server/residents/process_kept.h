/* process_kept.h: models' processes that an earlier daemon left behind, by what it wrote down of
 * them (server/records.h). */
#ifndef SERVER_RESIDENTS_PROCESS_KEPT_H
#define SERVER_RESIDENTS_PROCESS_KEPT_H

#include <stdbool.h>

struct server;

/* Those that live, and are as they are configured, take their models' places; the others' records
 * are dropped. Before children_sweep. Holds the boot until their servers have answered. */
void processes_take_over(struct server *s);
/* Tells the core of them; once the devices are known, before BOOT_DONE. */
void processes_tell(struct server *s);
/* Leaves those that run to the next daemon, as far as it could take them over; the others come to
 * their end first. */
void processes_abandon(struct server *s);
/* Whether the devices have to be known before that. */
bool processes_kept_places(const struct server *s);

#endif
