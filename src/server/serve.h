/* serve.h: runs the daemon until it is told to stop. */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include <stdint.h>

#include "base/pure/check.h"

struct config;
struct server_api;

struct serve_options {
    const char *config_path;    /* read again on SIGHUP */
    struct config *config;      /* taken */
    const char *const *listens; /* override the configuration's, when listen_count > 0 */
    uint32_t listen_count;
    const char *state_dir;        /* exists */
    const struct server_api *api; /* on all listeners */
};

/* Returns the exit status: 0 after an orderly stop, 1 when it could not begin. */
int serve_run(const struct serve_options *options) warn_unused;

#endif
