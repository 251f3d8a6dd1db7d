/* session.h: what the commands that talk to a daemon share: where it is, how failures are told and
 * which exit status they are, and leaving on Ctrl-C. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "cli/args.h"
#include "client/client.h"
#include "client/reply.h"

/* How long a daemon that answers from memory may be silent. */
#define SESSION_SILENCE_MS_MAX 30000

struct session {
    struct client_options options;
    bool wants_json; /* --json, on stdout */
};

/* Where and how to reach the daemon, from --url and --key; args->command is CLI_WITH_DAEMON. From
 * here on Ctrl-C, SIGTERM and SIGHUP end the client's waits with -CLIENT_STOPPED; a second one ends
 * the process. CLI_DONE; or CLI_USAGE, after saying why. */
int session_open(const struct cli_args *args, struct session *ret) warn_unused;

/* The exit status for a client's error rc (negative), after saying e. An interruption is passed
 * over in silence: session_end follows. */
int session_failed(int rc, const struct err *e);
/* The exit status for an answer that is not ok, by its HTTP status. */
int session_status(uint16_t http_status);
/* The same by the code of its error; NULL: none was given. */
int session_status_of(const char *code);
/* The same for an answer that is not ok: "wharf: cannot load 'x': why"; with --json its error is
 * what goes to stdout. what: for messages, as in "load 'x'". */
int session_refused(const struct session *s, const struct client_reply *r, const char *what);
/* One request, its whole answer, and both kinds of failure. CLI_DONE with *ret to be given to
 * client_reply_fini and ret->json not NULL; any other status was explained already. */
int session_fetch(const struct session *s, const struct client_request *rq, const char *what,
                  struct client_reply *ret) warn_unused;

/* The same, with a progress that is shown until the answer is there, and ended before anything is
 * said of that; NULL: none. */
struct progress;
int session_fetch_watched(const struct session *s, const struct client_request *rq,
                          const char *what, struct progress *progress,
                          struct client_reply *ret) warn_unused;

/* For an answer that streams: CLI_DONE when it is ok, else as session_refused. */
int session_check_stream(const struct session *s, struct client_answer *a,
                         const char *what) warn_unused;

bool session_interrupted(void);
/* Ends the process by the signal that interrupted it, so that a shell's loop ends too; returns when
 * there was none. */
void session_end(void);

#endif
