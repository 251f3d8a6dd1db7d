#include "server/captures.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"

static const struct mask {
    const char *path;
    bool no_request, no_answer;
} masks[] = {
    {.path = "/v1/audio/speech", .no_answer = true},
    {.path = "/v1/images/generations", .no_answer = true},
    {.path = "/sdapi/v1/txt2img", .no_answer = true},
    {.path = "/v1/audio/voices", .no_request = true},
    {.path = "/v1/audio/transcriptions", .no_request = true},
    {.path = "/v1/images/edits", .no_request = true, .no_answer = true},
    {.path = "/sdapi/v1/img2img", .no_request = true, .no_answer = true},
};

/* NULL: everything is captured. */
static const struct mask *find_mask(const char *path, size_t n)
{
    for (size_t i = 0; i < countof(masks); i++)
        if (strlen(masks[i].path) == n && memcmp(masks[i].path, path, n) == 0)
            return &masks[i];
    return NULL;
}

bool captures_request_body(const char *path, size_t n)
{
    const struct mask *m = find_mask(path, n);
    return !m || !m->no_request;
}

bool captures_answer_body(const char *path, size_t n)
{
    const struct mask *m = find_mask(path, n);
    return !m || !m->no_answer;
}

void captures_init(struct captures *c, uint64_t bytes_max)
{
    *c = (struct captures){.bytes_max = bytes_max};
}

void captures_drop(struct captures *c, struct capture *one)
{
    if (!one)
        return;
    c->bytes -= one->bytes;
    free(one->request_head);
    free(one->answer_head);
    buf_fini(&one->request);
    buf_fini(&one->answer);
    free(one);
}

/* The oldest leave until the bound holds. False: it does not even without them. */
static bool make_room(struct captures *c)
{
    while (c->bytes > c->bytes_max && c->first < c->end)
        captures_drop(c, c->items[c->first++]);
    return c->bytes <= c->bytes_max;
}

void captures_resize(struct captures *c, uint64_t bytes_max)
{
    c->bytes_max = bytes_max;
    (void)make_room(c);
}

void captures_fini(struct captures *c)
{
    captures_resize(c, 0);
    must(c->bytes == 0);
    free(c->items);
}

static void charge(struct captures *c, struct capture *one, uint64_t bytes)
{
    one->bytes += bytes;
    c->bytes += bytes;
}

struct capture *captures_begin(struct captures *c, size_t head_bytes)
{
    if (c->bytes_max == 0)
        return NULL;
    struct capture *one = alloc_zeroed(1, sizeof(*one));
    charge(c, one, sizeof(*one) + head_bytes);
    if (make_room(c))
        return one;
    captures_drop(c, one);
    return NULL;
}

bool captures_add(struct captures *c, struct capture *one, struct buf *body, const char *data,
                  size_t n)
{
    size_t before = body->cap;
    bool fits = one->bytes + n <= c->bytes_max;
    if (fits) {
        buf_append(body, data, n);
        charge(c, one, body->cap - before);
        fits = one->bytes <= c->bytes_max && make_room(c);
    }
    if (!fits)
        captures_drop(c, one);
    return fits;
}

void captures_keep(struct captures *c, struct capture *one, int64_t id)
{
    must(c->first == c->end || c->items[c->end - 1]->id < id);
    if (c->end == c->room && c->first > c->room / 2) {
        memmove(c->items, c->items + c->first, (c->end - c->first) * sizeof(struct capture *));
        c->end -= c->first;
        c->first = 0;
    }
    if (c->end == c->room) {
        c->room = c->room ? c->room * 2 : 64;
        c->items = alloc_grow(c->items, c->room, sizeof(struct capture *));
    }
    one->id = id;
    c->items[c->end++] = one;
    (void)make_room(c); /* the bound may be another by now */
}

const struct capture *captures_find(const struct captures *c, int64_t id)
{
    uint32_t low = c->first, high = c->end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c->items[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->end && c->items[low]->id == id ? c->items[low] : NULL;
}
