#include "llhttp_peer.h"

#include "base/pure/check.h"

#if !HAVE_LLHTTP

const char *peer_missing(void)
{
    return "no llhttp (Debian: libllhttp-dev, or node-llhttp where there is none)";
}

const char *peer_version(void)
{
    return "none";
}

unsigned peer_version_major(void)
{
    return 0;
}

void peer_read(const struct peer_message *m, struct peer_head *ret_head)
{
    (void)m;
    (void)ret_head;
    must(false);
}

#else

#include <llhttp.h>
#include <stdio.h>
#include <string.h>

#define STRING(x) #x
#define STRING_OF(x) STRING(x)

/* What is gathered while llhttp reads. */
struct reading {
    struct peer_head *head;
    const char *broken; /* what llhttp's callbacks did that cannot be said in a peer_head */
    bool to_head, complete, message_complete;
    uint64_t body_bytes;
};

const char *peer_missing(void)
{
    return NULL;
}

const char *peer_version(void)
{
    return STRING_OF(LLHTTP_VERSION_MAJOR) "." STRING_OF(LLHTTP_VERSION_MINOR) "." STRING_OF(
        LLHTTP_VERSION_PATCH);
}

unsigned peer_version_major(void)
{
    return LLHTTP_VERSION_MAJOR;
}

/* A span comes in as many pieces as the data did. */
static int extend(llhttp_t *p, struct peer_span *s, const char *at, size_t n)
{
    struct reading *r = p->data;
    if (s->len == 0)
        s->at = at;
    else if (n > 0 && s->at + s->len != at)
        r->broken = "a text in pieces";
    s->len += n;
    return 0;
}

static int on_method(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    return extend(p, &r->head->method, at, n);
}

static int on_target(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    return extend(p, &r->head->target, at, n);
}

static int on_reason(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    return extend(p, &r->head->reason, at, n);
}

/* The field that is being read. A trailer section's are not the head's. */
static struct peer_field *field_now(struct reading *r)
{
    static struct peer_field ignored;
    if (r->head->field_count == PEER_FIELDS_MAX)
        r->broken = "more fields than there is room for";
    return r->complete || r->broken ? &ignored : &r->head->fields[r->head->field_count];
}

static int on_field_name(llhttp_t *p, const char *at, size_t n)
{
    return extend(p, &field_now(p->data)->name, at, n);
}

static int on_field_value(llhttp_t *p, const char *at, size_t n)
{
    return extend(p, &field_now(p->data)->value, at, n);
}

static int on_field_end(llhttp_t *p)
{
    struct reading *r = p->data;
    r->head->field_count += !r->complete && !r->broken;
    return 0;
}

static int on_head_end(llhttp_t *p)
{
    struct reading *r = p->data;
    struct peer_head *h = r->head;
    r->complete = true;
    h->major = p->http_major;
    h->minor = p->http_minor;
    h->status = p->status_code;
    h->upgrade = p->upgrade;
    h->keep_alive = llhttp_should_keep_alive(p);
    h->content_length = p->flags & F_CONTENT_LENGTH ? p->content_length : 0;
    h->framing = p->flags & F_CONTENT_LENGTH ? PEER_LENGTH : PEER_NONE;
    return r->to_head; /* 1: no body whatever the head claims */
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    (void)at;
    r->body_bytes += n;
    return 0;
}

static int on_message_end(llhttp_t *p)
{
    struct reading *r = p->data;
    /* Only now does it know of the response to a HEAD that it has no body to wait for. */
    if (!r->message_complete)
        r->head->keep_alive = llhttp_should_keep_alive(p);
    r->message_complete = true;
    return 0;
}

static void refuse(struct peer_head *h, const llhttp_t *p, int error)
{
    const char *reason = p->reason;
    snprintf(h->refused, sizeof(h->refused), "%s: %s", llhttp_errno_name((llhttp_errno_t)error),
             reason ? reason : "");
}

/* Whether llhttp found the end of the head at the last byte of the data, not before or later. */
static bool read_head(llhttp_t *p, const struct peer_message *m, struct reading *r)
{
    int error = HPE_OK;
    if (m->method)
        error = (int)llhttp_execute(p, m->method, strlen(m->method));
    if (error == HPE_OK)
        error = (int)llhttp_execute(p, m->data, m->len - 1);
    bool early = r->complete;
    if (error == HPE_OK && !early)
        error = (int)llhttp_execute(p, m->data + m->len - 1, 1);
    if (early)
        snprintf(r->head->refused, sizeof(r->head->refused), "its head ends earlier");
    else if (error != HPE_OK && error != HPE_PAUSED_UPGRADE)
        refuse(r->head, p, error);
    else if (!r->complete)
        snprintf(r->head->refused, sizeof(r->head->refused), "its head goes on");
    else if (r->broken)
        snprintf(r->head->refused, sizeof(r->head->refused), "%s", r->broken);
    return !r->head->refused[0];
}

/* Finds the framing by what becomes of the bytes of an empty chunked body: a chunked body takes all
 * of them and has no content; a length of five or less as many as it says; a longer one, and what
 * goes on until the end of the connection, take them all and want more. */
static void read_framing(llhttp_t *p, struct reading *r)
{
    static const char probe[] = "0\r\n\r\n";
    struct peer_head *h = r->head;
    uint64_t length = h->content_length;
    if (r->message_complete) {
        h->framing = h->framing == PEER_LENGTH && length == 0 ? PEER_LENGTH : PEER_NONE;
        h->content_length = 0;
        return;
    }
    int error = HPE_OK;
    for (size_t i = 0; i < sizeof(probe) - 1 && error == HPE_OK && !r->message_complete; i++)
        error = (int)llhttp_execute(p, probe + i, 1);
    h->framing = PEER_LENGTH;
    h->content_length = r->message_complete ? r->body_bytes : length;
    if (error != HPE_OK && error != HPE_PAUSED_UPGRADE)
        refuse(h, p, error);
    else if (r->message_complete && r->body_bytes == 0)
        h->framing = PEER_CHUNKED;
    else if (r->body_bytes == 0)
        snprintf(h->refused, sizeof(h->refused), "a body that is neither chunked nor plain");
    else if (!r->message_complete && llhttp_finish(p) == HPE_OK)
        h->framing = PEER_UNTIL_CLOSE;
    if (h->framing != PEER_LENGTH)
        h->content_length = 0;
}

void peer_read(const struct peer_message *m, struct peer_head *ret_head)
{
    llhttp_settings_t settings;
    llhttp_t p;
    struct reading r = {.head = ret_head, .to_head = m->to_head};
    memset(ret_head, 0, sizeof(*ret_head));
    llhttp_settings_init(&settings);
    settings.on_method = on_method;
    settings.on_url = on_target;
    settings.on_status = on_reason;
    settings.on_header_field = on_field_name;
    settings.on_header_value = on_field_value;
    settings.on_header_value_complete = on_field_end;
    settings.on_headers_complete = on_head_end;
    settings.on_body = on_body;
    settings.on_message_complete = on_message_end;
    llhttp_init(&p, m->response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    p.data = &r;
    if (read_head(&p, m, &r))
        read_framing(&p, &r);
}

#endif
