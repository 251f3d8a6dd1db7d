/* wharf/client.h: a daemon that runs on this machine or another one, asked by blocking calls on
 * connections of their own, and by streams with a descriptor for event loops.
 *
 * Texts that calls give are the caller's, to be given to wharf_text_free: with 0 the daemon's answer
 * in JSON as docs/http.md describes it, else a sentence that says what went wrong (NULL: no memory
 * for one). Without memory for what a call needs itself, the process ends. Errors of all calls:
 * -ECONNREFUSED  no daemon there
 * -ETIMEDOUT     the time is over
 * -ECANCELED     cancel was set
 * -EPROTO        the connection broke, or what answers is no wharf
 * -EINVAL        400: the daemon understands the request, and it makes no sense; or a bad argument
 * -EACCES        401, 403: no key, or not with this one
 * -ENOENT        404: no such model, mode, device, gate or lease
 * -EAGAIN        429, 503: not now
 * -ENOSPC        507: it can never fit, or cannot now
 * -EIO           any other refusal */
#ifndef WHARF_CLIENT_H
#define WHARF_CLIENT_H

#include <wharf/api.h>

#ifdef __cplusplus
extern "C" {
#endif

struct wharf_client;

struct wharf_client_options {
    /* "http://HOST:PORT" or "unix:/PATH". NULL: $WHARF_URL, else the first that there is of
     * /run/wharf/wharf.sock and $XDG_RUNTIME_DIR/wharf/wharf.sock, else http://127.0.0.1:8080. */
    const char *url;
    const char *key; /* NULL: $WHARF_KEY, if any */
};
/* o may be NULL; copied. Connects to nothing. NULL: errno is EINVAL (url, key) or ENOMEM. */
WHARF_API struct wharf_client *wharf_client_new(const struct wharf_client_options *o);
/* What it has opened is closed before. */
WHARF_API void wharf_client_free(struct wharf_client *c);
WHARF_API void wharf_text_free(char *text);

/* How long a call may take in all, and what ends it before; NULL: WHARF_FOREVER, nothing. The names
 * of hosts are looked up without regard to either. */
struct wharf_limits {
    int64_t timeout_ns;
    struct wharf_cancel *cancel; /* NULL: none */
};

/* Any request; path begins with '/', body is JSON or NULL. ret_text may be NULL, here and below. */
struct wharf_request {
    const char *method, *path, *body;
};
WHARF_API int wharf_client_request(struct wharf_client *c, const struct wharf_request *rq,
                                   const struct wharf_limits *l, char **ret_text);

WHARF_API int wharf_client_status(struct wharf_client *c, const struct wharf_limits *l,
                                  char **ret_text);
WHARF_API int wharf_client_devices(struct wharf_client *c, const struct wharf_limits *l,
                                   char **ret_text);
WHARF_API int wharf_client_models(struct wharf_client *c, const struct wharf_limits *l,
                                  char **ret_text);
/* Who has leases, and who waits for one. */
WHARF_API int wharf_client_leases(struct wharf_client *c, const struct wharf_limits *l,
                                  char **ret_text);
/* Each returns when it is done; who stops waiting leaves it under way. */
WHARF_API int wharf_client_load(struct wharf_client *c, const char *model,
                                const struct wharf_limits *l, char **ret_text);
WHARF_API int wharf_client_unload(struct wharf_client *c, const char *model,
                                  const struct wharf_limits *l, char **ret_text);
WHARF_API int wharf_client_move(struct wharf_client *c, const char *model, const char *device,
                                const struct wharf_limits *l, char **ret_text);
WHARF_API int wharf_client_mode(struct wharf_client *c, const struct wharf_limits *l,
                                char **ret_text);
/* wait: until every model is as the mode wants it; -EIO where one cannot be. */
WHARF_API int wharf_client_set_mode(struct wharf_client *c, const char *mode, bool wait,
                                    const struct wharf_limits *l, char **ret_text);

/* What happens there, from now on, or from the event after last_id. One thread owns it. */
struct wharf_events;
WHARF_API int wharf_events_open(struct wharf_client *c, const char *last_id,
                                const struct wharf_limits *l, struct wharf_events **ret,
                                char **ret_text);
/* Readable when wharf_events_next may have something. Call that until it says -ETIMEDOUT before
 * polling again: several may have come in one piece. */
WHARF_API int wharf_events_fd(const struct wharf_events *e);
struct wharf_daemon_event {
    const char *id, *type; /* "" : none */
    const char *data;      /* JSON */
};
/* The next one, valid until the next call. 0, -ETIMEDOUT, -ECANCELED, -EPROTO: the stream is over;
 * open it again from the last id. */
WHARF_API int wharf_events_next(struct wharf_events *e, const struct wharf_limits *l,
                                struct wharf_daemon_event *ret);
WHARF_API void wharf_events_close(struct wharf_events *e);

#ifdef __cplusplus
}
#endif

#endif
