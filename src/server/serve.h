/* serve.h: runs the daemon until it is told to stop. */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include <stdint.h>

#include "base/pure/check.h"
#include "config/sources.h"
#include "config/words.h"

struct server_api;

struct serve_options {
    struct config_sources sources;     /* read again on SIGHUP */
    bool watches;                      /* and when they change */
    bool logs_to_stdout;               /* also where logToStdout is not given */
    bool logs_plain;                   /* without colours, on a terminal too */
    enum config_log_format log_format; /* CONFIG_LOG_FORMAT__COUNT: as the configuration says */
    struct config_stamp stamp;         /* of the sources, before config was read */
    struct config *config;             /* taken */
    const char *const *listens;        /* override the configuration's, when listen_count > 0 */
    uint32_t listen_count;
    const char *listen_default; /* where neither of them says it */
    const char *tls_cert_file;  /* both or neither: TCP listeners speak TLS */
    const char *tls_key_file;
    const char *state_dir;               /* exists */
    const struct server_api *api;        /* on all listeners but one: */
    const struct server_api *ollama_api; /* on the one of ollama.listen */
};

/* Returns the exit status: 0 after an orderly stop, 1 when it could not begin. */
int serve_run(const struct serve_options *options) warn_unused;
/* Of the signals that a daemon heeds none is lost, nor ends the process, while another program
 * takes this one's place: they wait until that heeds them. */
void server_block_signals(void);
void server_unblock_signals(void);

#endif
