#include "api/json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/pure/errors.h"
#include "config/nearest.h"
#include "server/abort.h"

void api_put_seconds(struct buf *b, uint64_t ns)
{
    buf_printf(b, "%llu.%03llu", (unsigned long long)(ns / NS_PER_S),
               (unsigned long long)(ns % NS_PER_S / NS_PER_MS));
}

void api_put_age(struct buf *b, uint64_t then_ns)
{
    uint64_t now = uv_hrtime();
    if (then_ns == 0 || then_ns > now)
        buf_text(b, "null");
    else
        api_put_seconds(b, now - then_ns);
}

void api_put_left(struct buf *b, uint64_t then_ns)
{
    uint64_t now = uv_hrtime();
    if (then_ns == 0)
        buf_text(b, "null");
    else
        api_put_seconds(b, then_ns > now ? then_ns - now : 0);
}

void api_put_time(struct buf *b, int64_t seconds)
{
    char text[DATE_TEXT_MAX];
    buf_printf(b, "\"%s\"", date_format_seconds(seconds, text));
}

void api_put_text(struct buf *b, const char *text)
{
    if (text && *text)
        buf_json_text(b, text);
    else
        buf_text(b, "null");
}

void api_put_number(struct buf *b, const char *name, bool known, uint64_t n)
{
    if (known)
        buf_printf(b, ",\"%s\":%llu", name, (unsigned long long)n);
    else
        buf_printf(b, ",\"%s\":null", name);
}

void api_put_model(struct buf *b, const struct server *s, uint32_t slot)
{
    api_put_text(b, slot == CORE_SLOT_NONE ? NULL : roster_id(&s->roster, slot));
}

void api_put_devices(struct buf *b, const struct server *s, uint32_t mask)
{
    const struct config *c = s->roster.current->config;
    const char *sep = "";
    buf_char(b, '[');
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        if (!(mask & 1U << d))
            continue;
        buf_text(b, sep);
        buf_json_text(b, c->gpus[d].name);
        sep = ",";
    }
    buf_char(b, ']');
}

void api_fail_body(struct exchange *ex, const char *detail)
{
    exchange_fail(ex, &(struct problem){.error = ERR_BODY_INVALID, .detail = detail});
}

struct json_t *api_read_json(struct exchange *ex)
{
    char text[API_BODY_BYTES_MAX];
    size_t at = 0, n = 1;
    int rc = body_size(&ex->body) > sizeof(text) ? -ERR_BODY_TOO_LARGE : 0;
    while (rc == 0 && n) {
        const char *data;
        rc = body_peek(&ex->body, at, ex->server->spool_scratch, SERVER_SCRATCH_BYTES, &data, &n);
        if (rc == 0 && n) {
            memcpy(text + at, data, n);
            at += n;
        }
    }
    if (rc == 0 && !abort_json_fits(at))
        rc = -ERR_OVERLOADED;
    if (rc < 0) {
        exchange_fail(ex, &(struct problem){.error = -rc});
        return NULL;
    }
    json_error_t where;
    json_t *json = json_loadb(text, at, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(json)) {
        struct buf detail = {0};
        buf_printf(&detail, "the body is not one valid JSON object, at byte offset %d",
                   json ? 0 : where.position);
        json_decref(json);
        exchange_fail(ex, &(struct problem){.error = ERR_JSON_INVALID, .detail = detail.data});
        buf_fini(&detail);
        return NULL;
    }
    return json;
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void fail_member(struct exchange *ex, const char *member, const char *what,
                        const char *const *names, size_t count)
{
    struct nearest near = nearest_to(member);
    struct buf detail = {0};
    buf_printf(&detail, "%s has no member ", what);
    buf_json_text(&detail, member);
    for (size_t i = 0; i < count; i++)
        nearest_offer(&near, names[i]);
    if (near.best)
        buf_printf(&detail, "; the nearest name is \"%s\"", near.best);
    buf_text(&detail, count ? "; there are: " : "; there are none");
    for (size_t i = 0; i < count; i++)
        buf_printf(&detail, "%s\"%s\"", i ? ", " : "", names[i]);
    api_fail_body(ex, detail.data);
    buf_fini(&detail);
}

bool api_check_members(struct exchange *ex, const struct json_t *object, const char *what,
                       const char *const *names, size_t count)
{
    const char *name;
    json_t *value;
    /* Jansson's iterators take what they do not change as if they did. */
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (is_among(name, names, count))
            continue;
        fail_member(ex, name, what, names, count);
        return false;
    }
    return true;
}

bool api_read_text(struct exchange *ex, const struct json_t *body, const char *name, bool required,
                   const char **ret)
{
    const json_t *value = json_object_get(body, name);
    *ret = json_string_value(value);
    if (*ret && **ret)
        return true;
    if (!value && !required)
        return true;
    struct buf detail = {0};
    buf_printf(&detail, value ? "\"%s\" must be a text" : "\"%s\" is missing", name);
    api_fail_body(ex, detail.data);
    buf_fini(&detail);
    return false;
}

bool api_read_class(struct exchange *ex, const struct json_t *body, enum class *ret)
{
    const char *text;
    if (!api_read_text(ex, body, "class", false, &text))
        return false;
    if (!text)
        return true;
    for (int class = 0; class < CLASS__COUNT; class ++) {
        if (strcmp(text, class_text((enum class) class)) != 0)
            continue;
        *ret = (enum class) class;
        return true;
    }
    struct nearest near = nearest_to(text);
    struct buf detail = {0};
    for (int class = 0; class < CLASS__COUNT; class ++)
        nearest_offer(&near, class_text((enum class) class));
    buf_text(&detail, "\"class\" must be foreground, normal or background, and not ");
    buf_json_text(&detail, text);
    if (near.best)
        buf_printf(&detail, "; the nearest is %s", near.best);
    api_fail_body(ex, detail.data);
    buf_fini(&detail);
    return false;
}
