#include "server/net/dial.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/units.h"
#include "server/net/peer_user.h"
#include "server/net/tls.h"
#include "server/server.h"

static uint32_t place(const struct dial *d)
{
    return (d->first + d->attempt) % d->origin->addr_count;
}

/* The next address, if there is one. */
static bool advance(struct dial *d, int error)
{
    bool last = d->attempt + 1 >= d->origin->addr_count;
    if (d->error == 0) {
        d->error = error;
        if (error == UV_EPROTO && !last) /* else its TLS is still there to be asked */
            d->why = alloc_text(stream_why(d->stream, error));
    }
    if (last)
        return false;
    d->attempt++;
    stream_reopen(d->stream);
    return true;
}

/* The context is made when the first is to be connected under TLS. */
static bool secure(struct dial *d)
{
    struct server *s = d->origin->server;
    struct err err = {0};
    if (!s->tls_client && !(s->tls_client = tls_context_client(&err))) {
        log_warn(NULL, "%s", err.text);
        return false;
    }
    struct tls *tls = tls_connect(s->tls_client, d->origin->name);
    if (tls)
        stream_secure(d->stream, tls);
    return tls != NULL;
}

static int try(struct dial *d)
{
    const struct sockaddr *addr = (const struct sockaddr *)&d->origin->addrs[place(d)];
    if (d->origin->tls && !secure(d))
        return UV_ENOTSUP;
    int rc = stream_connect(d->stream, addr, &d->connect);
    return rc < 0 && advance(d, rc) ? 0 : rc;
}

static void try_from_loop(struct dial *d)
{
    int rc = try(d);
    if (rc < 0)
        d->stream->ops->on_connected(d->stream, rc);
}

static void on_located(struct origin_wait *w, int error)
{
    struct dial *d = container_of(w, struct dial, wait);
    d->first = d->origin->addr_first;
    if (error)
        d->stream->ops->on_connected(d->stream, error);
    else
        try_from_loop(d);
}

int dial_start(struct dial *d, struct stream *s, struct origin *o)
{
    *d = (struct dial){.origin = o, .stream = s, .wait = {.on_located = on_located}};
    if (origin_located(o)) {
        d->first = o->addr_first;
        return try(d);
    }
    origin_await(o, &d->wait);
    return 0;
}

bool dial_next(struct dial *d, int *error)
{
    bool looking = link_linked(&d->wait.link);
    if (!looking && d->origin->addr_count && advance(d, *error))
        return true;
    if (d->error)
        *error = d->error;
    d->origin->found_ns = 0; /* its name may have moved */
    return false;
}

int dial_check(const struct dial *d)
{
    uv_os_fd_t fd;
    if (!d->origin->owned)
        return 0;
    if (!d->origin->is_unix || uv_fileno(&d->stream->uv.handle, &fd) < 0)
        return UV_EACCES;
    struct peer_user listens = peer_user_of_unix(fd);
    return listens.known && listens.uid == d->origin->owner_uid ? 0 : UV_EACCES;
}

const char *dial_why(const struct dial *d, int error)
{
    return d->why && error == d->error ? d->why : stream_why(d->stream, error);
}

static void forget_why(struct dial *d)
{
    free(d->why);
    d->why = NULL;
}

void dial_reopened(struct dial *d)
{
    /* Its addresses may have been looked up anew, and be fewer. */
    try_from_loop(d);
}

void dial_done(struct dial *d)
{
    struct origin *o = d->origin;
    o->addr_first = place(d);
    forget_why(d);
    if (o->keepalive_ns && !o->is_unix)
        uv_tcp_keepalive(&d->stream->uv.tcp, 1,
                         (unsigned)((o->keepalive_ns + NS_PER_S - 1) / NS_PER_S));
}

void dial_stop(struct dial *d)
{
    forget_why(d);
    if (link_linked(&d->wait.link))
        list_remove(&d->origin->waiting, &d->wait.link);
}
