/* route.h: which code answers which path. */
#ifndef DEMO_ROUTE_H
#define DEMO_ROUTE_H

#include <stdbool.h>

#include "engine.h"
#include "http.h"

/* Answers the request whose head was just read. False: the connection must end. */
bool route_answer(struct engine *e, struct http_conn *c);

#endif
