/* places.h: devices by names that mean the same to a next daemon: UUIDs, else the names that they
 * have in the configuration. For records (server/records.h). */
#ifndef SERVER_GPUS_PLACES_H
#define SERVER_GPUS_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/words.h"

#define PLACE_NAME_BYTES 96

struct server;

struct places {
    uint32_t count;
    char names[CORE_DEVICES_MAX][PLACE_NAME_BYTES];
};

void places_name(const struct server *s, uint32_t devices, struct places *ret);
/* Whether what a file says can be read at all. */
bool places_sound(const struct places *p);
/* Those that are there now: a mask. *ret_missing: how many are not. */
uint32_t places_find(const struct server *s, const struct places *p, uint32_t *ret_missing);

#endif
