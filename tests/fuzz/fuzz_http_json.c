/* The input is a body. The oracle is Jansson, which must agree on what is a valid object and on the
 * values found, but for these differences of its own:
 * - numbers that do not fit its types are errors (RFC 8259 sets no limit),
 * - half a surrogate pair is an error (RFC 8259, section 8.2, lets it be),
 * - "\u0000" in a name is an error,
 * - its nesting goes to 2048, wharf's to JSON_DEPTH_MAX,
 * - it passes over a NUL byte right behind a number or a literal: its one-byte look-back takes NUL
 *   for "nothing there" (2.14, stream_get in load.c). */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/errors.h"
#include "http/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static const char *const names[JSON_MEMBER__COUNT] = {
    [JSON_MEMBER_MODEL] = "model",
    [JSON_MEMBER_STREAM] = "stream",
};

static int scan_pieces(struct json_scan *s, const char *data, size_t n, size_t piece)
{
    json_scan_init(s);
    int error = 0;
    for (size_t at = 0; at < n && error == 0; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        /* A copy of its own, so that a sanitizer sees a byte too many. */
        char *copy = malloc(len);
        must(copy != NULL);
        memcpy(copy, data + at, len);
        error = json_scan_feed(s, copy, len);
        free(copy);
    }
    return error ? error : json_scan_end(s);
}

/* Of a bad body only the place of the error is promised. */
static void check_same(const struct json_scan *a, const struct json_scan *b, int error)
{
    must(a->offset == b->offset);
    if (error)
        return;
    must(memcmp(a->found, b->found, sizeof(a->found)) == 0);
    must(memcmp(a->model, b->model, sizeof(a->model)) == 0);
}

/* Whether brackets outside strings are nested too deeply for wharf; for text valid to Jansson. */
static bool too_deep(const char *data, size_t n)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (quoted && data[i] == '\\')
            i++;
        else if (data[i] == '"')
            quoted = !quoted;
        else if (!quoted && (data[i] == '{' || data[i] == '['))
            depth++;
        else if (!quoted && (data[i] == '}' || data[i] == ']'))
            depth--;
        if (depth > JSON_DEPTH_MAX)
            return true;
    }
    return false;
}

static bool known_difference(const json_error_t *e)
{
    enum json_error_code code = json_error_code(e);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           strstr(e->text, "invalid Unicode") != NULL;
}

static bool type_agrees(enum json_type type, const json_t *value)
{
    switch (type) {
    case JSON_TYPE_ABSENT:
        return false;
    case JSON_TYPE_STRING:
        return json_is_string(value);
    case JSON_TYPE_NUMBER:
        return json_is_number(value);
    case JSON_TYPE_TRUE:
        return json_is_true(value);
    case JSON_TYPE_FALSE:
        return json_is_false(value);
    case JSON_TYPE_NULL:
        return json_is_null(value);
    case JSON_TYPE_OBJECT:
        return json_is_object(value);
    case JSON_TYPE_ARRAY:
        return json_is_array(value);
    }
    return false;
}

static void check_model(const struct json_scan *s, const json_t *value)
{
    size_t n = json_string_length(value), kept = n < JSON_TEXT_MAX ? n : JSON_TEXT_MAX;
    must(s->found[JSON_MEMBER_MODEL].text_len == n);
    must(memcmp(s->model, json_string_value(value), kept) == 0 && s->model[kept] == '\0');
}

/* Jansson keeps the last of several members of one name, wharf reports the first. */
static void check_members(const struct json_scan *s, const char *data, size_t n, const json_t *root)
{
    for (int i = 0; i < JSON_MEMBER__COUNT; i++) {
        const struct json_found *f = &s->found[i];
        const json_t *value = json_object_get(root, names[i]);
        must((f->type == JSON_TYPE_ABSENT) == (value == NULL));
        if (!value)
            continue;
        must(f->off < n && f->len > 0 && f->len <= n - f->off);
        json_t *found = json_loadb(data + f->off, f->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        must(found && type_agrees(f->type, found));
        must(f->duplicate || json_equal(found, value));
        if (i == JSON_MEMBER_MODEL && json_is_string(found))
            check_model(s, found);
        json_decref(found);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct json_scan whole, part;
    const char *data = (const char *)input;
    int error = scan_pieces(&whole, data, size, size + 1);
    must(error == 0 || error == -ERR_JSON_INVALID);
    must(whole.offset <= size && (error || whole.offset == size));
    for (size_t piece = 1; piece < 20; piece += 6) {
        must(scan_pieces(&part, data, size, piece) == error);
        check_same(&part, &whole, error);
    }
    json_error_t e;
    json_t *root = json_loadb(data, size, JSON_ALLOW_NUL, &e);
    if (error == 0) {
        must(root || known_difference(&e));
        must(!root || json_is_object(root));
        if (root)
            check_members(&whole, data, size, root);
    } else if (json_is_object(root)) {
        must(too_deep(data, size) || (whole.offset < size && data[whole.offset] == '\0'));
    }
    json_decref(root);
    return 0;
}
