#include "server/proxy/scanner.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/pure/errors.h"
#include "http/json.h"
#include "http/multipart.h"
#include "http/url.h"
#include "server/proxy/body.h"

/* What is looked for in JSON. */
enum { WANT_MODEL, WANT_STREAM, WANT__COUNT };

static const struct json_step model_path[] = {JSON_NAME("model")};
static const struct json_step stream_path[] = {JSON_NAME("stream")};

enum kind { KIND_UNDECIDED, KIND_JSON, KIND_MULTIPART, KIND_FORM };

#define TYPE_MAX 256
#define MODEL_TEXT_MAX 512 /* bytes of a model's name, decoded */

struct scanner {
    enum kind kind;
    char type[TYPE_MAX]; /* the Content-Type, cut */
    uint64_t taken;
    union {
        struct {
            struct json_scan scan;
            struct json_want wants[WANT__COUNT];
        } json;
        struct multipart_scan multipart;
    };
    char model[MODEL_TEXT_MAX + 1]; /* from JSON or a urlencoded form */
};

static bool has_type(const struct scanner *sc, const char *type)
{
    return strncasecmp(sc->type, type, strlen(type)) == 0;
}

struct scanner *scanner_new(const char *content_type, size_t n)
{
    struct scanner *sc = alloc_grow(NULL, 1, sizeof(*sc));
    sc->kind = KIND_UNDECIDED;
    sc->taken = 0;
    if (n > TYPE_MAX - 1)
        n = TYPE_MAX - 1;
    if (n)
        memcpy(sc->type, content_type, n);
    sc->type[n] = '\0';
    return sc;
}

void scanner_free(struct scanner *sc)
{
    free(sc);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void begin_json(struct scanner *sc)
{
    struct json_want *wants = sc->json.wants;
    wants[WANT_MODEL] = (struct json_want){.path = model_path,
                                           .steps = countof(model_path),
                                           .text = sc->model,
                                           .text_size = sizeof(sc->model)};
    wants[WANT_STREAM] = (struct json_want){.path = stream_path, .steps = countof(stream_path)};
    sc->kind = KIND_JSON;
    json_scan_init(&sc->json.scan, wants, WANT__COUNT);
    sc->json.scan.offset = sc->taken; /* white space that came before, on its own */
}

/* By the type where it is clear, by the first byte where it is not: curl -d sends JSON as a form.
 */
static int decide(struct scanner *sc, const char *data, size_t n)
{
    if (has_type(sc, "multipart/form-data")) {
        sc->kind = KIND_MULTIPART;
        return multipart_scan_init(&sc->multipart, sc->type, strlen(sc->type));
    }
    size_t i = 0;
    while (i < n && is_space(data[i]))
        i++;
    bool form = has_type(sc, "application/x-www-form-urlencoded");
    if (form && i < n && data[i] != '{') {
        sc->kind = KIND_FORM;
        sc->model[0] = '\0';
        return 0;
    }
    if (form && i == n)
        return 0; /* nothing but white space so far */
    begin_json(sc);
    return 0;
}

int scanner_feed(struct scanner *sc, const char *data, size_t n)
{
    int rc = sc->kind == KIND_UNDECIDED ? decide(sc, data, n) : 0;
    sc->taken += n;
    if (rc < 0)
        return rc;
    if (sc->kind == KIND_JSON)
        return json_scan_feed(&sc->json.scan, data, n);
    if (sc->kind == KIND_MULTIPART)
        return multipart_scan_feed(&sc->multipart, data, n);
    return 0;
}

static int end_json(struct scanner *sc, struct scanner_result *ret)
{
    int rc = json_scan_end(&sc->json.scan);
    const struct json_want *model = &sc->json.wants[WANT_MODEL];
    if (rc < 0)
        return rc;
    if (model->duplicate)
        return -ERR_MODEL_DUPLICATE;
    if (model->type != JSON_TYPE_STRING || model->text_len == 0)
        return -ERR_MODEL_MISSING;
    /* Cut, or with a NUL inside: no model is called that, and what is left of it must not match. */
    if (strlen(sc->model) != model->text_len)
        return -ERR_MODEL_UNKNOWN;
    *ret = (struct scanner_result){.model = sc->model,
                                   .stream = sc->json.wants[WANT_STREAM].type == JSON_TYPE_TRUE,
                                   .how = SCANNED_JSON,
                                   .off = model->off,
                                   .len = model->len};
    return 0;
}

static int end_multipart(struct scanner *sc, struct scanner_result *ret)
{
    int rc = multipart_scan_end(&sc->multipart);
    if (rc < 0)
        return rc;
    if (sc->multipart.model_duplicate)
        return -ERR_MODEL_DUPLICATE;
    if (!sc->multipart.model_found || !sc->multipart.model[0])
        return -ERR_MODEL_MISSING;
    if (strlen(sc->multipart.model) != sc->multipart.model_len)
        return -ERR_MODEL_UNKNOWN;
    *ret = (struct scanner_result){.model = sc->multipart.model,
                                   .how = SCANNED_MULTIPART,
                                   .off = sc->multipart.model_off,
                                   .len = sc->multipart.model_len};
    return 0;
}

/* Forms are small: only what is held in memory is looked at. */
static int end_form(struct scanner *sc, const struct body *body, struct scanner_result *ret)
{
    int found =
        url_query_find(body->memory, body->memory_len, "model", sc->model, sizeof(sc->model));
    if (found > 1)
        return -ERR_MODEL_DUPLICATE;
    if (found < 0)
        return -ERR_FORM_INVALID;
    if (found == 0 || !sc->model[0])
        return -ERR_MODEL_MISSING;
    size_t off, len;
    must(url_query_span(body->memory, body->memory_len, "model", &off, &len));
    *ret = (struct scanner_result){.model = sc->model, .how = SCANNED_FORM, .off = off, .len = len};
    return 0;
}

int scanner_end(struct scanner *sc, const struct body *body, struct scanner_result *ret)
{
    switch (sc->kind) {
    case KIND_JSON:
        return end_json(sc, ret);
    case KIND_MULTIPART:
        return end_multipart(sc, ret);
    case KIND_FORM:
        return end_form(sc, body, ret);
    case KIND_UNDECIDED:
        break;
    }
    return -ERR_MODEL_MISSING;
}

bool scanner_is_json(const struct scanner *sc)
{
    return sc->kind == KIND_JSON;
}

uint64_t scanner_offset(const struct scanner *sc)
{
    if (sc->kind == KIND_JSON)
        return sc->json.scan.offset;
    return sc->kind == KIND_MULTIPART ? sc->multipart.offset : sc->taken;
}
