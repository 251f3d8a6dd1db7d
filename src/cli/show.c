#include "show.h"

#include <jansson.h>
#include <stdio.h>

#include "base/pure/units.h"
#include "cli/output.h"
#include "cli/text.h"

int show_answer(const struct cli_args *args, const struct client_request *rq, const char *what,
                void (*write)(struct buf *out, const struct json_t *answer))
{
    struct session s;
    int status = session_open(args, &s);
    return status == CLI_DONE ? show_answer_of(&s, rq, what, NULL, write) : status;
}

int show_answer_of(const struct session *s, const struct client_request *rq, const char *what,
                   struct progress *progress,
                   void (*write)(struct buf *out, const struct json_t *answer))
{
    struct client_reply reply;
    struct buf out = {0};
    int status = session_fetch_watched(s, rq, what, progress, &reply);
    if (status != CLI_DONE)
        return status;
    if (s->wants_json) {
        output_json(reply.body.data, reply.body.len);
    } else {
        write(&out, reply.json);
        show_lines(&out);
    }
    buf_fini(&out);
    client_reply_fini(&reply);
    return CLI_DONE;
}

void show_lines(const struct buf *text)
{
    struct buf wrapped = {0};
    if (text->len == 0)
        return;
    text_wrap_lines(&wrapped, text->data, text_terminal_columns());
    output_safe(&wrapped);
    buf_fini(&wrapped);
}

const char *show_text(const struct json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text && *text ? text : "-";
}

const char *show_bytes(const struct json_t *object, const char *name, char out[SHOW_CELL_MAX])
{
    const json_t *bytes = json_object_get(object, name);
    if (!json_is_integer(bytes) || json_integer_value(bytes) < 0)
        return "-";
    _Static_assert(SHOW_CELL_MAX >= UNITS_TEXT_MAX, "room for a size");
    return units_format_bytes((uint64_t)json_integer_value(bytes), out);
}

const char *show_count(const struct json_t *object, const char *name, char out[SHOW_CELL_MAX])
{
    const json_t *count = json_object_get(object, name);
    if (!json_is_integer(count))
        return "-";
    snprintf(out, SHOW_CELL_MAX, "%lld", (long long)json_integer_value(count));
    return out;
}

const char *show_seconds(const struct json_t *object, const char *name, char out[SHOW_CELL_MAX])
{
    const double seconds_max = 1e9;
    const json_t *seconds = json_object_get(object, name);
    double s = json_number_value(seconds);
    if (!json_is_number(seconds) || !(s >= 0 && s <= seconds_max))
        return "-";
    if (s < 1)
        return "0s";
    return units_format_duration((uint64_t)s * NS_PER_S, out);
}

const char *show_list(const struct json_t *object, const char *name, char out[SHOW_CELL_MAX])
{
    const json_t *list = json_object_get(object, name);
    size_t at = 0;
    for (size_t i = 0; i < json_array_size(list) && at < SHOW_CELL_MAX; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        int n = snprintf(out + at, SHOW_CELL_MAX - at, "%s%s", i ? "," : "", text ? text : "?");
        at += (size_t)n;
    }
    return at ? out : "-";
}
