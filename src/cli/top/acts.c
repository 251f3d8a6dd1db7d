#include "cli/top/acts.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/top/feed.h"

void top_acts_init(struct top_acts *a, const struct client_options *opt, int quit_fd, int wake_fd)
{
    *a = (struct top_acts){.options = *opt, .wake_fd = wake_fd};
    a->options.stop_fd = quit_fd;
    pthread_mutex_init(&a->lock, NULL);
}

/* "load 'qwen'", "set the mode 'work'". */
static void write_what(const struct top_act *act, struct buf *out)
{
    if (act->id)
        buf_printf(out, "%s '%s'", model_verb_words[act->op.verb], act->id);
    else
        buf_printf(out, "set the mode '%s'", act->mode);
}

static void tell(struct top_act *act, const struct client_reply *r)
{
    act->is_bad = !client_reply_ok(r);
    if (act->is_bad) {
        buf_text(&act->said, "cannot ");
        write_what(act, &act->said);
        buf_text(&act->said, ": ");
        client_reply_explain(r, &act->said);
    } else if (act->id) {
        act->is_bad = !model_op_tell(&act->op, r->json, &act->said);
    } else {
        buf_printf(&act->said, "mode %s", show_text(r->json, "mode"));
    }
}

static void ask(struct top_act *act)
{
    struct buf path = {0}, body = {0};
    struct client_reply reply;
    struct err e = {.set = false};
    if (act->id) {
        model_op_path(&act->op, &path);
    } else {
        buf_text(&path, "/wharf/mode");
        buf_text(&body, "{\"mode\":");
        buf_json_text(&body, act->mode);
        buf_char(&body, '}');
    }
    const struct client_request rq = {.method = act->id ? "POST" : "PUT",
                                      .path = path.data,
                                      .body = body.data,
                                      .body_len = body.len};
    if (client_fetch(&act->acts->options, &rq, &reply, &e) < 0) {
        act->is_bad = true;
        buf_text(&act->said, e.set ? e.text : "interrupted");
    } else {
        tell(act, &reply);
        client_reply_fini(&reply);
    }
    buf_fini(&path);
    buf_fini(&body);
}

static void *run(void *arg)
{
    struct top_act *act = arg;
    ask(act);
    pthread_mutex_lock(&act->acts->lock);
    act->is_done = true;
    pthread_mutex_unlock(&act->acts->lock);
    top_signal(act->acts->wake_fd);
    return NULL;
}

static void release(struct top_act *act)
{
    free(act->id);
    free(act->place);
    free(act->mode);
    buf_fini(&act->said);
    *act = (struct top_act){.is_used = false};
}

static struct top_act *find_free(struct top_acts *a)
{
    for (size_t i = 0; i < TOP_ACTS_MAX; i++)
        if (!a->all[i].is_used)
            return &a->all[i];
    return NULL;
}

static char *copy(const char *text)
{
    return text ? alloc_text(text) : NULL;
}

bool top_acts_begin(struct top_acts *a, const struct top_order *order, struct buf *said)
{
    struct top_act *act = find_free(a);
    bool is_model = order->kind == TOP_ORDER_MODEL;
    buf_clear(said);
    if (!act) {
        buf_printf(said, "%d things are under way already", TOP_ACTS_MAX);
        return false;
    }
    *act = (struct top_act){.acts = a, .is_used = true, .op = order->op};
    act->id = copy(is_model ? order->op.id : NULL);
    act->place = copy(is_model ? order->op.place : NULL);
    act->mode = copy(is_model ? NULL : order->mode);
    act->op.id = act->id;
    act->op.place = act->place;
    write_what(act, said);
    if (top_thread(&act->thread, run, act) == 0) {
        buf_text(said, text_ellipsis());
        return true;
    }
    buf_text(said, ": no thread can be had");
    release(act);
    return false;
}

bool top_acts_take(struct top_acts *a, struct buf *said, bool *ret_is_bad)
{
    for (size_t i = 0; i < TOP_ACTS_MAX; i++) {
        struct top_act *act = &a->all[i];
        pthread_mutex_lock(&a->lock);
        bool is_done = act->is_used && act->is_done;
        pthread_mutex_unlock(&a->lock);
        if (!is_done)
            continue;
        pthread_join(act->thread, NULL);
        buf_clear(said);
        buf_append(said, act->said.data, act->said.len);
        *ret_is_bad = act->is_bad;
        release(act);
        return true;
    }
    return false;
}

void top_acts_fini(struct top_acts *a)
{
    for (size_t i = 0; i < TOP_ACTS_MAX; i++) {
        if (!a->all[i].is_used)
            continue;
        pthread_join(a->all[i].thread, NULL);
        release(&a->all[i]);
    }
    pthread_mutex_destroy(&a->lock);
}
