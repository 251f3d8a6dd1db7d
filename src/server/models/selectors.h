/* selectors.h: which of its targets a selector stands for, at this moment. */
#ifndef SERVER_SELECTORS_H
#define SERVER_SELECTORS_H

#include <stdint.h>

struct config_ref;
struct server;

/* The target for one request more; `selector` is an index into the configuration's. Borrowed from
 * the configuration. NULL: all of them are on their way out. What a target has to do is what the
 * core has for it, running or waiting, whoever asked for it. */
const char *selectors_choose(struct server *s, struct config_ref *config, uint32_t selector);

#endif
