/* How a model sleeps: a word, or an engine with its settings. */
#include <string.h>

#include "config/resolve.h"

/* The engines that have settings; `needs`: what the word alone does not say. */
static const struct {
    enum setting_id key;
    enum config_suspend word;
    const char *needs;
} engines[] = {
    {SET_SUSPEND_vllm, CONFIG_SUSPEND_VLLM, NULL},
    {SET_SUSPEND_tabby, CONFIG_SUSPEND_TABBY,
     "the model that it loads again: write suspend: {tabby: {model: NAME}}"},
    {SET_SUSPEND_http, CONFIG_SUSPEND_HTTP,
     "its requests: write suspend: {http: {suspend: {path: /PATH}, resume: {path: /PATH}}}"},
};

/* `where` is such as "suspend.http.check". */
static void check_path(struct resolver *r, const char *where, const struct value *v)
{
    const char *text = v->text;
    bool plain = *text == '/' || *text == '\0';
    for (const char *p = text; *p; p++)
        plain &= (unsigned char)*p > 0x20 && *p != 0x7f && *p != '#';
    if (!plain && !v->broken)
        diag_error(r->diag, v->at, "%s: %s is no path; write such as /sleep", where,
                   diag_quote(r->diag, text));
}

static void resolve_call(struct resolver *r, const struct value *v, const char *where,
                         struct config_call *call)
{
    const struct bound *b = v->children[0];
    bound_project(b, r->arena, call);
    check_path(r, where, bound_value(b, SET_SUSPEND_CALL_path));
    if (v->given && !v->broken && !*call->path && !bound_value(b, SET_SUSPEND_CALL_path)->broken)
        diag_error(r->diag, v->at, "%s needs a path, such as path: /sleep", where);
}

static void resolve_http(struct resolver *r, const struct bound *b, struct config_sleep *s)
{
    const struct value *suspend = bound_value(b, SET_SUSPEND_HTTP_suspend);
    const struct value *check = bound_value(b, SET_SUSPEND_HTTP_check);
    const struct bound *asked = check->children[0];
    resolve_call(r, suspend, "suspend.http.suspend", &s->suspend);
    resolve_call(r, bound_value(b, SET_SUSPEND_HTTP_resume), "suspend.http.resume", &s->resume);
    bound_project(asked, r->arena, s);
    check_path(r, "suspend.http.check", bound_value(asked, SET_SUSPEND_CHECK_path));
    if (!suspend->given)
        diag_error(r->diag, b->at,
                   "suspend.http needs what sends the model to sleep, such as "
                   "suspend: {path: /sleep}");
    if (check->given && !check->broken && (!*s->check_path || !*s->check_member))
        diag_error(r->diag, check->at,
                   "suspend.http.check needs a path and a member, such as "
                   "{path: /is_sleeping, member: is_sleeping}");
}

/* Which engine the mapping is of; none: an error has been reported. */
static enum config_suspend choose_engine(struct resolver *r, const struct value *v)
{
    const struct bound *b = v->children[0];
    enum config_suspend word = CONFIG_SUSPEND_NONE;
    uint32_t given = 0;
    for (size_t i = 0; i < countof(engines); i++) {
        if (!bound_value(b, engines[i].key)->given)
            continue;
        word = engines[i].word;
        given++;
    }
    if (given == 1)
        return word;
    diag_error(r->diag, v->at,
               "suspend takes one engine with its settings, vllm, tabby or http, not "
               "%s; what has no settings is written as a word, such as suspend: "
               "sglang",
               given ? "several" : "none of them");
    return CONFIG_SUSPEND_NONE;
}

static void resolve_engine(struct resolver *r, const struct value *v, struct config_model *m)
{
    const struct bound *b = v->children[0], *tabby = bound_child(b, SET_SUSPEND_tabby);
    m->suspend = choose_engine(r, v);
    bound_project(bound_child(b, SET_SUSPEND_vllm), r->arena, &m->sleep);
    bound_project(tabby, r->arena, &m->sleep);
    m->sleep.admin_key = arena_text(r->arena, bound_value(tabby, SET_SUSPEND_TABBY_adminKey)->text);
    for (const char *p = m->sleep.admin_key; *p; p++)
        if ((unsigned char)*p <= 0x20 || *p == 0x7f) {
            diag_error(r->diag, bound_value(tabby, SET_SUSPEND_TABBY_adminKey)->at,
                       "suspend.tabby.adminKey has blanks or control characters in it");
            break;
        }
    if (m->suspend == CONFIG_SUSPEND_TABBY && !*m->sleep.model && !v->broken)
        diag_error(r->diag, tabby->at,
                   "suspend.tabby needs the model that it loads again, such as "
                   "model: NAME");
    if (m->suspend == CONFIG_SUSPEND_HTTP)
        resolve_http(r, bound_child(b, SET_SUSPEND_http), &m->sleep);
}

void resolve_sleep(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *v = bound_value(b, SET_MODEL_suspend);
    char *none = arena_text(r->arena, "");
    m->sleep = (struct config_sleep){.level = 1,
                                     .model = none,
                                     .admin_key = none,
                                     .suspend = {.path = none, .body = none},
                                     .resume = {.path = none, .body = none},
                                     .check_path = none,
                                     .check_member = none,
                                     .check_value = none};
    if (!v->given || v->broken)
        return;
    if (!v->is_word) {
        resolve_engine(r, v, m);
        return;
    }
    m->suspend = (enum config_suspend)v->number;
    for (size_t i = 0; i < countof(engines); i++)
        if (engines[i].word == m->suspend && engines[i].needs)
            diag_error(r->diag, v->at, "suspend: %s does not say %s",
                       config_suspend_words[m->suspend], engines[i].needs);
}
