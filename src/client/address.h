/* address.h: where a daemon listens, as people write it: "http://host:port" or "unix:/path". */
#ifndef CLIENT_ADDRESS_H
#define CLIENT_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"

#define CLIENT_URL_DEFAULT "http://127.0.0.1:8080"
#define CLIENT_SOCKET_SYSTEM "/run/wharf/wharf.sock"
/* Below $XDG_RUNTIME_DIR. */
#define CLIENT_SOCKET_USER "wharf/wharf.sock"
/* Room in sockaddr_un, the closing NUL included (unix(7)). */
#define CLIENT_SOCKET_PATH_MAX 108

struct client_address {
    bool is_unix;
    char host[256]; /* name or address, an IPv6 address without its brackets */
    uint16_t port;
    char socket_path[CLIENT_SOCKET_PATH_MAX];
    char base[512]; /* stands before every path of a request; no '/' at its end */
    char text[272]; /* for messages and the Host field: "127.0.0.1:8080", "unix:/run/…" */
};

/* 0, or -1 with e set; then *ret is untouched. */
int client_address_parse(const char *url, struct client_address *ret, struct err *e) warn_unused;
/* The system's socket if there is one, else the user's, else CLIENT_URL_DEFAULT. */
void client_address_default(struct client_address *ret);

#endif
