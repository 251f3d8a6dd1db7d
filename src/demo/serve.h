/* serve.h: the listening socket and the threads that serve its connections. */
#ifndef DEMO_SERVE_H
#define DEMO_SERVE_H

#include "base/err.h"
#include "base/pure/check.h"
#include "engine.h"

/* Binds and listens; prints the address. Returns the socket, owned by the caller, or -1. */
int serve_listen(const struct flags *flags, struct err *err) warn_unused;
/* Accepts on the socket, a thread a connection, until the socket is shut down. */
void serve_accept(struct engine *e, int listen_fd);

#endif
