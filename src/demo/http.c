#include "http.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "engine.h"

#define RECEIVE_BYTES (64 * 1024)
#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)
/* A slow reader takes its allowance this many times a second. */
#define SLOW_READS_PER_S 20

void http_init(struct http_conn *c, int fd, const struct flags *flags)
{
    *c = (struct http_conn){.fd = fd, .flags = flags};
    buf_init(&c->in, HTTP_HEAD_BYTES_MAX + RECEIVE_BYTES);
    buf_init(&c->out, 0);
    buf_init(&c->req.head, 0);
    buf_init(&c->req.body, 0);
}

void http_fini(struct http_conn *c)
{
    buf_fini(&c->in);
    buf_fini(&c->out);
    buf_fini(&c->req.head);
    buf_fini(&c->req.body);
}

static bool receive_most(struct http_conn *c, size_t most)
{
    char *at = buf_reserve(&c->in, most);
    if (!at)
        return false;
    ssize_t n;
    do
        n = recv(c->fd, at, most, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    buf_commit(&c->in, (size_t)n);
    return true;
}

bool http_receive(struct http_conn *c)
{
    return receive_most(c, RECEIVE_BYTES);
}

static bool receive_body(struct http_conn *c)
{
    uint64_t rate = c->flags->slow_read;
    if (rate == 0)
        return http_receive(c);
    engine_sleep(NS_PER_S / SLOW_READS_PER_S);
    uint64_t most = rate / SLOW_READS_PER_S + 1;
    return receive_most(c, most < RECEIVE_BYTES ? (size_t)most : RECEIVE_BYTES);
}

/* False once the connection was idle for as long as --close-idle-after allows. */
static bool wait_for_request(struct http_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    uint64_t ns = c->flags->close_idle_after;
    if (ns == 0)
        return true;
    struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    return ppoll(&p, 1, &t, NULL) > 0;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r", text[n - 1]))
        text[--n] = '\0';
    return text;
}

static bool parse_start(struct http_request *r, char *line)
{
    char *save = NULL;
    char *method = strtok_r(line, " ", &save);
    char *target = method ? strtok_r(NULL, " ", &save) : NULL;
    char *version = target ? trim(save) : NULL;
    if (!version || strncmp(version, "HTTP/1.", 7) != 0 || target[0] != '/')
        return false;
    char *mark = strchr(target, '?');
    r->method = method;
    r->path = target;
    r->query = mark ? mark + 1 : target + strlen(target);
    if (mark)
        *mark = '\0';
    r->http10 = strcmp(version, "HTTP/1.0") == 0;
    return true;
}

static bool parse_header(struct http_request *r, char *line)
{
    char *colon = strchr(line, ':');
    if (!colon || colon == line || r->header_count == HTTP_HEADERS_MAX)
        return false;
    *colon = '\0';
    if (line[strcspn(line, " \t")] != '\0')
        return false;
    r->headers[r->header_count++] = (struct http_header){line, trim(colon + 1)};
    return true;
}

const char *http_find_header(const struct http_request *r, const char *name)
{
    for (uint32_t i = 0; i < r->header_count; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

/* Length and transfer coding together, or an unknown coding, make the framing uncertain. */
static bool parse_framing(struct http_request *r)
{
    const char *length = http_find_header(r, "content-length");
    const char *coding = http_find_header(r, "transfer-encoding");
    const char *expect = http_find_header(r, "expect");
    const char *connection = http_find_header(r, "connection");
    if (length && (coding || length[0] == '\0' || length[strspn(length, "0123456789")] != '\0'))
        return false;
    if (length && !units_parse_bytes(length, &r->content_length))
        return false;
    if (coding && strcasecmp(coding, "chunked") != 0)
        return false;
    r->chunked = coding != NULL;
    r->expects_continue = expect && strcasecmp(expect, "100-continue") == 0;
    r->keep_alive = connection && strcasestr(connection, "keep-alive") ? true : !r->http10;
    if (connection && strcasestr(connection, "close"))
        r->keep_alive = false;
    return true;
}

static bool parse_head(struct http_request *r)
{
    char *save = NULL;
    char *line = strtok_r(r->head.data, "\n", &save);
    if (!line || !parse_start(r, line))
        return false;
    while ((line = strtok_r(NULL, "\n", &save)) != NULL) {
        if (strcmp(line, "\r") == 0)
            break;
        if (!parse_header(r, line))
            return false;
    }
    return parse_framing(r);
}

static void reset_request(struct http_request *r)
{
    struct buf head = r->head, body = r->body;
    buf_clear(&head);
    buf_clear(&body);
    *r = (struct http_request){.head = head, .body = body, .body_fnv1a = FNV_OFFSET};
}

/* Length of the head that starts the input, its empty line included; 0: not complete yet. */
static size_t head_length(const struct buf *in)
{
    const char *end = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - in->data) + 4 : 0;
}

bool http_read_head(struct http_conn *c)
{
    size_t n;
    reset_request(&c->req);
    if (c->in.len == 0 && !wait_for_request(c))
        return false;
    while ((n = head_length(&c->in)) == 0)
        if (c->in.len >= HTTP_HEAD_BYTES_MAX || !http_receive(c))
            return false;
    buf_append(&c->req.head, c->in.data, n);
    buf_consume(&c->in, n);
    if (strlen(c->req.head.data) == n && parse_head(&c->req))
        return true;
    c->req.keep_alive = false;
    (void)http_send_json(c, 400, "{\"error\":{\"message\":\"bad request head\"}}");
    return false;
}

static void take_body(struct http_conn *c, size_t n, size_t keep_bytes_max)
{
    struct http_request *r = &c->req;
    uint64_t hash = r->body_fnv1a;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (uint8_t)c->in.data[i]) * FNV_PRIME;
    size_t room = keep_bytes_max > r->body.len ? keep_bytes_max - r->body.len : 0;
    buf_append(&r->body, c->in.data, n < room ? n : room);
    buf_consume(&c->in, n);
    r->body_fnv1a = hash;
    r->body_bytes += n;
}

static bool read_span(struct http_conn *c, uint64_t left, size_t keep_bytes_max)
{
    while (left > 0) {
        if (c->in.len == 0 && !receive_body(c))
            return false;
        size_t n = c->in.len < left ? c->in.len : (size_t)left;
        take_body(c, n, keep_bytes_max);
        left -= n;
    }
    return true;
}

/* A line without its CRLF into out. */
static bool read_line(struct http_conn *c, char out[HTTP_LINE_BYTES_MAX])
{
    const char *end;
    while (!(end = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL))
        if (c->in.len >= HTTP_LINE_BYTES_MAX || !receive_body(c))
            return false;
    size_t n = (size_t)(end - c->in.data);
    if (n >= HTTP_LINE_BYTES_MAX || n == 0 || c->in.data[n - 1] != '\r')
        return false;
    memcpy(out, c->in.data, n - 1);
    out[n - 1] = '\0';
    buf_consume(&c->in, n + 1);
    return true;
}

static bool parse_chunk_size(const char *line, uint64_t *ret)
{
    uint64_t size = 0;
    size_t digits = strspn(line, "0123456789abcdefABCDEF");
    if (digits == 0 || digits > 15 || (line[digits] != '\0' && !strchr("; \t", line[digits])))
        return false;
    for (size_t i = 0; i < digits; i++)
        size = size * 16 + (uint64_t)(line[i] <= '9' ? line[i] - '0' : (line[i] | 0x20) - 'a' + 10);
    *ret = size;
    return true;
}

static bool read_chunks(struct http_conn *c, size_t keep_bytes_max)
{
    char line[HTTP_LINE_BYTES_MAX];
    for (;;) {
        uint64_t size;
        if (!read_line(c, line) || !parse_chunk_size(line, &size))
            return false;
        if (size == 0)
            break;
        if (!read_span(c, size, keep_bytes_max) || !read_line(c, line) || line[0] != '\0')
            return false;
    }
    do
        if (!read_line(c, line))
            return false;
    while (line[0] != '\0');
    return true;
}

bool http_read_body(struct http_conn *c, size_t keep_bytes_max)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http_request *r = &c->req;
    if (!r->chunked && r->content_length == 0)
        return true;
    if (r->expects_continue && !http_send_raw(c, go_on, sizeof(go_on) - 1))
        return false;
    return r->chunked ? read_chunks(c, keep_bytes_max)
                      : read_span(c, r->content_length, keep_bytes_max);
}

uint64_t http_query_number(const struct http_request *r, const char *name, uint64_t fallback)
{
    size_t n = strlen(name);
    for (const char *p = r->query; *p; p += p[strcspn(p, "&")] ? strcspn(p, "&") + 1 : strlen(p)) {
        char text[UNITS_TEXT_MAX];
        uint64_t value;
        if (strncmp(p, name, n) != 0 || p[n] != '=')
            continue;
        size_t len = strcspn(p + n + 1, "&");
        if (len >= sizeof(text))
            return fallback;
        memcpy(text, p + n + 1, len);
        text[len] = '\0';
        return units_parse_bytes(text, &value) ? value : fallback;
    }
    return fallback;
}

bool http_wait_until(struct http_conn *c, struct mono until)
{
    for (;;) {
        uint64_t now = engine_now().ns;
        if (now >= until.ns)
            return true;
        struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
        uint64_t ns = until.ns - now;
        struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
        if (ppoll(&p, 1, &t, NULL) > 0)
            return false;
    }
}

void http_hang(struct http_conn *c)
{
    do
        buf_clear(&c->in);
    while (http_receive(c));
}
