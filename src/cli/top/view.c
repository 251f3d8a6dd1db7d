#include "cli/top/view.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/show.h"
#include "cli/text.h"

void top_view_init(struct top_view *v)
{
    *v = (struct top_view){.section = TOP_MODELS};
}

static void forget_question(struct top_view *v)
{
    json_decref(v->choices);
    v->choices = NULL;
    v->popup = TOP_NO_POPUP;
}

void top_view_fini(struct top_view *v)
{
    forget_question(v);
    free(v->model_id);
    free(v->asked_id);
    free(v->asked_name);
    buf_fini(&v->message);
}

void top_view_say(struct top_view *v, bool is_bad, const char *text)
{
    buf_clear(&v->message);
    text_escape_all(&v->message, TEXT_LINE, text);
    v->is_bad = is_bad;
}

/* ---- lists ---- */

static bool passes(const struct top_view *v, const char *text)
{
    return !*v->filter || (text && strcasestr(text, v->filter));
}

static bool model_passes(const struct top_view *v, const json_t *m)
{
    const json_t *aliases = json_object_get(m, "aliases");
    bool does = passes(v, json_string_value(json_object_get(m, "id")));
    for (size_t i = 0; i < json_array_size(aliases) && !does; i++)
        does = passes(v, json_string_value(json_array_get(aliases, i)));
    return does;
}

static bool waiter_passes(const struct top_view *v, const json_t *w)
{
    return passes(v, json_string_value(json_object_get(w, "model"))) ||
           passes(v, json_string_value(json_object_get(w, "name")));
}

static const json_t *find(const struct top_view *v, const json_t *list, size_t i,
                          bool (*does_pass)(const struct top_view *, const json_t *))
{
    for (size_t at = 0; at < json_array_size(list); at++)
        if (does_pass(v, json_array_get(list, at)) && i-- == 0)
            return json_array_get(list, at);
    return NULL;
}

const struct json_t *top_model_at(const struct top_view *v, const struct top_known *k, size_t i)
{
    return find(v, json_object_get(k->status, "model_list"), i, model_passes);
}

const struct json_t *top_waiter_at(const struct top_view *v, const struct top_known *k, size_t i)
{
    return find(v, json_object_get(k->queue, "queue"), i, waiter_passes);
}

size_t top_count(const struct top_view *v, const struct top_known *k, enum top_section section)
{
    size_t count = 0;
    if (section == TOP_DEVICES)
        return json_array_size(json_object_get(k->status, "devices"));
    while (section == TOP_MODELS ? top_model_at(v, k, count) : top_waiter_at(v, k, count))
        count++;
    return count;
}

static void set_text(char **at, const char *text)
{
    char *copy = text ? alloc_text(text) : NULL;
    free(*at);
    *at = copy;
}

static void note_model(struct top_view *v, const struct top_known *k)
{
    const json_t *m = top_model_at(v, k, v->selected[TOP_MODELS]);
    if (m)
        set_text(&v->model_id, json_string_value(json_object_get(m, "id")));
}

void top_view_settle(struct top_view *v, const struct top_known *k)
{
    const json_t *m;
    for (size_t i = 0; v->model_id && (m = top_model_at(v, k, i)) != NULL; i++)
        if (strcmp(show_text(m, "id"), v->model_id) == 0)
            v->selected[TOP_MODELS] = i;
    for (enum top_section s = 0; s < TOP_SECTION__COUNT; s++) {
        size_t count = top_count(v, k, s);
        if (v->selected[s] >= count)
            v->selected[s] = count ? count - 1 : 0;
    }
    note_model(v, k);
}

/* ---- questions ---- */

static json_t *mode_names(const struct top_known *k)
{
    json_t *names = json_array(), *modes = json_object_get(k->mode, "modes");
    bool has_idle = false;
    for (void *at = json_object_iter(modes); at; at = json_object_iter_next(modes, at)) {
        has_idle = has_idle || strcmp(json_object_iter_key(at), "idle") == 0;
        json_array_append_new(names, json_string(json_object_iter_key(at)));
    }
    if (!has_idle) /* it is always there */
        json_array_insert_new(names, 0, json_string("idle"));
    return names;
}

static void ask_which(struct top_view *v, json_t *choices, enum top_order_kind asked)
{
    forget_question(v);
    v->choices = choices;
    v->choice = 0;
    v->asked = asked;
    v->popup = TOP_CHOICE;
}

static struct top_order give(struct top_view *v)
{
    struct top_order o = {.kind = v->asked, .mode = v->asked_name};
    o.op = (struct model_op){.verb = v->verb,
                             .id = v->asked_id,
                             .place = v->verb == MODEL_DO_MOVE ? v->asked_name : NULL,
                             .is_forced = v->is_forced};
    forget_question(v);
    return o;
}

/* Which requests would end with an error: those that run, where it is stopped at once, and those
 * that wait for it, which are refused. */
static bool ends_requests(const struct top_view *v, const json_t *m)
{
    json_int_t runs = json_integer_value(json_object_get(m, "in_flight"));
    json_int_t waits = json_integer_value(json_object_get(m, "waiting"));
    return v->verb == MODEL_DO_UNLOAD && ((v->is_forced && runs > 0) || waits > 0);
}

/* In the queue it is the one that is waited for. */
static const json_t *selected_model(const struct top_view *v, const struct top_known *k)
{
    const json_t *models = json_object_get(k->status, "model_list");
    const json_t *w = top_waiter_at(v, k, v->selected[TOP_QUEUE]);
    if (v->section == TOP_MODELS)
        return top_model_at(v, k, v->selected[TOP_MODELS]);
    for (size_t i = 0; v->section == TOP_QUEUE && w && i < json_array_size(models); i++) {
        const json_t *m = json_array_get(models, i);
        if (strcmp(show_text(m, "id"), show_text(w, "model")) == 0)
            return m;
    }
    return NULL;
}

static struct top_order ask_model(struct top_view *v, const struct top_known *k, uint32_t key)
{
    static const struct {
        uint32_t key;
        enum model_verb verb;
        bool is_forced;
    } keys[] = {{'l', MODEL_DO_LOAD, false},   {'u', MODEL_DO_UNLOAD, false},
                {'U', MODEL_DO_UNLOAD, true},  {'s', MODEL_DO_SUSPEND, false},
                {'w', MODEL_DO_RESUME, false}, {'m', MODEL_DO_MOVE, false},
                {'p', MODEL_DO_PIN, false}};
    const json_t *m = selected_model(v, k);
    struct top_order nothing = {.kind = TOP_ORDER_NONE};
    size_t i = 0;
    while (i < countof(keys) && keys[i].key != key)
        i++;
    if (i < countof(keys) && !m)
        top_view_say(v, true, "no model is selected here; Tab goes on to the models");
    if (i == countof(keys) || !m)
        return nothing;
    json_t *places = json_object_get(m, "placements");
    v->verb = keys[i].verb;
    v->is_forced = keys[i].is_forced;
    v->asked = TOP_ORDER_MODEL;
    set_text(&v->asked_id, json_string_value(json_object_get(m, "id")));
    set_text(&v->asked_name, NULL);
    if (v->verb == MODEL_DO_PIN && json_is_true(json_object_get(m, "pinned")))
        v->verb = MODEL_DO_UNPIN;
    if (v->verb == MODEL_DO_MOVE && json_array_size(places) > 0) {
        ask_which(v, json_copy(places), TOP_ORDER_MODEL);
        return nothing;
    }
    if (ends_requests(v, m)) {
        v->popup = TOP_CONFIRM;
        return nothing;
    }
    return give(v);
}

/* ---- keys ---- */

static void go(struct top_view *v, const struct top_known *k, long steps)
{
    size_t *at = &v->selected[v->section], count = top_count(v, k, v->section);
    long to = (long)*at + steps;
    *at = to < 0 ? 0 : (size_t)to;
    if (*at >= count)
        *at = count ? count - 1 : 0;
    if (v->section == TOP_MODELS)
        note_model(v, k);
}

static bool moves(struct top_view *v, const struct top_known *k, uint32_t key)
{
    static const struct {
        uint32_t key;
        long steps;
    } keys[] = {{TOP_KEY_UP, -1},
                {'k', -1},
                {TOP_KEY_DOWN, 1},
                {'j', 1},
                {TOP_KEY_PAGE_UP, -TOP_PAGE},
                {TOP_KEY_PAGE_DOWN, TOP_PAGE},
                {TOP_KEY_HOME, -100000},
                {TOP_KEY_END, 100000}};
    for (size_t i = 0; i < countof(keys); i++) {
        if (keys[i].key != key)
            continue;
        go(v, k, keys[i].steps);
        return true;
    }
    return false;
}

static struct top_order key_in_choice(struct top_view *v, uint32_t key)
{
    size_t count = json_array_size(v->choices);
    struct top_order nothing = {.kind = TOP_ORDER_NONE};
    bool is_number = key >= '1' && key <= '9' && key - '1' < count;
    if (key == TOP_KEY_ESCAPE || key == 'q')
        forget_question(v);
    if (key == TOP_KEY_UP || key == 'k')
        v->choice -= v->choice > 0;
    if (key == TOP_KEY_DOWN || key == 'j')
        v->choice += v->choice + 1 < count;
    if (is_number)
        v->choice = key - '1';
    if (!is_number && key != TOP_KEY_ENTER)
        return nothing;
    set_text(&v->asked_name, json_string_value(json_array_get(v->choices, v->choice)));
    return give(v);
}

static void key_in_filter(struct top_view *v, uint32_t key)
{
    size_t len = strlen(v->filter);
    if (key == TOP_KEY_ESCAPE)
        *v->filter = '\0';
    if (key == TOP_KEY_ESCAPE || key == TOP_KEY_ENTER)
        v->popup = TOP_NO_POPUP;
    if (key == TOP_KEY_ERASE && len > 0)
        v->filter[len - 1] = '\0';
    if (key > ' ' && key < 0x7f && len + 1 < TOP_FILTER_MAX) {
        v->filter[len] = (char)key;
        v->filter[len + 1] = '\0';
    }
}

static struct top_order key_in_sections(struct top_view *v, const struct top_known *k, uint32_t key)
{
    struct top_order o = {.kind = TOP_ORDER_NONE};
    if (moves(v, k, key))
        return o;
    switch (key) {
    case 'q':
        o.kind = TOP_ORDER_QUIT;
        return o;
    case '?':
    case 'h':
        v->popup = TOP_HELP;
        return o;
    case '/':
        v->popup = TOP_FILTER;
        return o;
    case 'M':
        ask_which(v, mode_names(k), TOP_ORDER_MODE);
        return o;
    case TOP_KEY_ESCAPE:
        *v->filter = '\0';
        return o;
    case TOP_KEY_TAB:
        v->section = (v->section + 1) % TOP_SECTION__COUNT;
        return o;
    case TOP_KEY_BACK_TAB:
        v->section = (v->section + TOP_SECTION__COUNT - 1) % TOP_SECTION__COUNT;
        return o;
    default:
        return ask_model(v, k, key);
    }
}

struct top_order top_view_key(struct top_view *v, const struct top_known *k, uint32_t key)
{
    struct top_order o = {.kind = TOP_ORDER_NONE};
    switch (v->popup) {
    case TOP_HELP:
        v->popup = TOP_NO_POPUP;
        return o;
    case TOP_CHOICE:
        return key_in_choice(v, key);
    case TOP_CONFIRM:
        if (key == 'y')
            return give(v);
        forget_question(v);
        return o;
    case TOP_FILTER:
        key_in_filter(v, key);
        top_view_settle(v, k);
        return o;
    case TOP_NO_POPUP:
        break;
    }
    buf_clear(&v->message);
    o = key_in_sections(v, k, key);
    top_view_settle(v, k);
    return o;
}
