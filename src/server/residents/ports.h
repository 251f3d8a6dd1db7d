/* ports.h: a free TCP port for a model's server. */
#ifndef SERVER_RESIDENTS_PORTS_H
#define SERVER_RESIDENTS_PORTS_H

#include <stdint.h>

struct server;

/* The preferred port if nothing listens on it and no other model was given it, else the next one
 * that is free. 0, and the errno of the last that was tried, when there is none. */
uint16_t ports_find(const struct server *s, uint16_t preferred, int *ret_error);

#endif
