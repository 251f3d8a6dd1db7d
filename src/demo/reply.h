/* reply.h: what the handlers of single endpoints have in common. */
#ifndef DEMO_REPLY_H
#define DEMO_REPLY_H

#include <jansson.h>
#include <stdbool.h>

#include "engine.h"
#include "http.h"

/* The body as a JSON object, owned by the caller; NULL where it is none. */
json_t *reply_parse_body(const struct http_request *r);
/* 400. False: the connection must end. */
bool reply_refuse(struct http_conn *c);
/* Sends and frees the body. False: the connection must end. */
bool reply_json(struct http_conn *c, struct buf *body);
/* The member "model", as the client named it. request may be NULL. */
void reply_put_model(const struct engine *e, const json_t *request, struct buf *out);

#endif
