#include "model_op.h"

#include <jansson.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/output.h"
#include "cli/text.h"

static void write_result(struct buf *out, const char *asked_id, const json_t *answer)
{
    const char *id = json_string_value(json_object_get(answer, "id"));
    const char *state = json_string_value(json_object_get(answer, "state"));
    const char *device = json_string_value(json_object_get(answer, "device"));
    text_escape_all(out, TEXT_LINE, id ? id : asked_id);
    buf_text(out, ": ");
    text_escape_all(out, TEXT_LINE, state ? state : "done");
    if (device && state && strcmp(state, "loaded") == 0) {
        buf_text(out, " on ");
        text_escape_all(out, TEXT_LINE, device);
    }
    if (json_is_true(json_object_get(answer, "pinned")))
        buf_text(out, ", pinned");
    buf_char(out, '\n');
}

/* An engine may say that it sleeps, and be stopped all the same since it gave nothing back, or be
 * woken again at once: what counts is how it stands. */
static int check_asleep(const char *id, const char *verb, const json_t *answer)
{
    const char *state = json_string_value(json_object_get(answer, "state"));
    if (strcmp(verb, "suspend") != 0 || !state || strcmp(state, "suspended") == 0)
        return CLI_DONE;
    output_code("not_asleep");
    output_complain("'%s' does not sleep: it is %s; `wharf why '%s'` says more", id, state, id);
    return CLI_FAILED;
}

int model_op(const struct session *s, const char *id, const char *verb, const char *query)
{
    struct buf path = {0}, out = {0};
    struct client_reply reply;
    auto_free char *what = alloc_printf("%s '%s'", verb, id);
    buf_text(&path, "/wharf/models/");
    client_encode_segment(&path, id);
    buf_printf(&path, "/%s%s%s", verb, query ? "?" : "", query ? query : "");
    const struct client_request rq = {.method = "POST", .path = path.data};
    int status = session_fetch(s, &rq, what, &reply);
    buf_fini(&path);
    if (status != CLI_DONE && session_interrupted())
        output_complain("no longer waiting to %s; `wharf ps` shows what becomes of it", what);
    if (status != CLI_DONE)
        return status;
    status = check_asleep(id, verb, reply.json);
    if (s->wants_json && status == CLI_DONE) {
        output_json(reply.body.data, reply.body.len);
    } else if (status == CLI_DONE) {
        write_result(&out, id, reply.json);
        output_safe(&out);
    }
    buf_fini(&out);
    client_reply_fini(&reply);
    return status;
}
