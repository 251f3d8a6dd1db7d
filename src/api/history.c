/* GET /wharf/history/TABLE: wharf's own history, a page at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "api/query.h"
#include "base/alloc.h"
#include "base/date.h"
#include "base/pure/errors.h"

#define LIMIT_DEFAULT 100
#define VALUE_MAX 64

/* RFC 3339, or seconds since 1970, with a fraction or not. */
static bool parse_time(const char *text, int64_t *ret_ms)
{
    uint64_t ns;
    char digits[4] = "000";
    size_t whole = strspn(text, "0123456789");
    if (date_parse(text, &ns)) {
        *ret_ms = (int64_t)(ns / NS_PER_MS);
        return true;
    }
    const char *fraction = text[whole] == '.' ? text + whole + 1 : "";
    size_t places = strspn(fraction, "0123456789");
    if (whole == 0 || whole > 12 || (text[whole] && (!places || fraction[places])))
        return false;
    memcpy(digits, fraction, places < 3 ? places : 3);
    *ret_ms = strtoll(text, NULL, 10) * 1000 + strtoll(digits, NULL, 10);
    return true;
}

static const char *read_range(const struct exchange *ex, struct archive_question *q)
{
    char value[VALUE_MAX];
    q->start_ms = 0;
    q->end_ms = INT64_MAX;
    if (api_query_value(ex, "start", value, sizeof(value)) && !parse_time(value, &q->start_ms))
        return "start must be a time of RFC 3339, or seconds since 1970";
    if (api_query_value(ex, "end", value, sizeof(value)) && !parse_time(value, &q->end_ms))
        return "end must be a time of RFC 3339, or seconds since 1970";
    return q->start_ms > q->end_ms ? "start must not be behind end" : NULL;
}

static const char *read_page(const struct exchange *ex, struct archive_question *q)
{
    char value[VALUE_MAX];
    q->limit = LIMIT_DEFAULT;
    if (api_query_value(ex, "limit", value, sizeof(value))) {
        unsigned long n =
            strlen(value) < 9 && !value[strspn(value, "0123456789")] ? strtoul(value, NULL, 10) : 0;
        if (n < 1 || n > ARCHIVE_PAGE_MAX)
            return "limit must be a number from 1 to 1000";
        q->limit = (uint32_t)n;
    }
    if (api_query_value(ex, "order", value, sizeof(value))) {
        q->ascending = strcmp(value, "asc") == 0;
        if (!q->ascending && strcmp(value, "desc") != 0)
            return "order must be asc or desc";
    }
    if (api_query_value(ex, "after", value, sizeof(value))) {
        if (!archive_is_cursor(value))
            return "after must be what an earlier answer gave as next";
        memcpy(q->after, value, strlen(value) + 1);
    }
    if (api_query_value(ex, "format", value, sizeof(value))) {
        q->form = strcmp(value, "csv") == 0 ? ARCHIVE_AS_CSV : ARCHIVE_AS_JSON;
        if (q->form == ARCHIVE_AS_JSON && strcmp(value, "json") != 0)
            return "format must be json or csv";
    }
    return NULL;
}

/* Models by any of their names; one that is not configured any more by its id. */
static void read_filter(const struct exchange *ex, struct archive_question *q)
{
    char value[API_NAME_MAX];
    const char *name = archive_columns[archive_filter(q->table)].name;
    if (!api_query_value(ex, name, value, sizeof(value)))
        return;
    uint32_t slot =
        strcmp(name, "model") == 0 ? roster_find(&ex->server->roster, value) : CORE_SLOT_NONE;
    q->filter = alloc_text(slot == CORE_SLOT_NONE ? value : roster_id(&ex->server->roster, slot));
}

static void answer(struct exchange *ex, struct archive_question *q)
{
    struct buf out = {0};
    if (q->failed) {
        exchange_fail_error(ex, ERR_INTERNAL, "the history cannot be read now");
        return;
    }
    if (q->form == ARCHIVE_AS_CSV) {
        archive_put_headings(q->table, &out);
        buf_append(&out, q->text.data, q->text.len);
        char next[sizeof("X-Wharf-Next: \r\n") + ARCHIVE_CURSOR_MAX];
        snprintf(next, sizeof(next), "X-Wharf-Next: %s\r\n", q->next);
        exchange_reply(ex, 200, "text/csv; charset=utf-8", *q->next ? next : NULL, out.data,
                       out.len);
        buf_fini(&out);
        return;
    }
    buf_printf(&out, "{\"%s\":[", archive_table_names[q->table]);
    buf_append(&out, q->text.data, q->text.len);
    buf_text(&out, "],\"next\":");
    api_put_text(&out, q->next);
    buf_text(&out, "}\n");
    api_send_json(ex, 200, &out);
}

static enum archive_table table_of(const struct exchange *ex)
{
    size_t skip = sizeof("/wharf/history/") - 1;
    struct http_span path = ex->head->path;
    return archive_table_find(ex->bytes + path.off + skip, path.len - skip);
}

void api_history(struct server *s, struct exchange *ex)
{
    if (!archiving_is_on(s)) {
        exchange_fail_error(ex, ERR_NOT_SERVED, "no history is kept: history.enabled is false");
        return;
    }
    struct archiving_question *q = alloc_zeroed(1, sizeof(*q));
    q->question.table = table_of(ex);
    must(q->question.table != ARCHIVE__COUNT); /* the routes name no other */
    q->answer = answer;
    const char *problem = read_range(ex, &q->question);
    if (!problem)
        problem = read_page(ex, &q->question);
    read_filter(ex, &q->question);
    if (problem) {
        archive_question_free(&q->question);
        exchange_fail_error(ex, ERR_BODY_INVALID, problem);
    } else if (!archiving_ask(s, ex, q)) {
        exchange_fail_error(ex, ERR_OVERLOADED, "too many ask for the history at once");
    }
}
