#include "cli/report_fetch.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/date.h"
#include "cli/output.h"

#define PAGE_ROWS 1000
/* What was loaded or held when the window begins came in before it. */
#define BEFORE_NS (UINT64_C(30) * 86400 * NS_PER_S)

/* One kind of record, while its pages are asked for. */
struct pages {
    const struct session *session;
    enum past_kind kind;
    uint64_t from_ns, to_ns;
    struct past *record;
    char *after; /* owned; behind which record, as it stands in a path; NULL: from the first on */
};

static void write_path(const struct pages *p, struct buf *path)
{
    char from[DATE_TEXT_MAX], to[DATE_TEXT_MAX];
    buf_printf(path, "/wharf/history/%s?start=%s&end=%s&order=asc&limit=%d",
               past_kind_text(p->kind), date_format(p->from_ns, from), date_format(p->to_ns, to),
               PAGE_ROWS);
    if (p->after)
        buf_printf(path, "&after=%s", p->after);
}

/* Takes what `next` says; false: there are no more pages. */
static bool go_on(struct pages *p, const json_t *next)
{
    struct buf after = {0};
    if (json_is_integer(next))
        buf_whole(&after, json_integer_value(next));
    else if (json_is_string(next))
        client_encode_segment(&after, json_string_value(next));
    /* A page that leads to itself would never end. */
    bool goes_on = after.len > 0 && (!p->after || strcmp(p->after, after.data) != 0);
    free(p->after);
    p->after = goes_on ? buf_take(&after) : NULL;
    buf_fini(&after);
    return goes_on;
}

static int fetch_page(struct pages *p, bool *ret_more)
{
    struct buf path = {0};
    struct client_reply reply;
    write_path(p, &path);
    const struct client_request rq = {
        .method = "GET", .path = path.data, .silence_ms_max = SESSION_SILENCE_MS_MAX};
    int status = session_fetch(p->session, &rq, "read the history", &reply);
    buf_fini(&path);
    if (status != CLI_DONE)
        return status;
    const json_t *rows = json_object_get(reply.json, past_kind_text(p->kind));
    if (json_is_array(rows)) {
        for (size_t i = 0; i < json_array_size(rows); i++)
            (void)past_take(p->record, p->kind, json_array_get(rows, i));
        *ret_more = go_on(p, json_object_get(reply.json, "next"));
    } else {
        output_complain("report: the daemon's answer has no %s", past_kind_text(p->kind));
        status = CLI_FAILED;
    }
    client_reply_fini(&reply);
    return status;
}

/* An answer's list of that name; NULL with why set. ret: the caller's, whatever comes. */
static json_t *fetch_list(const struct session *s, const char *path, const char *name,
                          struct client_reply *ret, struct err *why)
{
    const struct client_request rq = {
        .method = "GET", .path = path, .silence_ms_max = SESSION_SILENCE_MS_MAX};
    *ret = (struct client_reply){.status = 0};
    if (client_fetch(&s->options, &rq, ret, why) < 0)
        return NULL;
    json_t *list = json_object_get(ret->json, name);
    if (client_reply_ok(ret) && json_is_array(list))
        return list;
    struct buf text = {0};
    client_reply_explain(ret, &text);
    err_set(why, "%.*s", (int)text.len, text.data ? text.data : "");
    buf_fini(&text);
    return NULL;
}

static void set_time(json_t *row, const char *name, uint64_t now_ns, const json_t *age)
{
    char text[DATE_TEXT_MAX];
    double ago_ns = json_number_value(age) * (double)NS_PER_S;
    uint64_t at_ns = ago_ns > 0 && ago_ns < (double)now_ns ? now_ns - (uint64_t)ago_ns : now_ns;
    json_object_set_new(row, name, json_string(date_format(at_ns, text)));
}

/* Leases are in the history when they have ended: those that are held are added as it would have
 * them. */
static void fetch_held(const struct session *s, struct past *r)
{
    struct client_reply reply;
    struct err ignored = {.set =
                              false}; /* the history has been read: it is a report without these */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
    const json_t *list = fetch_list(s, "/wharf/leases", "leases", &reply, &ignored);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *lease = json_array_get(list, i);
        const json_t *granted = json_object_get(lease, "granted_s");
        if (!json_is_number(granted))
            continue;
        json_t *row = json_copy(lease);
        json_int_t bytes = json_integer_value(json_object_get(lease, "bytes"));
        size_t devices = json_array_size(json_object_get(lease, "devices"));
        set_time(row, "asked", now_ns, json_object_get(lease, "since_s"));
        set_time(row, "granted", now_ns, granted);
        json_object_set_new(row, "bytes", json_integer(bytes * (json_int_t)devices));
        (void)past_take(r, PAST_LEASES, row);
        json_decref(row);
    }
    client_reply_fini(&reply);
}

int report_fetch(const struct session *s, uint64_t from_ns, uint64_t to_ns, struct past *r)
{
    int status = CLI_DONE;
    for (int kind = 0; kind < PAST__KINDS && status == CLI_DONE; kind++) {
        uint64_t before_ns = kind == PAST_REQUESTS ? 0 : BEFORE_NS;
        struct pages p = {.session = s,
                          .kind = (enum past_kind)kind,
                          .from_ns = from_ns > before_ns ? from_ns - before_ns : 0,
                          .to_ns = to_ns,
                          .record = r};
        bool more = true;
        while (more && status == CLI_DONE)
            status = fetch_page(&p, &more);
        free(p.after);
    }
    if (status == CLI_DONE)
        fetch_held(s, r);
    return status;
}

static void put_line(struct buf *text, const json_t *line)
{
    const char *words = json_string_value(json_object_get(line, "text"));
    buf_printf(text, "%s\n", words ? words : "");
}

/* 0 where it is not known. */
static json_int_t size_of(const json_t *device)
{
    return json_integer_value(json_object_get(device, "total_bytes"));
}

/* Of one that is away nothing is known, and of the others not whose they would be: all or none. */
static bool are_sized(const json_t *devices)
{
    for (size_t i = 0; i < json_array_size(devices); i++)
        if (size_of(json_array_get(devices, i)) <= 0)
            return false;
    return true;
}

static void put_size(struct buf *sizes, const json_t *device)
{
    json_int_t bytes = size_of(device);
    buf_printf(sizes, "%s%" PRIu64, sizes->len ? "," : "", (uint64_t)bytes);
}

int report_fetch_config(const struct session *s, struct buf *text, struct buf *sizes,
                        struct err *why)
{
    static const struct {
        const char *path, *name;
        void (*put)(struct buf *out, const json_t *item);
    } lists[] = {{"/wharf/config", "lines", put_line}, {"/wharf/devices", "devices", put_size}};
    struct buf *const outs[] = {text, sizes};
    int rc = 0;
    for (size_t i = 0; i < countof(lists) && rc == 0; i++) {
        struct client_reply reply;
        const json_t *list = fetch_list(s, lists[i].path, lists[i].name, &reply, why);
        bool said = lists[i].put != put_size || are_sized(list);
        for (size_t k = 0; said && k < json_array_size(list); k++)
            lists[i].put(outs[i], json_array_get(list, k));
        buf_append(outs[i], "", 0);
        rc = list ? 0 : -1;
        client_reply_fini(&reply);
    }
    return rc;
}
