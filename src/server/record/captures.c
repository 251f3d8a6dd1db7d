#include "server/record/captures.h"

#include <stddef.h>
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

static void forget(struct captures *c)
{
    free(c->ring);
    free(c->items);
    c->ring = NULL;
    c->items = NULL;
    c->at = 0;
    c->first = c->end = c->room = 0;
}

void captures_resize(struct captures *c, uint64_t bytes_max)
{
    if (bytes_max != c->bytes_max || bytes_max == 0)
        forget(c);
    c->bytes_max = bytes_max;
}

uint64_t captures_bytes(const struct captures *c)
{
    if (c->first == c->end)
        return 0;
    size_t from = c->items[c->first].at;
    return from < c->at ? c->at - from : c->bytes_max - from + c->at;
}

void captures_fini(struct captures *c)
{
    must(c->pending == 0);
    forget(c);
}

bool captures_charge(struct captures *c, uint64_t bytes)
{
    if (bytes > c->bytes_max || c->pending > c->bytes_max - bytes)
        return false;
    c->pending += bytes;
    return true;
}

void captures_discharge(struct captures *c, uint64_t bytes)
{
    must(c->pending >= bytes);
    c->pending -= bytes;
}

bool captures_hold(struct captures *c, struct buf *body, const char *data, size_t n)
{
    size_t before = body->cap;
    if (c->pending + n > c->bytes_max)
        return false;
    body->max = c->bytes_max;
    buf_append(body, data, n);
    c->pending += body->cap - before;
    return !body->overflow;
}

void captures_let_go(struct captures *c, struct buf *body)
{
    captures_discharge(c, body->cap);
    buf_fini(body);
}

/* So that whatever is written at the beginning of a part is aligned. */
static size_t aligned(size_t n)
{
    return (n + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

/* Room for n bytes in one piece. What stands there are the oldest: they leave. */
static size_t make_place(struct captures *c, size_t n)
{
    if (c->at + n > c->bytes_max) {
        while (c->first < c->end && c->items[c->first].at >= c->at)
            c->first++;
        c->at = 0;
    }
    while (c->first < c->end && c->items[c->first].at >= c->at && c->items[c->first].at < c->at + n)
        c->first++;
    size_t place = c->at;
    c->at += n;
    return place;
}

static void add_item(struct captures *c, int64_t id, size_t at)
{
    must(c->first == c->end || c->items[c->end - 1].id < id);
    if (c->end == c->room && c->first > c->room / 2) {
        memmove(c->items, c->items + c->first, (c->end - c->first) * sizeof(*c->items));
        c->end -= c->first;
        c->first = 0;
    }
    if (c->end == c->room) {
        c->room = c->room ? c->room * 2 : 64;
        c->items = alloc_grow(c->items, c->room, sizeof(*c->items));
    }
    c->items[c->end++] = (struct capture_item){.id = id, .at = at};
}

struct capture *captures_make(struct captures *c, int64_t id, const struct capture_sizes *sizes)
{
    size_t request_head = aligned(sizeof(struct capture));
    size_t answer_head = request_head + aligned(sizes->request_head);
    size_t request = answer_head + aligned(sizes->answer_head);
    size_t answer = request + sizes->request, n = aligned(answer + sizes->answer);
    if (n > c->bytes_max)
        return NULL;
    if (!c->ring) /* its pages are touched only as far as it fills */
        c->ring = alloc_try(NULL, c->bytes_max, 1);
    if (!c->ring)
        return NULL;
    size_t at = make_place(c, n);
    struct capture *one = (struct capture *)(void *)(c->ring + at);
    *one = (struct capture){
        .id = id,
        .request_head = (struct http_head *)(void *)(c->ring + at + request_head),
        .request = c->ring + at + request,
        .request_bytes = sizes->request,
        .answer = c->ring + at + answer,
        .answer_bytes = sizes->answer,
    };
    if (sizes->answer_head)
        one->answer_head = (struct http_head *)(void *)(c->ring + at + answer_head);
    add_item(c, id, at);
    return one;
}

const struct capture *captures_find(const struct captures *c, int64_t id)
{
    uint32_t low = c->first, high = c->end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c->items[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < c->end && c->items[low].id == id;
    return found ? (const struct capture *)(const void *)(c->ring + c->items[low].at) : NULL;
}
