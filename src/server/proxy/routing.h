/* routing.h: where a request goes: by its path, its query, or a name that was found in it. */
#ifndef SERVER_PROXY_ROUTING_H
#define SERVER_PROXY_ROUTING_H

#include <stdbool.h>

#include "server/models/naming.h"

struct config_model;
struct exchange;

void exchange_route(struct exchange *ex);
/* By the model in the query; answers when there is none. */
void exchange_route_query(struct exchange *ex);
/* What the name stands for. False, and answered, when that is nothing. */
bool exchange_name(struct exchange *ex, const char *name, struct naming *ret_who);
void exchange_fail_name(struct exchange *ex, enum naming_result result, const char *name,
                        const struct naming *who);
/* Class and patience: the request's own word, else its key's, else the model's; in the bounds that
 * the key sets. A second time changes nothing. */
void exchange_settle(struct exchange *ex, const struct config_model *m);
/* Into the queue of what its name stands for, or to the peer. */
void exchange_admit(struct exchange *ex, const struct naming *who);

#endif
