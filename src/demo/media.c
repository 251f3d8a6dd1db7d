#include "media.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "form.h"
#include "reply.h"

#define IMAGES_MAX 10
#define WORD_BYTES_MAX 256

/* A 1x1 transparent PNG. */
static const unsigned char pixel[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
    0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00,
    0x00, 0x1f, 0x15, 0xc4, 0x89, 0x00, 0x00, 0x00, 0x0b, 0x49, 0x44, 0x41, 0x54, 0x78,
    0xda, 0x63, 0x60, 0x00, 0x02, 0x00, 0x00, 0x05, 0x00, 0x01, 0xe9, 0xfa, 0xdc, 0xd8,
    0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

static bool send_text(struct http_conn *c, const char *text)
{
    struct buf out = {0};
    buf_printf(&out, "%s\n", text);
    bool ok = http_send_whole(c, 200, "text/plain; charset=utf-8", &out);
    buf_fini(&out);
    return ok;
}

bool media_transcription(struct engine *e, struct http_conn *c)
{
    char model[WORD_BYTES_MAX], format[WORD_BYTES_MAX];
    struct form_part file;
    struct buf out = {0};
    if (!form_find(&c->req, "file", &file))
        return reply_refuse(c);
    form_read_text(&c->req, "model", model, sizeof(model));
    form_read_text(&c->req, "response_format", format, sizeof(format));
    auto_free char *text = alloc_printf("demo-model %s heard %s of %zu bytes", e->flags->name,
                                        file.file, file.data_bytes);
    if (strcmp(format, "text") == 0)
        return send_text(c, text);
    buf_text(&out, "{\"text\":");
    buf_json_text(&out, text);
    buf_text(&out, ",\"model\":");
    buf_json_text(&out, model);
    buf_printf(&out, ",\"file_bytes\":%zu,\"body_bytes\":%zu}", file.data_bytes, c->req.body.len);
    return reply_json(c, &out);
}

/* 8 kHz, mono, 8 bits. */
bool media_speech(struct engine *e, struct http_conn *c)
{
    static const unsigned char head[44] = {
        'R', 'I', 'F', 'F', 0xf4, 0x07, 0,   0,   'W', 'A',  'V',  'E',  'f', 'm',  't',
        ' ', 16,  0,   0,   0,    1,    0,   1,   0,   0x40, 0x1f, 0,    0,   0x40, 0x1f,
        0,   0,   1,   0,   8,    0,    'd', 'a', 't', 'a',  0xd0, 0x07, 0,   0};
    struct buf out = {0};
    (void)e;
    buf_append(&out, head, sizeof(head));
    char *at = buf_reserve(&out, 2000);
    memset(at, 0x80, 2000);
    buf_commit(&out, 2000);
    bool ok = http_send_whole(c, 200, "audio/wav", &out);
    buf_fini(&out);
    return ok;
}

static bool send_images(struct http_conn *c, const void *data, size_t n, long wanted)
{
    long count = wanted < 1 ? 1 : wanted > IMAGES_MAX ? IMAGES_MAX : wanted;
    struct buf out = {0};
    buf_text(&out, "{\"created\":0,\"data\":[");
    for (long i = 0; i < count; i++) {
        buf_text(&out, i ? ",{\"b64_json\":\"" : "{\"b64_json\":\"");
        buf_base64(&out, data, n);
        buf_text(&out, "\"}");
    }
    buf_text(&out, "]}");
    return reply_json(c, &out);
}

bool media_image(struct engine *e, struct http_conn *c)
{
    json_t *request = reply_parse_body(&c->req);
    long wanted = (long)json_integer_value(json_object_get(request, "n"));
    (void)e;
    json_decref(request);
    return send_images(c, pixel, sizeof(pixel), wanted);
}

bool media_image_edit(struct engine *e, struct http_conn *c)
{
    char wanted[WORD_BYTES_MAX];
    struct form_part image;
    (void)e;
    if (!form_find(&c->req, "image", &image))
        return reply_refuse(c);
    form_read_text(&c->req, "n", wanted, sizeof(wanted));
    return send_images(c, image.data, image.data_bytes, strtol(wanted, NULL, 10));
}
