/* All changes are worked out member by member of the body's object, in their order, before the
 * first edit is made: an edit is of the original bytes, and no two may take the same. */
#include "server/proxy/rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/errors.h"
#include "http/json.h"
#include "http/json_path.h"
#include "server/proxy/body.h"
#include "server/server.h"

/* A member of the body's object that some path begins with. */
struct member {
    struct buf name;
    struct json_step step;
    uint64_t off, len, name_off, before, after; /* where it stands in the body */
    bool found;                                 /* it stands there */
    bool kept;                                  /* what stands there stays, perhaps changed */
    bool is_set;                                /* `value` is what it comes to */
    struct buf value;
    uint32_t order; /* !kept: among those that come behind the others; 0: it is not there */
};

struct rewrite {
    struct body *body;
    char *scratch;
    struct buf *why;
    struct member *members; /* owned */
    uint32_t count, cap;
    uint32_t appended;
    uint64_t close; /* of the body's object */
    bool empty;
};

/* Calls act for each change, in order; json NULL: what is there is taken out. */
static int each_change(struct rewrite *r, const struct config_filters *f, const char *name,
                       int (*act)(struct rewrite *r, const char *path, const char *json))
{
    const struct config_variant *v = config_find_variant(f, name);
    const struct config_params *sets[] = {&f->set, v ? &v->set : NULL};
    int rc = 0;
    for (uint32_t i = 0; i < f->strip.count && rc == 0; i++)
        rc = act(r, f->strip.items[i], NULL);
    for (uint32_t k = 0; k < countof(sets); k++)
        for (uint32_t i = 0; sets[k] && i < sets[k]->count && rc == 0; i++)
            rc = act(r, sets[k]->items[i].name, sets[k]->items[i].json);
    return rc;
}

static struct member *member_of(struct rewrite *r, const struct buf *name)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->members[i].name.len == name->len &&
            (name->len == 0 || memcmp(r->members[i].name.data, name->data, name->len) == 0))
            return &r->members[i];
    return NULL;
}

/* Takes the name. */
static void note_name(struct rewrite *r, struct buf *name)
{
    if (member_of(r, name)) {
        buf_fini(name);
        return;
    }
    if (r->count == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 8;
        r->members = alloc_grow(r->members, r->cap, sizeof(*r->members));
    }
    r->members[r->count++] = (struct member){.name = *name};
}

static int note_member(struct rewrite *r, const char *path, const char *json)
{
    struct buf name = {0};
    (void)json;
    json_path_first(path, &name);
    note_name(r, &name);
    return 0;
}

/* ---- looking ---- */

static int feed_body(struct rewrite *r, struct json_scan *scan)
{
    const char *data;
    size_t n = 1;
    for (uint64_t at = 0; n; at += n) {
        int rc = body_peek(r->body, at, r->scratch, SERVER_SCRATCH_BYTES, &data, &n);
        if (rc == 0)
            rc = json_scan_feed(scan, data, n);
        if (rc < 0)
            return rc;
    }
    return json_scan_end(scan);
}

static int fail_member(struct rewrite *r, const struct member *m, const char *what)
{
    buf_text(r->why, "the model's filters change ");
    buf_json(r->why, m->name.len ? m->name.data : "", m->name.len);
    buf_text(r->why, what);
    return -ERR_BODY_INVALID;
}

static int look_some(struct rewrite *r, struct member *members, uint32_t count)
{
    struct json_want wants[JSON_WANTS_MAX];
    struct json_scan scan;
    for (uint32_t i = 0; i < count; i++) {
        struct member *m = &members[i];
        m->step = (struct json_step){.name = m->name.len ? m->name.data : "",
                                     .name_len = (uint32_t)m->name.len,
                                     .index = JSON_NO_INDEX};
        wants[i] = (struct json_want){.path = &m->step, .steps = 1};
    }
    json_scan_init(&scan, wants, count);
    int rc = feed_body(r, &scan);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        const struct json_want *w = &wants[i];
        struct member *m = &members[i];
        /* The next server may take either. */
        if (w->duplicate)
            rc = fail_member(r, m, ", which stands twice in the body");
        m->found = m->kept = w->type != JSON_TYPE_ABSENT;
        m->off = w->off;
        m->len = w->len;
        m->name_off = w->name_off;
        m->before = w->before;
        m->after = w->after;
        r->close = w->inner.close;
        r->empty = w->inner.empty;
    }
    return rc;
}

static int look(struct rewrite *r)
{
    int rc = 0;
    for (uint32_t at = 0; at < r->count && rc == 0; at += JSON_WANTS_MAX) {
        uint32_t left = r->count - at;
        rc = look_some(r, &r->members[at], left < JSON_WANTS_MAX ? left : JSON_WANTS_MAX);
    }
    return rc;
}

/* ---- changing ---- */

static int read_value(struct rewrite *r, struct member *m)
{
    if (m->len > REWRITE_VALUE_MAX) {
        fail_member(r, m, ", which is too large for that");
        return -ERR_BODY_TOO_LARGE;
    }
    m->value.max = REWRITE_VALUE_MAX;
    while (m->value.len < m->len) {
        const char *data;
        size_t n, left = (size_t)m->len - m->value.len;
        int rc =
            body_peek(r->body, m->off + m->value.len, r->scratch, SERVER_SCRATCH_BYTES, &data, &n);
        if (rc < 0)
            return rc;
        buf_append(&m->value, data, n < left ? n : left);
        if (m->value.overflow)
            return -ERR_OVERLOADED;
    }
    m->value.max = 0; /* it is about to grow by what the configuration says */
    m->is_set = true;
    return 0;
}

/* It is there from now on; if it was not, behind all the others. */
static void put_there(struct rewrite *r, struct member *m)
{
    if (!m->kept && m->order == 0)
        m->order = ++r->appended;
    m->is_set = true;
}

static int change_member(struct rewrite *r, const char *path, const char *json)
{
    struct buf name = {0};
    const char *rest = json_path_first(path, &name);
    struct member *m = member_of(r, &name);
    buf_fini(&name);
    bool there = m->kept || m->order;
    if (!there && !json)
        return 0;
    if (!rest) {
        buf_clear(&m->value);
        if (json) {
            buf_text(&m->value, json);
            put_there(r, m);
        } else {
            m->kept = m->is_set = false;
            m->order = 0;
        }
        return 0;
    }
    int rc = there && !m->is_set ? read_value(r, m) : 0;
    if (rc == 0 && json_path_change(&m->value, rest, json) < 0)
        rc = fail_member(r, m, ", which is not made in the way that they need");
    if (rc == 0)
        put_there(r, m);
    return rc;
}

static void fall_back(struct rewrite *r, const struct rewrite_fallback *fallback)
{
    struct buf name = {0};
    buf_text(&name, fallback->name);
    struct member *m = member_of(r, &name);
    buf_fini(&name);
    if ((m->kept || m->order) && !fallback->always)
        return;
    buf_clear(&m->value);
    buf_text(&m->value, fallback->json);
    put_there(r, m);
}

/* ---- splicing ---- */

static int by_place(const void *pa, const void *pb)
{
    const struct member *a = pa, *b = pb;
    if (a->found != b->found)
        return a->found ? -1 : 1;
    return a->off < b->off ? -1 : a->off > b->off;
}

static int by_order(const void *pa, const void *pb)
{
    const struct member *a = pa, *b = pb;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Those that go take the comma before them with them, unless all before them go as well: then the
 * one behind them. Returns whether a member of the original is left. */
static bool edit_places(struct rewrite *r)
{
    bool first = true, left = !r->empty;
    uint64_t comma = 0; /* while `first`: the one that the last took */
    qsort(r->members, r->count, sizeof(*r->members), by_place);
    for (uint32_t i = 0; i < r->count && r->members[i].found; i++) {
        const struct member *m = &r->members[i];
        uint64_t end = m->off + m->len;
        if (m->kept) {
            if (m->is_set)
                body_edit(r->body, m->off, m->len, m->value.data, m->value.len);
            continue;
        }
        first = first && m->before == comma;
        if (first) {
            comma = m->after;
            left = left && m->after;
            body_edit(r->body, m->name_off, (m->after ? m->after + 1 : end) - m->name_off, "", 0);
        } else {
            body_edit(r->body, m->before, end - m->before, "", 0);
        }
    }
    return left;
}

static void edit(struct rewrite *r)
{
    struct buf piece = {0};
    bool comma = edit_places(r);
    qsort(r->members, r->count, sizeof(*r->members), by_order);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct member *m = &r->members[i];
        if (!m->order)
            continue;
        if (comma)
            buf_char(&piece, ',');
        buf_json(&piece, m->name.len ? m->name.data : "", m->name.len);
        buf_char(&piece, ':');
        buf_append(&piece, m->value.data, m->value.len);
        comma = true;
    }
    if (piece.len)
        body_edit(r->body, r->close, 0, piece.data, piece.len);
    buf_fini(&piece);
}

bool rewrite_is_needed(const struct config_filters *f, const char *name)
{
    return f->strip.count || f->set.count || config_find_variant(f, name);
}

int rewrite_body(struct body *body, const struct config_filters *f, const char *name,
                 const struct rewrite_fallback *fallback, char *scratch, struct buf *why)
{
    struct rewrite r = {.body = body, .scratch = scratch, .why = why};
    int rc = each_change(&r, f, name, note_member);
    for (const struct rewrite_fallback *b = fallback; b; b = b->next) {
        struct buf text = {0};
        buf_text(&text, b->name);
        note_name(&r, &text);
    }
    if (rc == 0)
        rc = look(&r);
    if (rc == 0)
        rc = each_change(&r, f, name, change_member);
    for (; rc == 0 && fallback; fallback = fallback->next)
        fall_back(&r, fallback);
    if (rc == 0 && r.count)
        edit(&r);
    for (uint32_t i = 0; i < r.count; i++) {
        buf_fini(&r.members[i].name);
        buf_fini(&r.members[i].value);
    }
    free(r.members);
    return rc;
}
