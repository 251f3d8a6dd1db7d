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

#include "base/pure/check.h"
#include "base/pure/errors.h"
#include "http/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define TEXT_MAX 512
#define STEPS_MAX 3

/* What is looked for: what requests need, and paths of every kind. */
static const struct json_step paths[][STEPS_MAX] = {
    {JSON_NAME("model")},
    {JSON_NAME("stream")},
    {JSON_NAME("a"), JSON_NAME("b")},
    {JSON_NAME("a"), {"1", 1, 1}},
    {JSON_NAME("a"), {"-1", 2, JSON_LAST}, JSON_NAME("a")},
    {JSON_NAME("messages"), {"-1", 2, JSON_LAST}, JSON_NAME("content")},
};

struct looked {
    struct json_scan scan;
    struct json_want wants[countof(paths)];
    char model[TEXT_MAX + 1];
};

static void begin(struct looked *l)
{
    memset(l, 0, sizeof(*l));
    for (size_t i = 0; i < countof(paths); i++) {
        l->wants[i].path = paths[i];
        while (l->wants[i].steps < STEPS_MAX && paths[i][l->wants[i].steps].name)
            l->wants[i].steps++;
    }
    l->wants[0].text = l->model;
    l->wants[0].text_size = sizeof(l->model);
    json_scan_init(&l->scan, l->wants, countof(paths));
}

static int scan_pieces(struct looked *l, const char *data, size_t n, size_t piece)
{
    begin(l);
    int error = 0;
    for (size_t at = 0; at < n && error == 0; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        /* A copy of its own, so that a sanitizer sees a byte too many. */
        char *copy = malloc(len);
        must(copy != NULL);
        memcpy(copy, data + at, len);
        error = json_scan_feed(&l->scan, copy, len);
        free(copy);
    }
    return error ? error : json_scan_end(&l->scan);
}

/* Of a bad body only the place of the error is promised. */
static void check_same(const struct looked *a, const struct looked *b, int error)
{
    must(a->scan.offset == b->scan.offset);
    for (size_t i = 0; error == 0 && i < countof(paths); i++) {
        const struct json_want *x = &a->wants[i], *y = &b->wants[i];
        must(x->type == y->type && x->duplicate == y->duplicate && x->off == y->off &&
             x->len == y->len && x->name_off == y->name_off && x->before == y->before &&
             x->after == y->after && x->text_len == y->text_len);
        must(x->inner.steps == y->inner.steps && x->inner.close == y->inner.close &&
             x->inner.array == y->inner.array && x->inner.empty == y->inner.empty);
    }
    if (error == 0)
        must(strcmp(a->model, b->model) == 0);
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

static void check_model(const struct looked *l, const json_t *value)
{
    size_t n = json_string_length(value), kept = n < TEXT_MAX ? n : TEXT_MAX;
    must(l->wants[0].text_len == n);
    must(memcmp(l->model, json_string_value(value), kept) == 0 && l->model[kept] == '\0');
}

static json_t *step_into(json_t *value, const struct json_step *step)
{
    if (json_is_object(value))
        return json_object_get(value, step->name);
    size_t n = json_array_size(value); /* 0 for what is no array */
    if (step->index == JSON_LAST)
        return n ? json_array_get(value, n - 1) : NULL;
    return step->index >= 0 ? json_array_get(value, (size_t)step->index) : NULL;
}

/* Steps of the path that lead to a container, beginning with the body itself. */
static void check_inner(const struct json_want *w, const char *data, json_t *root)
{
    json_t *at = root, *inner = root;
    uint32_t steps = 0;
    for (uint32_t i = 0; at && i < w->steps; i++) {
        if (json_is_object(at) || json_is_array(at)) {
            inner = at;
            steps = i;
        }
        at = step_into(at, &w->path[i]);
    }
    must(w->inner.steps == steps && w->inner.array == json_is_array(inner));
    must(data[w->inner.close] == (w->inner.array ? ']' : '}'));
    must(w->inner.empty ==
         (w->inner.array ? json_array_size(inner) == 0 : json_object_size(inner) == 0));
}

/* The bytes around what was found are what they are said to be. */
static void check_place(const struct json_want *w, const char *data, size_t n)
{
    must(w->off < n && w->len > 0 && w->len <= n - w->off && w->name_off <= w->off);
    must(w->name_off == w->off || data[w->name_off] == '"');
    must(w->before == 0 || (w->before < w->name_off && data[w->before] == ','));
    must(w->after == 0 || (w->after >= w->off + w->len && data[w->after] == ','));
}

/* Jansson keeps the last of several members of one name, wharf reports the first. */
static void check_wants(const struct looked *l, const char *data, size_t n, json_t *root)
{
    for (size_t i = 0; i < countof(paths); i++) {
        const struct json_want *w = &l->wants[i];
        json_t *value = root;
        for (uint32_t k = 0; value && k < w->steps; k++)
            value = step_into(value, &w->path[k]);
        if (!w->duplicate) {
            must((w->type == JSON_TYPE_ABSENT) == (value == NULL));
            check_inner(w, data, root);
        }
        if (w->type == JSON_TYPE_ABSENT)
            continue;
        check_place(w, data, n);
        json_t *found = json_loadb(data + w->off, w->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        must(found && type_agrees(w->type, found));
        must(w->duplicate || json_equal(found, value));
        if (i == 0 && json_is_string(found))
            check_model(l, found);
        json_decref(found);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct looked whole, part;
    const char *data = (const char *)input;
    int error = scan_pieces(&whole, data, size, size + 1);
    must(error == 0 || error == -ERR_JSON_INVALID);
    must(whole.scan.offset <= size && (error || whole.scan.offset == size));
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
            check_wants(&whole, data, size, root);
    } else if (json_is_object(root)) {
        must(too_deep(data, size) || (whole.scan.offset < size && data[whole.scan.offset] == '\0'));
    }
    json_decref(root);
    return 0;
}
