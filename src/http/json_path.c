#include "http/json_path.h"

#include <stdlib.h>
#include <string.h>

#include "base/pure/errors.h"
#include "http/json.h"

#define PARTS_MAX (JSON_PATH_MAX - 1)
/* Elements that a single change may fill with null; more is a slip, not a wish. */
#define PLACE_MAX 65535

/* The scanner takes objects: whatever the text is, it is scanned as the only member of one. */
#define WRAP_BEFORE "{\"\":"
#define WRAP_AFTER "}"
#define WRAP_BYTES (sizeof(WRAP_BEFORE) - 1)

struct part {
    size_t at, len; /* of the path's names */
    int32_t place;  /* in an array; JSON_LAST; JSON_NO_INDEX: none */
    bool forced;    /* makes a name, where something is to be made */
};

struct path {
    struct buf names;
    struct part parts[PARTS_MAX];
    uint32_t count;
};

const char *json_path_first(const char *path, struct buf *name)
{
    if (*path == ':')
        path++;
    for (; *path; path++) {
        if (*path == '.')
            return path + 1;
        if (*path == '\\' && path[1])
            path++;
        buf_char(name, *path);
    }
    return NULL;
}

static int32_t place_of(const char *name, size_t n)
{
    if (n == 2 && memcmp(name, "-1", 2) == 0)
        return JSON_LAST;
    if (n == 0 || n > 5)
        return JSON_NO_INDEX;
    int32_t place = 0;
    for (size_t i = 0; i < n; i++) {
        if (name[i] < '0' || name[i] > '9')
            return JSON_NO_INDEX;
        place = 10 * place + (name[i] - '0');
    }
    return place <= PLACE_MAX ? place : JSON_NO_INDEX;
}

static bool parse(const char *text, struct path *p)
{
    while (text && p->count < PARTS_MAX) {
        struct part *part = &p->parts[p->count++];
        part->forced = *text == ':';
        part->at = p->names.len;
        text = json_path_first(text, &p->names);
        part->len = p->names.len - part->at;
        part->place = part->len ? place_of(p->names.data + part->at, part->len) : JSON_NO_INDEX;
    }
    return text == NULL;
}

/* Looks for the first `count` parts; the last at that place, unless it is JSON_NO_INDEX. */
static void look(const struct buf *text, const struct path *p, uint32_t count, bool taking,
                 struct json_want *ret)
{
    struct json_step steps[JSON_PATH_MAX] = {JSON_NAME("")};
    struct json_scan scan;
    for (uint32_t i = 0; i < count; i++) {
        const struct part *part = &p->parts[i];
        /* Setting -1 is for one that is not there yet. */
        bool none = part->place == JSON_LAST && (!taking || part->forced);
        steps[i + 1] = (struct json_step){.name = part->len ? p->names.data + part->at : "",
                                          .name_len = (uint32_t)part->len,
                                          .index = none ? JSON_NO_INDEX : part->place};
    }
    *ret = (struct json_want){.path = steps, .steps = count + 1};
    json_scan_init(&scan, ret, 1);
    must(json_scan_feed(&scan, WRAP_BEFORE, WRAP_BYTES) == 0);
    must(json_scan_feed(&scan, text->data, text->len) == 0);
    must(json_scan_feed(&scan, WRAP_AFTER, sizeof(WRAP_AFTER) - 1) == 0);
    must(json_scan_end(&scan) == 0);
    ret->path = NULL;
}

/* How many elements the array has that the first `count` parts lead to, `most` at most. */
static uint32_t count_elements(const struct buf *text, struct path *p, uint32_t count, int32_t most)
{
    struct part kept = p->parts[count];
    uint32_t low = 0, high = (uint32_t)most;
    while (low < high) { /* those below low are there, that of high is not */
        uint32_t middle = low + (high - low) / 2;
        struct json_want w;
        p->parts[count].place = (int32_t)middle;
        look(text, p, count + 1, false, &w);
        if (w.type == JSON_TYPE_ABSENT)
            high = middle;
        else
            low = middle + 1;
    }
    p->parts[count] = kept;
    return low;
}

static bool is_element(const struct part *part)
{
    return !part->forced && part->place != JSON_NO_INDEX;
}

static void put_name(struct buf *out, const struct path *p, uint32_t i)
{
    const struct part *part = &p->parts[i];
    buf_json(out, part->len ? p->names.data + part->at : "", part->len);
    buf_char(out, ':');
}

static void put_nulls(struct buf *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        buf_text(out, "null,");
}

/* The value within what the parts from `from` on have to make. */
static void build(struct buf *out, const struct path *p, uint32_t from, const char *json)
{
    char ends[PARTS_MAX];
    uint32_t open = 0;
    for (uint32_t i = from; i < p->count; i++) {
        bool element = is_element(&p->parts[i]);
        buf_char(out, element ? '[' : '{');
        ends[open++] = element ? ']' : '}';
        if (element)
            put_nulls(out, p->parts[i].place); /* none for the last */
        else
            put_name(out, p, i);
    }
    buf_text(out, json);
    while (open)
        buf_char(out, ends[--open]);
}

static void splice(struct buf *text, uint64_t off, uint64_t end, const struct buf *by)
{
    struct buf out = {0};
    buf_append(&out, text->data, (size_t)off - WRAP_BYTES);
    if (by)
        buf_append(&out, by->data, by->len);
    buf_append(&out, text->data + (end - WRAP_BYTES), text->len - (size_t)(end - WRAP_BYTES));
    buf_fini(text);
    *text = out;
}

static void take_out(struct buf *text, const struct json_want *w)
{
    uint64_t end = w->off + w->len;
    if (w->before)
        splice(text, w->before, end, NULL);
    else
        splice(text, w->name_off, w->after ? w->after + 1 : end, NULL);
}

/* Makes what is missing in the container of w. False: it is an array, and the part no place. */
static bool append(struct buf *text, struct path *p, const struct json_want *w, const char *json)
{
    const struct json_container *in = &w->inner;
    uint32_t at = in->steps - 1; /* the first step is the wrapping's */
    const struct part *part = &p->parts[at];
    struct buf piece = {0};
    if (in->array && !is_element(part))
        return false;
    if (!in->empty)
        buf_char(&piece, ',');
    if (!in->array)
        put_name(&piece, p, at);
    else if (part->place > 0)
        put_nulls(&piece, part->place - (int32_t)count_elements(text, p, at, part->place));
    build(&piece, p, at + 1, json);
    splice(text, in->close, in->close, &piece);
    buf_fini(&piece);
    return true;
}

static bool set(struct buf *text, struct path *p, const struct json_want *found, const char *json)
{
    struct buf piece = {0};
    struct json_want w = *found;
    uint32_t steps = p->count;
    if (w.type == JSON_TYPE_ABSENT) {
        /* What stands in the way is neither object nor array, or nothing does. */
        steps = w.inner.steps;
        look(text, p, steps, false, &w);
        if (w.type == JSON_TYPE_ABSENT)
            return append(text, p, found, json);
    }
    build(&piece, p, steps, json);
    splice(text, w.off, w.off + w.len, &piece);
    buf_fini(&piece);
    return true;
}

static bool change(struct buf *text, struct path *p, const char *json)
{
    struct json_want w;
    look(text, p, p->count, !json, &w);
    if (w.duplicate)
        return false;
    if (json)
        return set(text, p, &w, json);
    if (w.type != JSON_TYPE_ABSENT)
        take_out(text, &w);
    return true;
}

int json_path_change(struct buf *text, const char *path, const char *json)
{
    struct path p = {0};
    bool done = parse(path, &p);
    if (done && text->len == 0 && json)
        build(text, &p, 0, json);
    else if (done)
        done = change(text, &p, json);
    buf_fini(&p.names);
    return done ? 0 : -ERR_BODY_INVALID;
}
