#include "server/handover/message.h"

#include <stdio.h>
#include <string.h>

#include "server/proxy/given.h"
#include "store/archive_row.h"
#include "store/store.h"

const char *message_text(const json_t *msg, const char *name)
{
    const char *text = json_string_value(json_object_get(msg, name));
    return text ? text : "";
}

uint64_t message_number(const json_t *msg, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(msg, name));
}

bool message_flag(const json_t *msg, const char *name)
{
    return json_is_true(json_object_get(msg, name));
}

static bool is(const json_t *msg, const char *type)
{
    return strcmp(message_text(msg, "type"), type) == 0;
}

static json_t *make(const char *type)
{
    return json_pack("{ss}", "type", type);
}

static void put_number(json_t *msg, const char *name, uint64_t value)
{
    json_object_set_new(msg, name, json_integer((json_int_t)value));
}

static void put_flag(json_t *msg, const char *name, bool value)
{
    json_object_set_new(msg, name, json_boolean(value));
}

/* What is no UTF-8 is left out. */
static void put_text(json_t *msg, const char *name, const char *text)
{
    json_object_set_new(msg, name, json_string(text));
}

/* ---- connections ---- */

json_t *message_client(const struct given_client *g)
{
    json_t *m = make("client");
    put_flag(m, "unix", g->is_unix);
    put_flag(m, "local", g->is_local);
    put_flag(m, "tls", g->tls);
    put_flag(m, "ollama", g->ollama);
    put_flag(m, "userKnown", g->user.known);
    put_number(m, "uid", g->user.uid);
    put_number(m, "pid", (uint64_t)g->user.pid);
    put_text(m, "peer", g->peer);
    put_number(m, "sinceNs", g->request.since_ns);
    put_flag(m, "begun", g->request.begun);
    put_flag(m, "chunked", g->request.chunked);
    put_flag(m, "late", g->request.late);
    put_flag(m, "upgrade", g->request.upgrade);
    put_text(m, "leaseId", g->request.lease_id);
    put_text(m, "leaseToken", g->request.lease_token);
    return m;
}

static void copy(const json_t *msg, const char *name, char *out, size_t size)
{
    snprintf(out, size, "%s", message_text(msg, name));
}

bool message_is_client(const json_t *msg, struct given_client *ret)
{
    if (!is(msg, "client"))
        return false;
    *ret = (struct given_client){
        .is_unix = message_flag(msg, "unix"),
        .is_local = message_flag(msg, "local"),
        .tls = message_flag(msg, "tls"),
        .ollama = message_flag(msg, "ollama"),
        .user = {.known = message_flag(msg, "userKnown"),
                 .uid = (uint32_t)message_number(msg, "uid"),
                 .pid = (int)message_number(msg, "pid")},
        .request = {.since_ns = message_number(msg, "sinceNs"),
                    .begun = message_flag(msg, "begun"),
                    .chunked = message_flag(msg, "chunked"),
                    .late = message_flag(msg, "late"),
                    .upgrade = message_flag(msg, "upgrade")},
    };
    copy(msg, "peer", ret->peer, sizeof(ret->peer));
    copy(msg, "leaseId", ret->request.lease_id, sizeof(ret->request.lease_id));
    copy(msg, "leaseToken", ret->request.lease_token, sizeof(ret->request.lease_token));
    return true;
}

json_t *message_settled(void)
{
    return make("settled");
}

bool message_is_settled(const json_t *msg)
{
    return is(msg, "settled");
}

/* ---- ends ---- */

static const char *const ends[] = {
    [ENDED_DONE] = "done", [ENDED_GONE] = "gone", [ENDED_CUT] = "cut"};

json_t *message_ended(struct id waiter, enum ended how)
{
    json_t *m = make("ended");
    put_number(m, "slot", waiter.slot);
    put_number(m, "generation", waiter.gen);
    put_text(m, "how", ends[how]);
    return m;
}

bool message_is_ended(const json_t *msg, struct id *ret_waiter, enum ended *ret_how)
{
    if (!is(msg, "ended"))
        return false;
    *ret_waiter = (struct id){(uint32_t)message_number(msg, "slot"),
                              (uint32_t)message_number(msg, "generation")};
    *ret_how = ENDED_CUT;
    for (size_t i = 0; i < countof(ends); i++)
        if (strcmp(message_text(msg, "how"), ends[i]) == 0)
            *ret_how = (enum ended)i;
    return true;
}

json_t *message_stop(uint64_t grace_ns)
{
    json_t *m = make("stop");
    put_number(m, "graceNs", grace_ns);
    return m;
}

bool message_is_stop(const json_t *msg, uint64_t *ret_grace_ns)
{
    *ret_grace_ns = message_number(msg, "graceNs");
    return is(msg, "stop");
}

/* ---- rows of the history ---- */

static const struct {
    const char *name;
    size_t off;
} numbers[] = {
    {"created", offsetof(struct store_row, created_s)},
    {"status", offsetof(struct store_row, status)},
    {"cached", offsetof(struct store_row, cached)},
    {"drafted", offsetof(struct store_row, drafted)},
    {"draftAccepted", offsetof(struct store_row, draft_accepted)},
    {"input", offsetof(struct store_row, input)},
    {"output", offsetof(struct store_row, output)},
    {"durationMs", offsetof(struct store_row, duration_ms)},
    {"waitedMs", offsetof(struct store_row, waited_ms)},
};

static const struct {
    const char *name;
    size_t off;
} texts[] = {
    {"model", offsetof(struct store_row, model)},
    {"path", offsetof(struct store_row, path)},
    {"contentType", offsetof(struct store_row, content_type)},
    {"error", offsetof(struct store_row, error)},
    {"metadata", offsetof(struct store_row, metadata)},
    {"ended", offsetof(struct store_row, ended)},
};

static const struct {
    const char *name;
    size_t off;
} speeds[] = {
    {"promptPerSecond", offsetof(struct store_row, prompt_per_second)},
    {"outputPerSecond", offsetof(struct store_row, output_per_second)},
};

static void *member(struct store_row *row, size_t off)
{
    return (char *)row + off;
}

json_t *message_row(const struct store_row *row)
{
    json_t *m = make("row");
    struct store_row r = *row;
    for (size_t i = 0; i < countof(numbers); i++)
        put_number(m, numbers[i].name, (uint64_t) * (int64_t *)member(&r, numbers[i].off));
    for (size_t i = 0; i < countof(texts); i++)
        put_text(m, texts[i].name, *(const char **)member(&r, texts[i].off));
    for (size_t i = 0; i < countof(speeds); i++)
        json_object_set_new(m, speeds[i].name, json_real(*(double *)member(&r, speeds[i].off)));
    return m;
}

struct store_row *message_take_row(const json_t *msg)
{
    struct store_row r = {.id = 0};
    if (!is(msg, "row"))
        return NULL;
    for (size_t i = 0; i < countof(numbers); i++)
        *(int64_t *)member(&r, numbers[i].off) = (int64_t)message_number(msg, numbers[i].name);
    for (size_t i = 0; i < countof(texts); i++)
        *(const char **)member(&r, texts[i].off) = message_text(msg, texts[i].name);
    for (size_t i = 0; i < countof(speeds); i++)
        *(double *)member(&r, speeds[i].off) =
            json_real_value(json_object_get(msg, speeds[i].name));
    return store_row_new(&r);
}

/* ---- rows of the archive ---- */

/* By the names of their columns, of which another version may have others. */
json_t *message_archived(const struct archive_draft *row)
{
    json_t *m = make("archived"), *values = json_object();
    put_text(m, "table", archive_table_names[row->table]);
    for (uint32_t i = archive_column_first(row->table); i < archive_column_end(row->table); i++) {
        const struct archive_column *c = &archive_columns[i];
        enum archive_column_id id = (enum archive_column_id)i;
        if (archive_type_is_text(c->type))
            put_text(values, c->name, archive_text(row, id));
        else if (archive_number(row, id) != ARCHIVE_UNKNOWN)
            put_number(values, c->name, (uint64_t)archive_number(row, id));
    }
    json_object_set_new(m, "values", values);
    return m;
}

bool message_is_archived(const json_t *msg, struct archive_draft *ret)
{
    const json_t *values = json_object_get(msg, "values");
    const char *name = message_text(msg, "table");
    enum archive_table table = archive_table_find(name, strlen(name));
    if (!is(msg, "archived") || table == ARCHIVE__COUNT)
        return false;
    archive_draft_init(ret, table);
    for (uint32_t i = archive_column_first(table); i < archive_column_end(table); i++) {
        const struct archive_column *c = &archive_columns[i];
        enum archive_column_id id = (enum archive_column_id)i;
        if (archive_type_is_text(c->type))
            archive_set_text(ret, id, message_text(values, c->name));
        else if (json_is_integer(json_object_get(values, c->name)))
            archive_set_number(ret, id, (int64_t)message_number(values, c->name));
    }
    return true;
}
