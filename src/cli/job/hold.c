#include "hold.h"

#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/errors.h"
#include "base/pure/units.h"
#include "cli/output.h"
#include "cli/show.h"
#include "cli/text.h"

/* Three pings that did not come: the daemon is gone, or what lies between. */
#define SILENCE_MS_MAX (3 * CLIENT_LEASE_PING_MS)
#define RETRY_MS 500
#define FOR_THE_LEASE "get the lease"

uint64_t hold_now_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void hold_init(struct hold *h, const struct session *s, const struct job_ask *ask)
{
    *h = (struct hold){
        .session = s, .ask = ask, .asked_ns = hold_now_ns(), .on_terminal = isatty(STDERR_FILENO)};
}

static void forget(struct hold *h)
{
    client_close(h->answer);
    client_lease_line_fini(&h->line);
    free(h->id);
    free(h->token);
    h->answer = NULL;
    h->id = h->token = NULL;
}

void hold_fini(struct hold *h)
{
    progress_end(h->progress);
    h->progress = NULL;
    forget(h);
}

void hold_give_back(struct hold *h)
{
    struct client_options options = h->session->options;
    struct err e = {.set = false};
    struct client_reply r;
    client_hang_up(h->answer);
    h->answer = NULL;
    if (h->ask->lease.ttl_ns == 0)
        return;
    options.stop_fd = -1;
    if (client_lease_end(&options, h->id, h->token, &r, &e) == 0)
        client_reply_fini(&r);
    else
        output_note("the lease could not be given back, and ends by itself: %s", e.text);
}

/* --- what the waiting person sees --- */

static void clear_shown(struct hold *h)
{
    progress_end(h->progress);
    h->progress = NULL;
}

/* On a terminal a line that changes in place, with a bar where there is an estimate; left_s -1:
 * there is none. */
static void show(struct hold *h, const struct buf *text, double left_s)
{
    if (h->ask->is_quiet)
        return;
    if (!h->on_terminal) {
        fprintf(stderr, "wharf: %s\n", text->data);
        return;
    }
    if (!h->progress)
        h->progress = progress_of_wait(h->asked_ns);
    progress_tell(h->progress, text->data, left_s);
}

/* The line as it came, but for what is its holder's alone: who reads stderr need not be. */
static void print_line(const struct hold *h)
{
    static const char *const secrets[] = {"token", "environment"};
    json_t *shown = json_copy(h->line.json);
    for (size_t i = 0; i < countof(secrets); i++)
        (void)json_object_del(shown, secrets[i]);
    auto_free char *text = json_dumps(shown, SHOW_JSON);
    if (text)
        output_json_line(text, strlen(text));
    json_decref(shown);
}

static void show_waiting(struct hold *h)
{
    const struct client_lease_line *l = &h->line;
    char span[UNITS_TEXT_MAX];
    struct buf text = {0};
    buf_text(&text, "waiting");
    if (l->position >= 0)
        buf_printf(&text, ", position %lld", (long long)l->position);
    if (l->estimate_s >= 0)
        buf_printf(&text, ", about %s",
                   units_format_duration((uint64_t)(l->estimate_s * (double)NS_PER_S), span));
    if (l->why) {
        buf_text(&text, ": ");
        text_escape_all(&text, TEXT_LINE, l->why);
    }
    show(h, &text, l->estimate_s);
    buf_fini(&text);
}

static void show_gone(struct hold *h)
{
    struct buf text = {0};
    if (output_mode() == OUTPUT_JSON_STDERR) {
        output_note("waiting for the daemon at %s to come back", h->session->options.address.text);
        return;
    }
    buf_printf(&text, "waiting for the daemon at %s to come back",
               h->session->options.address.text);
    show(h, &text, -1);
    buf_fini(&text);
}

/* --- asking --- */

static int refused(struct hold *h)
{
    struct json_t *all = json_pack("{s:O*}", "error", json_object_get(h->line.json, "error"));
    auto_free char *text = json_dumps(all, SHOW_JSON);
    clear_shown(h);
    output_complain("cannot " FOR_THE_LEASE ": %s", h->line.why ? h->line.why : "it was refused");
    if (text && h->line.code)
        output_refusal(text, strlen(text));
    json_decref(all);
    return session_status_of(h->line.code);
}

static int ended(struct hold *h)
{
    clear_shown(h);
    output_code("lease_ended");
    output_complain("the lease was ended before it was granted: %s",
                    h->line.why ? h->line.why : "no reason was given");
    return CLI_TRY_LATER;
}

/* A daemon that ends refuses all that wait; the next one may be there soon. */
static bool is_restart(const struct client_lease_line *l)
{
    return l->state == CLIENT_LEASE_REFUSED && l->code &&
           strcmp(l->code, error_info(ERR_SHUTTING_DOWN)->code) == 0;
}

/* Takes over a line; CLI_DONE unless it is the end. */
static int take_line(struct hold *h, struct client_lease_line *l)
{
    if (l->state == CLIENT_LEASE_PING) {
        client_lease_line_fini(l);
        return CLI_DONE;
    }
    client_lease_line_fini(&h->line);
    h->line = *l;
    if (!h->id && l->id)
        h->id = alloc_text(l->id);
    if (!h->token && l->token)
        h->token = alloc_text(l->token);
    if (is_restart(l))
        return CLI_DONE;
    if (l->state == CLIENT_LEASE_REFUSED)
        return refused(h);
    if (l->state == CLIENT_LEASE_ENDED)
        return ended(h);
    if (output_mode() == OUTPUT_JSON_STDERR && !h->ask->is_quiet)
        print_line(h);
    else if (l->state == CLIENT_LEASE_WAITING)
        show_waiting(h);
    else
        clear_shown(h);
    if (h->on_line)
        h->on_line(h->arg);
    return CLI_DONE;
}

static int no_lease(void)
{
    output_complain("what came is no lease: no id and token");
    return CLI_FAILED;
}

/* The whole answer at once, of a lease with a time to live. */
static int take_reply(struct hold *h, struct client_answer *a)
{
    struct client_reply r;
    struct client_lease_line l;
    struct err e = {.set = false};
    int rc = client_collect(a, &r, &e);
    if (rc < 0)
        return session_failed(rc, &e);
    int status =
        client_lease_line_take(json_incref(r.json), &l) < 0 ? no_lease() : take_line(h, &l);
    client_reply_fini(&r);
    return status == CLI_DONE && (!h->id || !h->token) ? no_lease() : status;
}

static bool is_gone(int rc)
{
    return rc == -CLIENT_UNREACHABLE || rc == -CLIENT_TIMEOUT || rc == -CLIENT_BROKEN;
}

/* The first line. *ret_rc: of the client's, where it failed; then nothing was said yet. */
static int ask_once(struct hold *h, int *ret_rc, struct err *e)
{
    struct buf body = {0}, text = {0};
    struct client_answer *a;
    struct client_lease_line l;
    int status = CLI_DONE;
    job_ask_write(h->ask, hold_now_ns() - h->asked_ns, &body);
    int rc = client_lease_ask(&h->session->options, body.data, body.len, &a, e);
    buf_fini(&body);
    *ret_rc = rc;
    if (rc < 0)
        return CLI_FAILED;
    client_set_silence(a, SILENCE_MS_MAX);
    uint16_t http_status = client_status(a);
    if (http_status == 503 && h->is_asking_anew) {
        *ret_rc = -CLIENT_BROKEN; /* one that is still starting, or ending */
        status = CLI_FAILED;
    } else if (http_status != 200 && http_status != 201) {
        clear_shown(h);
        status = session_check_stream(h->session, a, FOR_THE_LEASE);
        status = status == CLI_DONE ? no_lease() : status;
    } else if (h->ask->lease.ttl_ns > 0) {
        status = take_reply(h, a);
    } else if ((rc = client_lease_read(a, &text, &l, e)) <= 0) {
        *ret_rc = rc < 0 ? rc : -CLIENT_BROKEN;
        status = CLI_FAILED;
    } else {
        h->answer = a;
        status = take_line(h, &l);
        a = NULL;
    }
    client_close(a);
    buf_fini(&text);
    if (status == CLI_DONE && (!h->id || !h->token))
        status = no_lease();
    return status;
}

int hold_ask(struct hold *h)
{
    struct err e = {.set = false};
    int rc = 0;
    int status = ask_once(h, &rc, &e);
    if (rc >= 0)
        return status;
    if (!e.set)
        err_set(&e, "wharf at %s ended its answer before it said anything",
                h->session->options.address.text);
    return session_failed(rc, &e);
}

static bool wait_is_over(const struct hold *h)
{
    return !h->ask->lease.waits_for_ever && hold_now_ns() - h->asked_ns >= h->ask->lease.wait_ns;
}

/* It may have been granted in the moment in which the daemon went away: then the next one keeps it,
 * for nobody else. False: it has to be asked for, or *ret_rc says why that is not known. */
static bool take_up(struct hold *h, int *ret_status, int *ret_rc, struct err *e)
{
    struct buf text = {0};
    struct client_answer *a;
    struct client_lease_line l;
    *ret_rc = client_lease_resume(&h->session->options, h->id, h->token, &a, e);
    if (*ret_rc < 0)
        return false;
    bool stands = client_status(a) == 200;
    if (client_status(a) == 503)
        *ret_rc = -CLIENT_BROKEN; /* one that is still starting, or ending */
    if (stands) {
        client_set_silence(a, SILENCE_MS_MAX);
        *ret_rc = client_lease_read(a, &text, &l, e);
        stands = *ret_rc > 0;
    }
    buf_fini(&text);
    if (!stands) {
        client_close(a);
        return false;
    }
    h->answer = a;
    *ret_status = take_line(h, &l);
    return true;
}

/* The daemon went away while the job waited. A new one knows nothing of those who did. */
static int ask_anew(struct hold *h)
{
    struct err e = {.set = false};
    int status = CLI_FAILED, rc = -CLIENT_BROKEN;
    client_close(h->answer);
    h->answer = NULL;
    show_gone(h);
    h->is_asking_anew = true;
    while (is_gone(rc)) {
        struct pollfd stop = {.fd = h->session->options.stop_fd, .events = POLLIN};
        (void)poll(&stop, 1, RETRY_MS);
        if (wait_is_over(h)) {
            clear_shown(h);
            output_code("unreachable");
            output_complain("the daemon did not come back within the time to wait");
            return CLI_TRY_LATER;
        }
        if (h->id && (take_up(h, &status, &rc, &e) || rc < 0))
            continue;
        forget(h);
        status = ask_once(h, &rc, &e);
    }
    h->is_asking_anew = false;
    return rc < 0 ? session_failed(rc, &e) : status;
}

int hold_wait(struct hold *h)
{
    struct buf text = {0};
    int status = CLI_DONE;
    while (status == CLI_DONE && h->line.state != CLIENT_LEASE_GRANTED) {
        struct err e = {.set = false};
        struct client_lease_line l;
        int rc = is_restart(&h->line) ? 0 : client_lease_read(h->answer, &text, &l, &e);
        if (rc > 0) {
            status = take_line(h, &l);
        } else if (rc == 0 || is_gone(rc)) {
            buf_clear(&text);
            status = ask_anew(h);
        } else {
            clear_shown(h);
            status = session_failed(rc, &e);
        }
    }
    clear_shown(h);
    buf_fini(&text);
    return status;
}
