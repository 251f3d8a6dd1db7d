/* Calls that are one request each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/client/connection.h"

static int ask(struct wharf_client *c, const struct client_request *rq,
               const struct wharf_limits *l, char **ret_text)
{
    struct client_reply reply;
    int rc = connection_fetch(c, rq, l, &reply, ret_text);
    if (rc < 0)
        return rc;
    give_text(ret_text, reply.body.data ? reply.body.data : "");
    client_reply_fini(&reply);
    return ret_text && !*ret_text ? -ENOMEM : 0;
}

static bool is_path(const char *path)
{
    if (!path || path[0] != '/')
        return false;
    for (; *path; path++)
        if ((unsigned char)*path <= 0x20 || *path == 0x7f)
            return false;
    return true;
}

static bool is_method(const char *method)
{
    size_t n = method ? strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") : 0;
    return n > 0 && !method[n];
}

int wharf_client_request(struct wharf_client *c, const struct wharf_request *rq,
                         const struct wharf_limits *l, char **ret_text)
{
    if (ret_text)
        *ret_text = NULL;
    if (!is_path(rq->path) || !is_method(rq->method)) {
        give_text(ret_text, "that is no method, or no path");
        return -EINVAL;
    }
    const struct client_request sent = {.method = rq->method,
                                        .path = rq->path,
                                        .body = rq->body,
                                        .body_len = rq->body ? strlen(rq->body) : 0};
    return ask(c, &sent, l, ret_text);
}

static int get(struct wharf_client *c, const char *path, const struct wharf_limits *l,
               char **ret_text)
{
    const struct client_request rq = {.method = "GET", .path = path};
    return ask(c, &rq, l, ret_text);
}

int wharf_client_status(struct wharf_client *c, const struct wharf_limits *l, char **ret_text)
{
    return get(c, "/wharf/status", l, ret_text);
}

int wharf_client_devices(struct wharf_client *c, const struct wharf_limits *l, char **ret_text)
{
    return get(c, "/wharf/devices", l, ret_text);
}

int wharf_client_models(struct wharf_client *c, const struct wharf_limits *l, char **ret_text)
{
    return get(c, "/wharf/models", l, ret_text);
}

int wharf_client_leases(struct wharf_client *c, const struct wharf_limits *l, char **ret_text)
{
    return get(c, "/wharf/leases", l, ret_text);
}

int wharf_client_mode(struct wharf_client *c, const struct wharf_limits *l, char **ret_text)
{
    return get(c, "/wharf/mode", l, ret_text);
}

static int change(struct wharf_client *c, const char *model, const char *verb, const char *device,
                  const struct wharf_limits *l, char **ret_text)
{
    struct buf path = {0};
    buf_text(&path, "/wharf/models/");
    client_encode_segment(&path, model);
    buf_printf(&path, "/%s", verb);
    if (device) {
        buf_text(&path, "?device=");
        client_encode_segment(&path, device);
    }
    const struct client_request rq = {.method = "POST", .path = path.data};
    int rc = ask(c, &rq, l, ret_text);
    buf_fini(&path);
    return rc;
}

int wharf_client_load(struct wharf_client *c, const char *model, const struct wharf_limits *l,
                      char **ret_text)
{
    return change(c, model, "load", NULL, l, ret_text);
}

int wharf_client_unload(struct wharf_client *c, const char *model, const struct wharf_limits *l,
                        char **ret_text)
{
    return change(c, model, "unload", NULL, l, ret_text);
}

int wharf_client_move(struct wharf_client *c, const char *model, const char *device,
                      const struct wharf_limits *l, char **ret_text)
{
    return change(c, model, "move", device, l, ret_text);
}

int wharf_client_set_mode(struct wharf_client *c, const char *mode, bool wait,
                          const struct wharf_limits *l, char **ret_text)
{
    struct buf body = {0};
    buf_text(&body, "{\"mode\":");
    buf_json_text(&body, mode);
    buf_char(&body, '}');
    const struct client_request rq = {.method = "PUT",
                                      .path = wait ? "/wharf/mode?wait=1" : "/wharf/mode",
                                      .body = body.data,
                                      .body_len = body.len};
    int rc = ask(c, &rq, l, ret_text);
    buf_fini(&body);
    return rc;
}
