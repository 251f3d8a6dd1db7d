/* request.h: an exchange's request, from its client to its model's server. */
#ifndef SERVER_PROXY_REQUEST_H
#define SERVER_PROXY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "server/net/timeouts.h"

struct exchange;
struct naming;

/* request.c: its body */
/* What the filters change in a body that is JSON. False, and answered, when that cannot be done. */
bool exchange_filter(struct exchange *ex, const struct naming *who);
void exchange_body(struct exchange *ex, const char *data, size_t n);
void exchange_body_end(struct exchange *ex);

/* forward.c: on its way to the model */
void exchange_forward(struct exchange *ex);
void exchange_upstream_connected(struct exchange *ex, int error);
void exchange_upstream_drained(struct exchange *ex);
void exchange_send_body(struct exchange *ex);
void exchange_upstream_timeout(struct exchange *ex, enum timeout_kind kind);

#endif
