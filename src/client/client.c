#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "client/wire.h"
#include "http/chunk.h"
#include "http/head.h"

#define RECEIVE_BYTES (16 * 1024)

/* in.data[at .. in.len) has been received and not yet looked at. */
struct client_answer {
    struct wire wire;
    struct buf in;
    size_t at;
    uint32_t silence_ms_max;
    uint16_t status;
    enum http_framing framing;
    uint64_t left; /* bytes of the body still to come, with HTTP_BODY_LENGTH */
    struct chunk_decoder chunks;
    bool ended;
    bool in_line;     /* the last line that was asked for has not come whole */
    const char *span; /* content behind a line that was given out; stands in `in`, before `at` */
    size_t span_len;
};

/* Field values may hold anything but control bytes (RFC 9110, section 5.5). */
static bool fits_field(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

static int check_request(const struct client_options *opt, const struct client_request *rq,
                         struct err *e)
{
    const char *bad = NULL;
    must(rq->path[0] == '/' && fits_field(rq->path) && !strchr(rq->path, ' '));
    if (opt->key && !fits_field(opt->key))
        bad = "the key";
    else if (rq->last_event_id && !fits_field(rq->last_event_id))
        bad = "the id of the event";
    if (!bad)
        return 0;
    err_set(e, "%s holds control bytes, which cannot be sent", bad);
    return -CLIENT_INVALID;
}

static void write_request(const struct client_options *opt, const struct client_request *rq,
                          struct buf *out)
{
    const struct client_address *to = &opt->address;
    buf_printf(out, "%s %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: wharf\r\n",
               rq->method, to->base, rq->path, to->is_unix ? "localhost" : to->text);
    if (rq->accept)
        buf_printf(out, "Accept: %s\r\n", rq->accept);
    if (opt->key)
        buf_printf(out, "Authorization: Bearer %s\r\n", opt->key);
    if (rq->last_event_id)
        buf_printf(out, "Last-Event-ID: %s\r\n", rq->last_event_id);
    if (rq->body)
        buf_text(out, "Content-Type: application/json\r\n");
    if (rq->body || strcmp(rq->method, "GET") != 0)
        buf_printf(out, "Content-Length: %zu\r\n", rq->body_len);
    buf_text(out, "\r\n");
    if (rq->body)
        buf_append(out, rq->body, rq->body_len);
}

/* Bytes received, 0 at the end of the connection, or an error. */
static int receive_more(struct client_answer *a, struct err *e)
{
    if (a->at == a->in.len) {
        buf_clear(&a->in);
        a->at = 0;
    }
    char *to = buf_reserve(&a->in, RECEIVE_BYTES);
    must(to);
    int n = wire_receive(&a->wire, to, RECEIVE_BYTES, a->silence_ms_max, e);
    if (n > 0)
        buf_commit(&a->in, (size_t)n);
    return n;
}

static int not_http(const struct client_answer *a, struct err *e)
{
    err_set(e, "what answers at %s does not speak HTTP/1.1 as wharf does", a->wire.address->text);
    return -CLIENT_BROKEN;
}

static int ended_early(const struct client_answer *a, const char *where, struct err *e)
{
    err_set(e, "wharf at %s closed the connection %s", a->wire.address->text, where);
    return -CLIENT_BROKEN;
}

/* Reads up to the end of one head and consumes it. */
static int read_one_head(struct client_answer *a, struct http_head *ret, struct err *e)
{
    size_t scan = 0;
    for (;;) {
        size_t have = a->in.len - a->at;
        int rc = 0;
        if (have > 0)
            rc = http_head_parse(HTTP_RESPONSE, false, a->in.data + a->at, have, &scan, ret);
        if (rc < 0)
            return not_http(a, e);
        if (rc > 0) {
            a->at += ret->bytes;
            return 0;
        }
        rc = receive_more(a, e);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return ended_early(a, "without an answer", e);
    }
}

static int read_head(struct client_answer *a, struct err *e)
{
    struct http_head head;
    int rc;
    /* Interim answers come before the one that counts (RFC 9110, section 15.2). */
    do {
        rc = read_one_head(a, &head, e);
    } while (rc == 0 && head.status < 200);
    if (rc < 0)
        return rc;
    a->status = head.status;
    a->framing = head.framing;
    a->left = head.content_length;
    return 0;
}

static int exchange(struct client_answer *a, const struct client_options *opt,
                    const struct client_request *rq, struct err *e)
{
    struct buf out = {0};
    int rc = check_request(opt, rq, e);
    if (rc == 0)
        rc = wire_connect(&a->wire, opt->connect_ms_max, e);
    if (rc == 0) {
        write_request(opt, rq, &out);
        rc = wire_send(&a->wire, out.data, out.len, rq->silence_ms_max, e);
    }
    buf_fini(&out);
    return rc < 0 ? rc : read_head(a, e);
}

int client_open(const struct client_options *opt, const struct client_request *rq,
                struct client_answer **ret, struct err *e)
{
    struct client_answer *a = alloc_zeroed(1, sizeof(*a));
    a->wire = (struct wire){.fd = -1, .stop_fd = opt->stop_fd, .address = &opt->address};
    a->silence_ms_max = rq->silence_ms_max;
    int rc = exchange(a, opt, rq, e);
    if (rc < 0) {
        client_close(a);
        a = NULL;
    }
    *ret = a;
    return rc;
}

void client_close(struct client_answer *a)
{
    if (!a)
        return;
    wire_close(&a->wire);
    buf_fini(&a->in);
    free(a);
}

void client_hang_up(struct client_answer *a)
{
    if (a)
        (void)shutdown(a->wire.fd, SHUT_RDWR);
    client_close(a);
}

uint16_t client_status(const struct client_answer *a)
{
    return a->status;
}

int client_fd(const struct client_answer *a)
{
    return a->wire.fd;
}

void client_set_silence(struct client_answer *a, uint32_t silence_ms_max)
{
    a->silence_ms_max = silence_ms_max;
}

static void give(struct client_answer *a, size_t n, const char **ret_data, size_t *ret_n)
{
    *ret_data = a->in.data + a->at;
    *ret_n = n;
    a->at += n;
}

/* 1: content found; 0: more bytes are needed, or a->ended is set. */
static int take_chunked(struct client_answer *a, const char **ret_data, size_t *ret_n,
                        struct err *e)
{
    while (a->at < a->in.len) {
        size_t used, off, len;
        const char *data = a->in.data + a->at;
        int rc = chunk_decode(&a->chunks, data, a->in.len - a->at, &used, &off, &len);
        if (rc < 0)
            return not_http(a, e);
        a->at += used;
        a->ended = rc == 1;
        if (len > 0) {
            *ret_data = data + off;
            *ret_n = len;
            return 1;
        }
        if (a->ended)
            return 0;
    }
    return 0;
}

/* As take_chunked, for all framings. */
static int take(struct client_answer *a, const char **ret_data, size_t *ret_n, struct err *e)
{
    size_t have = a->in.len - a->at;
    switch (a->framing) {
    case HTTP_BODY_NONE:
        a->ended = true;
        return 0;
    case HTTP_BODY_CHUNKED:
        return take_chunked(a, ret_data, ret_n, e);
    case HTTP_BODY_LENGTH:
        if (have > a->left)
            have = (size_t)a->left;
        a->left -= have;
        a->ended = a->left == 0;
        break;
    case HTTP_BODY_UNTIL_CLOSE:
        break;
    }
    if (have == 0)
        return 0;
    give(a, have, ret_data, ret_n);
    return 1;
}

int client_read(struct client_answer *a, const char **ret_data, size_t *ret_n, struct err *e)
{
    if (a->span_len > 0) {
        *ret_data = a->span;
        *ret_n = a->span_len;
        a->span_len = 0;
        return 1;
    }
    while (!a->ended) {
        int rc = take(a, ret_data, ret_n, e);
        if (rc != 0)
            return rc;
        if (a->ended)
            break;
        rc = receive_more(a, e);
        if (rc < 0)
            return rc;
        if (rc == 0 && a->framing != HTTP_BODY_UNTIL_CLOSE)
            return ended_early(a, "in the middle of its answer", e);
        a->ended = rc == 0;
    }
    return 0;
}

int client_read_line(struct client_answer *a, struct buf *line, struct err *e)
{
    const char *data, *lf = NULL;
    size_t n;
    if (!a->in_line)
        buf_clear(line);
    while (!lf) {
        int rc = client_read(a, &data, &n, e);
        a->in_line = rc == -CLIENT_AGAIN;
        if (rc < 0 || (rc == 0 && line->len == 0))
            return rc;
        if (rc == 0)
            return 1;
        lf = memchr(data, '\n', n);
        size_t taken = lf ? (size_t)(lf - data) : n;
        if (line->len + taken > CLIENT_LINE_BYTES_MAX) {
            err_set(e, "wharf at %s sent a line of more than %d bytes", a->wire.address->text,
                    CLIENT_LINE_BYTES_MAX);
            return -CLIENT_TOO_LARGE;
        }
        buf_append(line, data, taken);
        if (lf) {
            a->span = lf + 1;
            a->span_len = n - taken - 1;
        }
    }
    if (line->len > 0 && line->data[line->len - 1] == '\r')
        line->data[--line->len] = '\0';
    return 1;
}

void client_encode_segment(struct buf *path, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || strchr("-._~", c);
        if (is_plain) {
            buf_char(path, *p);
        } else {
            buf_char(path, '%');
            buf_char(path, hex[c >> 4]);
            buf_char(path, hex[c & 15]);
        }
    }
}
