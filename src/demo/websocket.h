/* websocket.h: a WebSocket that echoes what it is sent (RFC 6455). */
#ifndef DEMO_WEBSOCKET_H
#define DEMO_WEBSOCKET_H

#include "engine.h"
#include "http.h"

/* Answers the upgrade and echoes frames until either side closes. Returns false. */
bool websocket_answer(struct engine *e, struct http_conn *c);

#endif
