#include "websocket.h"

#include <string.h>
#include <strings.h>

#include "sha1.h"

#define KEY_BYTES_MAX 128
/* RFC 6455, section 1.3. */
#define HANDSHAKE_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
/* What is forwarded at once of a payload. */
#define PIECE_BYTES 16384

enum opcode { OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10 };

struct frame {
    uint8_t first; /* FIN, reserved bits, opcode */
    uint64_t payload_bytes;
    uint8_t mask[4];
};

static bool send_handshake(struct http_conn *c, const char *key)
{
    char text[KEY_BYTES_MAX + sizeof(HANDSHAKE_GUID)];
    struct buf head = {0};
    uint8_t digest[SHA1_BYTES];
    int n = snprintf(text, sizeof(text), "%.*s" HANDSHAKE_GUID, KEY_BYTES_MAX, key);
    sha1(text, (size_t)n, digest);
    buf_text(&head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    buf_base64(&head, digest, sizeof(digest));
    buf_text(&head, "\r\n\r\n");
    bool ok = http_send_raw(c, head.data, head.len);
    buf_fini(&head);
    return ok;
}

static bool receive_at_least(struct http_conn *c, size_t n)
{
    while (c->in.len < n)
        if (!http_receive(c))
            return false;
    return true;
}

/* False at the end of input, and for frames that are not masked (section 5.1). */
static bool read_frame_head(struct http_conn *c, struct frame *ret)
{
    if (!receive_at_least(c, 2))
        return false;
    uint8_t second = (uint8_t)c->in.data[1];
    size_t extra = (second & 127) == 127 ? 8 : (second & 127) == 126 ? 2 : 0;
    if (!(second & 128) || !receive_at_least(c, 2 + extra + 4))
        return false;
    *ret = (struct frame){.first = (uint8_t)c->in.data[0], .payload_bytes = second & 127};
    if (extra)
        ret->payload_bytes = 0;
    for (size_t i = 0; i < extra; i++)
        ret->payload_bytes = ret->payload_bytes << 8 | (uint8_t)c->in.data[2 + i];
    memcpy(ret->mask, c->in.data + 2 + extra, 4);
    buf_consume(&c->in, 2 + extra + 4);
    return true;
}

static void put_frame_head(struct buf *out, uint8_t first, uint64_t payload_bytes)
{
    int extra = payload_bytes > 0xffff ? 8 : payload_bytes > 125 ? 2 : 0;
    buf_char(out, (char)first);
    buf_char(out, (char)(extra == 8 ? 127 : extra == 2 ? 126 : payload_bytes));
    for (int i = extra - 1; i >= 0; i--)
        buf_char(out, (char)(payload_bytes >> (8 * i) & 255));
}

/* Echoes the payload in pieces, so that its size has no bound. A small frame is one send. */
static bool echo_payload(struct http_conn *c, const struct frame *f, bool answer)
{
    for (uint64_t at = 0; at < f->payload_bytes;) {
        if (c->in.len == 0 && !http_receive(c))
            return false;
        uint64_t left = f->payload_bytes - at;
        size_t n = c->in.len < PIECE_BYTES ? c->in.len : PIECE_BYTES;
        if (n > left)
            n = (size_t)left;
        for (size_t i = 0; i < n; i++)
            buf_char(&c->out, (char)(c->in.data[i] ^ f->mask[(at + i) % 4]));
        buf_consume(&c->in, n);
        at += n;
        if (answer && at < f->payload_bytes && !http_send_raw(c, c->out.data, c->out.len))
            return false;
        if (at < f->payload_bytes)
            buf_clear(&c->out);
    }
    return !answer || http_send_raw(c, c->out.data, c->out.len);
}

static bool echo_frame(struct http_conn *c)
{
    struct frame f;
    if (!read_frame_head(c, &f))
        return false;
    uint8_t opcode = f.first & 15;
    uint8_t first = opcode == OPCODE_PING ? (uint8_t)((f.first & 0xf0) | OPCODE_PONG) : f.first;
    buf_clear(&c->out);
    put_frame_head(&c->out, first, f.payload_bytes);
    return echo_payload(c, &f, opcode != OPCODE_PONG) && opcode != OPCODE_CLOSE;
}

bool websocket_answer(struct engine *e, struct http_conn *c)
{
    const char *upgrade = http_find_header(&c->req, "upgrade");
    const char *key = http_find_header(&c->req, "sec-websocket-key");
    (void)e;
    if (!upgrade || strcasecmp(upgrade, "websocket") != 0 || !key || strlen(key) > KEY_BYTES_MAX)
        return http_send_json(c, 400, "{\"error\":{\"message\":\"not a WebSocket handshake\"}}");
    if (!send_handshake(c, key))
        return false;
    while (echo_frame(c))
        continue;
    return false;
}
