/* POST /wharf/models/ID/…: what a model can be told to do. */
#include <jansson.h>
#include <string.h>

#include "api/json.h"
#include "api/query.h"
#include "base/pure/errors.h"
#include "base/pure/units.h"

/* What a model can be told to do. */
static const struct model_op {
    const char *suffix;
    enum command what, forced;
    bool resume; /* only what is suspended can be loaded so */
} ops[] = {{"/load", COMMAND_LOAD, COMMAND_LOAD, false},
           {"/unload", COMMAND_UNLOAD, COMMAND_UNLOAD_NOW, false},
           {"/pin", COMMAND_PIN, COMMAND_PIN, false},
           {"/unpin", COMMAND_UNPIN, COMMAND_UNPIN, false},
           {"/suspend", COMMAND_SUSPEND, COMMAND_SUSPEND, false},
           {"/resume", COMMAND_LOAD, COMMAND_LOAD, true},
           {"/move", COMMAND_MOVE, COMMAND_MOVE, false}};

/* Which one the path ends with, and what stands before that; NULL: none, or no path of ours. */
static const struct model_op *find_op(const char *name, size_t *ret_length)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < countof(ops); i++) {
        size_t k = strlen(ops[i].suffix);
        *ret_length = n - k;
        if (n > k && strcmp(name + n - k, ops[i].suffix) == 0)
            return &ops[i];
    }
    return NULL;
}

/* What the core only knows to be impossible: what is missing for it, and where. */
static void put_obstacle(const struct server *s, uint32_t slot, const struct model_op *op,
                         struct buf *b)
{
    const struct config_model *m = roster_model(&s->roster, slot);
    bool moves = op->what == COMMAND_MOVE, sleeps = op->what == COMMAND_SUSPEND;
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    const char *is = model_state_text(v.state);
    if (moves && (!m || !m->has_variants || m->placement_count < 2))
        buf_text(b, "it cannot be moved, since `devices` does not give it several places");
    else if (sleeps && m && m->backend != CONFIG_BACKEND_PROCESS)
        buf_text(b, "only the engine of a process can be sent to sleep");
    else if (sleeps && (!m || m->suspend == CONFIG_SUSPEND_NONE))
        buf_text(b, "it cannot be sent to sleep, since it has no `suspend` in the configuration");
    else if (op->resume && v.state != MODEL_SUSPENDED)
        buf_printf(b, "it is %s, and only what sleeps can be woken", is);
    else if (v.state != MODEL_LOADED)
        buf_printf(b, "it is %s, and only what is loaded can be %s", is,
                   moves ? "moved" : "sent to sleep");
    else
        buf_text(b, reason_text(REASON_NOT_POSSIBLE));
}

/* What sleeps takes host memory, what goes to a GPU may want more of it than it takes. */
static void put_shortage(const struct server *s, uint32_t slot, const struct model_op *op,
                         struct buf *b)
{
    const struct config *c = s->roster.current->config;
    const struct config_model *m = roster_model(&s->roster, slot);
    char need[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    if (op->what == COMMAND_SUSPEND) {
        buf_printf(b,
                   "while it sleeps it counts with %s of host memory, and host.suspendBudget, %s, "
                   "has not so much left",
                   units_format_bytes(v.charged_bytes, need),
                   units_format_bytes(c->suspend_bytes_max, most));
        return;
    }
    buf_text(b, "there is not the room that it wants on that device");
    for (uint32_t i = 0; m && i < m->placement_count; i++)
        if (m->placements[i].free_bytes_min)
            buf_printf(b, "; on %s %s has to be free (minFree)", m->placements[i].id,
                       units_format_bytes(m->placements[i].free_bytes_min, need));
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        struct core_device_view is;
        core_view_device(s->runner.core, d, &is);
        buf_printf(b, "; %s has %s of %s free", c->gpus[d].name,
                   units_format_bytes(is.room_bytes, need),
                   units_format_bytes(is.total_bytes, most));
    }
}

/* In the words of what was asked for, where the reason alone does not say enough. */
static void fail_op(struct exchange *ex, uint32_t slot, enum reason why)
{
    struct server *s = ex->server;
    char name[API_NAME_MAX];
    size_t length;
    if (!api_path_tail(ex, name, sizeof(name)))
        return;
    const struct model_op *op = find_op(name, &length);
    must(op);
    bool short_of_room =
        why == REASON_NO_ROOM_NOW && (op->what == COMMAND_SUSPEND || op->what == COMMAND_MOVE);
    if (why != REASON_NOT_POSSIBLE && !short_of_room) {
        api_fail_reason(ex, slot, why);
        return;
    }
    struct buf detail = {0};
    buf_printf(&detail, "model %s: ", roster_id(&s->roster, slot));
    if (short_of_room)
        put_shortage(s, slot, op, &detail);
    else
        put_obstacle(s, slot, op, &detail);
    exchange_fail_error(ex, short_of_room ? ERR_NO_ROOM_NOW : ERR_NOT_POSSIBLE, detail.data);
    buf_fini(&detail);
}

/* Says the true state, whatever was asked for. */
static void answer_op(struct exchange *ex)
{
    struct server *s = ex->server;
    uint32_t slot = ex->slot;
    if (ex->command_result != REASON_NONE) {
        fail_op(ex, slot, ex->command_result);
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

/* Only a move has anything to say in its body; of the others the query says how. */
static bool check_body(struct exchange *ex, const struct model_op *op)
{
    if (op->what == COMMAND_MOVE || body_size(&ex->body) == 0)
        return true;
    json_t *body = api_read_json(ex);
    bool ok = body && api_check_members(ex, body, "the body of this command", NULL, 0);
    json_decref(body);
    return ok;
}

static void run_op(struct server *s, struct exchange *ex, const struct model_op *op,
                   const char *name)
{
    uint32_t slot = roster_find(&s->roster, name);
    if (slot == CORE_SLOT_NONE) {
        exchange_fail_unknown(ex, name);
        return;
    }
    if (!check_body(ex, op))
        return;
    enum command what = api_query_flag(ex, "force", false) ? op->forced : op->what;
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    if (op->resume && v.state != MODEL_SUSPENDED) {
        fail_op(ex, slot, REASON_NOT_POSSIBLE);
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
    char name[API_NAME_MAX];
    size_t length;
    if (!api_path_tail(ex, name, sizeof(name)))
        return;
    const struct model_op *op = find_op(name, &length);
    if (op) {
        name[length] = '\0';
        run_op(s, ex, op, name);
        return;
    }
    exchange_fail(ex, &(struct problem){.error = ERR_ROUTE_UNKNOWN,
                                        .detail = "a model can be told: load, unload, pin, unpin, "
                                                  "suspend, resume, move"});
}
