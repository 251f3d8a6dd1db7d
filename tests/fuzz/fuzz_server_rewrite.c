/* The first line of the input chooses filters, a letter each; the rest is a body. What they make of
 * it must be valid, and the same as what they make of Jansson's tree of it. The tree is changed by
 * the meaning of the paths as llama-swap documents it, written down here once more. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "http/json.h"
#include "server/proxy/body.h"
#include "server/proxy/rewrite.h"
#include "server/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define OPS_MAX 16
#define STEPS_MAX 4
#define LAST (-1) /* the last element; when setting, one behind it */
#define NO_PLACE (-2)

struct step {
    const char *name;
    int place;
};

static const struct op {
    const char *path, *json; /* NULL: taken out */
    struct step steps[STEPS_MAX];
    size_t count;
} ops[] = {
    {"a", NULL, {{"a", NO_PLACE}}, 1},
    {"b", NULL, {{"b", NO_PLACE}}, 1},
    {"a", "1", {{"a", NO_PLACE}}, 1},
    {"b", "{\"c\":[]}", {{"b", NO_PLACE}}, 1},
    {"a.b", "2", {{"a", NO_PLACE}, {"b", NO_PLACE}}, 2},
    {"a.b", NULL, {{"a", NO_PLACE}, {"b", NO_PLACE}}, 2},
    {"a.1", "3", {{"a", NO_PLACE}, {"1", 1}}, 2},
    {"a.0", NULL, {{"a", NO_PLACE}, {"0", 0}}, 2},
    {"a.-1", "4", {{"a", NO_PLACE}, {"-1", LAST}}, 2},
    {"a.-1", NULL, {{"a", NO_PLACE}, {"-1", LAST}}, 2},
    {"b.c.2.d", "5", {{"b", NO_PLACE}, {"c", NO_PLACE}, {"2", 2}, {"d", NO_PLACE}}, 4},
    {"b.c.0", NULL, {{"b", NO_PLACE}, {"c", NO_PLACE}, {"0", 0}}, 3},
    {"c\\.d", "6", {{"c.d", NO_PLACE}}, 1},
    {"", "7", {{"", NO_PLACE}}, 1},
    {"\xc3\xa9.b", "\"\\n\"", {{"\xc3\xa9", NO_PLACE}, {"b", NO_PLACE}}, 2},
};

static json_t *parse(const char *text, size_t n)
{
    json_error_t error;
    return json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
}

static json_t *build(const struct step *steps, size_t count, json_t *value)
{
    for (size_t i = count; i-- > 0;) {
        json_t *outer = steps[i].place == NO_PLACE ? json_object() : json_array();
        if (steps[i].place == NO_PLACE)
            json_object_set_new(outer, steps[i].name, value);
        for (int k = 0; k < steps[i].place; k++)
            json_array_append_new(outer, json_null());
        if (steps[i].place != NO_PLACE)
            json_array_append_new(outer, value);
        value = outer;
    }
    return value;
}

/* The value in place of `at`, whose reference it takes. NULL: it cannot be set; value is lost. */
static json_t *set(json_t *at, const struct step *steps, size_t count, json_t *value)
{
    json_t *child, *made;
    if (count == 0 || (!json_is_object(at) && !json_is_array(at))) {
        json_decref(at);
        return build(steps, count, value);
    }
    if (json_is_object(at)) {
        child = json_incref(json_object_get(at, steps->name));
        made = child ? set(child, steps + 1, count - 1, value) : build(steps + 1, count - 1, value);
        if (made)
            json_object_set_new(at, steps->name, made);
    } else if (steps->place >= 0 && (size_t)steps->place < json_array_size(at)) {
        child = json_incref(json_array_get(at, (size_t)steps->place));
        made = set(child, steps + 1, count - 1, value);
        if (made)
            json_array_set_new(at, (size_t)steps->place, made);
    } else if (steps->place != NO_PLACE) {
        while (steps->place > 0 && json_array_size(at) < (size_t)steps->place)
            json_array_append_new(at, json_null());
        made = build(steps + 1, count - 1, value);
        json_array_append_new(at, made);
    } else {
        made = NULL;
        json_decref(value);
    }
    if (made)
        return at;
    json_decref(at);
    return NULL;
}

static void take_out(json_t *at, const struct step *steps, size_t count)
{
    size_t n = json_array_size(at);
    size_t place =
        steps->place == LAST ? n - 1 : (size_t)steps->place; /* far off when there is none */
    if (count > 1 && json_is_object(at))
        take_out(json_object_get(at, steps->name), steps + 1, count - 1);
    else if (count > 1 && place < n)
        take_out(json_array_get(at, place), steps + 1, count - 1);
    else if (count == 1 && json_is_object(at))
        json_object_del(at, steps->name);
    else if (count == 1 && place < n)
        json_array_remove(at, place);
}

/* NULL: something cannot be set. */
static json_t *change_tree(json_t *tree, const struct op *const *chosen, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!chosen[i]->json)
            take_out(tree, chosen[i]->steps, chosen[i]->count);
    for (size_t i = 0; i < count && tree; i++)
        if (chosen[i]->json)
            tree = set(tree, chosen[i]->steps, chosen[i]->count,
                       parse(chosen[i]->json, strlen(chosen[i]->json)));
    return tree;
}

static bool is_valid(const char *text, size_t n)
{
    struct json_scan scan;
    json_scan_init(&scan, NULL, 0);
    return json_scan_feed(&scan, text, n) == 0 && json_scan_end(&scan) == 0;
}

static char *text_of(const char *text)
{
    union {
        const char *from;
        char *to;
    } same = {text};
    return same.to;
}

static int rewrite(struct body *b, const struct op *const *chosen, size_t count)
{
    static char scratch[SERVER_SCRATCH_BYTES];
    char *strip[OPS_MAX];
    struct config_param set[OPS_MAX];
    struct config_filters f = {.strip = {.items = strip}, .set = {.items = set}};
    struct buf why = {0};
    for (size_t i = 0; i < count; i++) {
        if (chosen[i]->json)
            set[f.set.count++] =
                (struct config_param){text_of(chosen[i]->path), text_of(chosen[i]->json)};
        else
            strip[f.strip.count++] = text_of(chosen[i]->path);
    }
    int rc = rewrite_body(b, &f, "x", NULL, scratch, &why);
    must((rc < 0) == (why.len > 0));
    buf_fini(&why);
    return rc;
}

static void check(struct body *b, const struct op *const *chosen, size_t count)
{
    char scratch[16];
    struct buf out = {0};
    size_t n = 1;
    int rc = rewrite(b, chosen, count);
    must(rc == 0 || b->edit_count == 0);
    for (uint64_t at = 0; n; at += n) {
        const char *data;
        must(body_peek(b, at, scratch, sizeof(scratch), &data, &n) == 0);
        buf_append(&out, data, n);
    }
    must(is_valid(out.data, out.len));
    json_t *tree = parse(b->memory, (size_t)b->size); /* NULL: what Jansson does not take */
    if (tree) {
        json_t *got = parse(out.data, out.len), *want = change_tree(tree, chosen, count);
        must((want == NULL) == (rc < 0));
        must(!want || json_equal(got, want));
        json_decref(got);
        json_decref(want);
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    const char *text = (const char *)input, *line = size ? memchr(text, '\n', size) : NULL;
    const struct op *chosen[OPS_MAX];
    struct body_budget budget = {.folder = "/tmp", .spooled_max = 0, .body_max = BODY_MEMORY_MAX};
    struct body b;
    if (!line || line - text > OPS_MAX)
        return 0;
    size_t count = (size_t)(line - text), n = size - count - 1;
    for (size_t i = 0; i < count; i++)
        chosen[i] = &ops[input[i] % countof(ops)];
    if (n > BODY_MEMORY_MAX || !is_valid(line + 1, n))
        return 0;
    body_init(&b, &budget);
    must(body_append(&b, line + 1, n, 0) == 0);
    check(&b, chosen, count);
    body_fini(&b);
    return 0;
}
