#include "model_op.h"

#include <jansson.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text.h"

const char *const model_verb_words[MODEL_DO__COUNT] = {
    [MODEL_DO_LOAD] = "load",     [MODEL_DO_UNLOAD] = "unload", [MODEL_DO_SUSPEND] = "suspend",
    [MODEL_DO_RESUME] = "resume", [MODEL_DO_MOVE] = "move",     [MODEL_DO_PIN] = "pin",
    [MODEL_DO_UNPIN] = "unpin"};

void model_op_path(const struct model_op *op, struct buf *path)
{
    buf_text(path, "/wharf/models/");
    client_encode_segment(path, op->id);
    buf_printf(path, "/%s", model_verb_words[op->verb]);
    if (op->place) {
        buf_text(path, "?device=");
        client_encode_segment(path, op->place);
    }
    if (op->is_forced)
        buf_text(path, "?force=1");
}

bool model_op_tell(const struct model_op *op, const struct json_t *answer, struct buf *out)
{
    const char *id = json_string_value(json_object_get(answer, "id"));
    const char *state = json_string_value(json_object_get(answer, "state"));
    const char *device = json_string_value(json_object_get(answer, "device"));
    /* An engine may say that it sleeps, and be stopped all the same since it gave nothing back, or
     * be woken again at once: what counts is how it stands. */
    bool is_asleep = !state || strcmp(state, "suspended") == 0;
    if (op->verb == MODEL_DO_SUSPEND && !is_asleep) {
        buf_printf(out, "'%s' does not sleep: it is %s; `wharf why '%s'` says more", op->id, state,
                   op->id);
        return false;
    }
    text_escape_all(out, TEXT_LINE, id ? id : op->id);
    buf_text(out, ": ");
    text_escape_all(out, TEXT_LINE, state ? state : "done");
    if (device && state && strcmp(state, "loaded") == 0) {
        buf_text(out, " on ");
        text_escape_all(out, TEXT_LINE, device);
    }
    if (json_is_true(json_object_get(answer, "pinned")))
        buf_text(out, ", pinned");
    return true;
}

int model_op(const struct session *s, const struct model_op *op)
{
    struct buf path = {0}, out = {0};
    struct client_reply reply;
    auto_free char *what = alloc_printf("%s '%s'", model_verb_words[op->verb], op->id);
    model_op_path(op, &path);
    const struct client_request rq = {.method = "POST", .path = path.data};
    int status = session_fetch_watched(s, &rq, what, progress_of_model(s, op->id), &reply);
    buf_fini(&path);
    if (status != CLI_DONE && session_interrupted())
        output_complain("no longer waiting to %s; `wharf ps` shows what becomes of it", what);
    if (status != CLI_DONE)
        return status;
    if (!model_op_tell(op, reply.json, &out)) {
        output_code("not_asleep");
        output_complain("%s", out.data);
        status = CLI_FAILED;
    } else if (s->wants_json) {
        output_json(reply.body.data, reply.body.len);
    } else {
        buf_char(&out, '\n');
        output_safe(&out);
    }
    buf_fini(&out);
    client_reply_fini(&reply);
    return status;
}
