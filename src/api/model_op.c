/* POST /wharf/models/ID/…: what a model can be told to do. */
#include <string.h>

#include "api/json.h"
#include "base/pure/errors.h"

/* Says the true state, whatever was asked for. */
static void answer_op(struct exchange *ex)
{
    struct server *s = ex->server;
    uint32_t slot = ex->slot;
    if (ex->command_result != REASON_NONE) {
        api_fail_reason(ex, slot, ex->command_result);
        return;
    }
    struct buf json = {0};
    api_put_model_whole(s, slot, &json);
    buf_char(&json, '\n');
    api_send_json(ex, 200, &json);
}

/* What left is not gone before its memory can be used. */
static void answer_unloaded(struct exchange *ex)
{
    if (ex->command_result != REASON_NONE)
        answer_op(ex);
    else
        settles_await(ex, ex->slot, answer_op);
}

/* ?wait=0: what was begun is answered with 202; the command goes on without us. */
static void answer_begun(struct server *s, struct exchange *ex, uint32_t slot)
{
    struct buf json = {0};
    api_put_model_whole(s, slot, &json);
    buf_char(&json, '\n');
    api_send_json(ex, 202, &json);
}

/* What a model can be told to do. */
struct model_op {
    const char *suffix;
    enum command what, forced;
    bool resume; /* only what is suspended can be loaded so */
};

static void run_op(struct server *s, struct exchange *ex, const struct model_op *op, char *name)
{
    name[strlen(name) - strlen(op->suffix)] = '\0';
    uint32_t slot = roster_find(&s->roster, name);
    if (slot == CORE_SLOT_NONE) {
        exchange_fail_unknown(ex, name);
        return;
    }
    enum command what = api_query_flag(ex, "force", false) ? op->forced : op->what;
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    if (op->resume && v.state != MODEL_SUSPENDED) {
        api_fail_reason(ex, slot, REASON_NOT_POSSIBLE);
        return;
    }
    uint32_t placement = CORE_SLOT_NONE;
    if (what == COMMAND_MOVE && !api_read_placement(s, ex, slot, &placement))
        return;
    bool waits = api_query_flag(ex, "wait", true);
    bool unloads = what == COMMAND_UNLOAD || what == COMMAND_UNLOAD_NOW;
    if (waits)
        ex->slot = slot;
    if (waits && what == COMMAND_MOVE) {
        exchange_move(ex, slot, placement, answer_op);
    } else if (waits) {
        exchange_command(ex, slot, what, unloads ? answer_unloaded : answer_op);
    } else if (what == COMMAND_MOVE) {
        runner_move(&s->runner, SERVER_TAG_NOBODY, slot, placement);
        answer_begun(s, ex, slot);
    } else {
        runner_command(&s->runner, SERVER_TAG_NOBODY, slot, what, REASON_COMMAND);
        answer_begun(s, ex, slot);
    }
}

void api_model_op(struct server *s, struct exchange *ex)
{
    static const struct model_op ops[] = {{"/load", COMMAND_LOAD, COMMAND_LOAD, false},
                                          {"/unload", COMMAND_UNLOAD, COMMAND_UNLOAD_NOW, false},
                                          {"/pin", COMMAND_PIN, COMMAND_PIN, false},
                                          {"/unpin", COMMAND_UNPIN, COMMAND_UNPIN, false},
                                          {"/suspend", COMMAND_SUSPEND, COMMAND_SUSPEND, false},
                                          {"/resume", COMMAND_LOAD, COMMAND_LOAD, true},
                                          {"/move", COMMAND_MOVE, COMMAND_MOVE, false}};
    char name[API_NAME_MAX];
    if (api_refuse_cross_site(ex) || !api_path_tail(ex, name, sizeof(name)))
        return;
    for (size_t i = 0; i < countof(ops); i++) {
        size_t n = strlen(name), k = strlen(ops[i].suffix);
        if (n <= k || strcmp(name + n - k, ops[i].suffix) != 0)
            continue;
        run_op(s, ex, &ops[i], name);
        return;
    }
    exchange_fail(ex, &(struct problem){.error = ERR_ROUTE_UNKNOWN,
                                        .detail = "a model can be told: load, unload, pin, unpin, "
                                                  "suspend, resume, move"});
}
