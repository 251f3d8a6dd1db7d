#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/pure/errors.h"
#include "cli/output.h"
#include "cli/progress.h"

/* The handler writes into the pipe; the client waits for it beside its socket. */
static int stop_pipe[2] = {-1, -1};
static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    int saved_errno = errno;
    stop_signal = number;
    (void)!write(stop_pipe[1], "", 1);
    errno = saved_errno;
}

/* RESETHAND: a second signal ends the process wherever it stands, as in a name look-up. Signals
 * that the caller ignores, as nohup does, stay ignored. */
static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction old;
    if (stop_pipe[0] >= 0 || pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return;
    for (size_t i = 0; i < countof(numbers); i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            (void)!sigaction(numbers[i], &action, NULL);
}

bool session_interrupted(void)
{
    return stop_signal != 0;
}

void session_end(void)
{
    if (!stop_signal)
        return;
    signal((int)stop_signal, SIG_DFL);
    raise((int)stop_signal);
}

int session_open(const struct cli_args *args, struct session *ret)
{
    const char *url = cli_args_text(args, "url");
    struct err e = {.set = false};
    struct session s = {.options = {.key = cli_args_text(args, "key"),
                                    .connect_ms_max = CLIENT_CONNECT_MS_DEFAULT}};
    if (!url) {
        client_address_default(&s.options.address);
    } else if (client_address_parse(url, &s.options.address, &e) < 0) {
        output_complain("--url: %s", e.text);
        return CLI_USAGE;
    }
    catch_signals();
    s.options.stop_fd = stop_pipe[0];
    s.wants_json = output_mode() == OUTPUT_JSON;
    *ret = s;
    return CLI_DONE;
}

int session_failed(int rc, const struct err *e)
{
    must(rc < 0);
    if (rc == -CLIENT_STOPPED)
        return CLI_FAILED;
    output_complain("%s", e->text);
    if (rc == -CLIENT_UNREACHABLE) {
        output_code("unreachable");
        return CLI_UNREACHABLE;
    }
    return rc == -CLIENT_INVALID ? CLI_USAGE : CLI_FAILED;
}

int session_status(uint16_t http_status)
{
    switch (http_status) {
    case 400: /* unknown words */
    case 404:
    case 422:
    case 507: /* more than any device can ever give */
        return CLI_USAGE;
    case 408:
    case 429:
    case 503:
        return CLI_TRY_LATER;
    default:
        return CLI_FAILED;
    }
}

/* A path that there is not says nothing of what was asked for: the daemon may be an older one. */
int session_status_of(const char *code)
{
    for (int i = ERR_NONE + 1; code && i < ERR__COUNT; i++)
        if (strcmp(error_info(i)->code, code) == 0 && i != ERR_ROUTE_UNKNOWN)
            return session_status((uint16_t)error_info(i)->http_status);
    return CLI_FAILED;
}

int session_refused(const struct session *s, const struct client_reply *r, const char *what)
{
    struct buf why = {0};
    client_reply_explain(r, &why);
    if (r->status == 401)
        buf_text(&why, s->options.key ? " (--key or $WHARF_KEY gave one that is not accepted)"
                                      : " (--key or $WHARF_KEY gives the key)");
    const json_t *error = json_object_get(r->json, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    if (code && strcmp(code, error_info(ERR_LEASE_FOREIGN)->code) == 0)
        buf_text(&why, "; WHARF_LEASE in the environment of its jobs has it");
    output_complain("cannot %s: %s", what, why.data);
    if (code)
        output_refusal(r->body.data, r->body.len);
    buf_fini(&why);
    /* Without JSON it is no answer of wharf's; a path that there is not is one of an older daemon.
     */
    bool says_why = r->json && !(code && strcmp(code, error_info(ERR_ROUTE_UNKNOWN)->code) == 0);
    return says_why ? session_status(r->status) : CLI_FAILED;
}

int session_fetch(const struct session *s, const struct client_request *rq, const char *what,
                  struct client_reply *ret)
{
    return session_fetch_watched(s, rq, what, NULL, ret);
}

int session_fetch_watched(const struct session *s, const struct client_request *rq,
                          const char *what, struct progress *progress, struct client_reply *ret)
{
    struct err e = {.set = false};
    struct client_reply r;
    int status = CLI_DONE;
    int rc = client_fetch(&s->options, rq, &r, &e);
    progress_end(progress);
    if (rc < 0)
        return session_failed(rc, &e);
    if (!client_reply_ok(&r)) {
        status = session_refused(s, &r, what);
    } else if (!r.json) {
        output_complain("cannot %s: what answers at %s is not wharf: no JSON came", what,
                        s->options.address.text);
        status = CLI_FAILED;
    }
    if (status == CLI_DONE)
        *ret = r;
    else
        client_reply_fini(&r);
    return status;
}

int session_check_stream(const struct session *s, struct client_answer *a, const char *what)
{
    struct client_reply r;
    struct err e = {.set = false};
    if (client_status(a) >= 200 && client_status(a) < 300)
        return CLI_DONE;
    client_set_silence(a, SESSION_SILENCE_MS_MAX);
    int rc = client_collect(a, &r, &e);
    if (rc < 0)
        return session_failed(rc, &e);
    int status = session_refused(s, &r, what);
    client_reply_fini(&r);
    return status;
}
