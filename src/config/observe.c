/* Logs, history, captures, measurements, and paths that do not count. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/nearest.h"
#include "config/pattern.h"
#include "config/resolve.h"

#define SESSION_HEADERS_MAX 64

static void resolve_log(struct resolver *r)
{
    const struct value *v = bound_value(r->root, SET_ROOT_logTimeFormat);
    struct nearest near = nearest_to(v->text);
    r->config->observe.log_stdout_given = bound_value(r->root, SET_ROOT_logToStdout)->given;
    r->config->observe.log_time_given = v->given;
    for (uint32_t i = 0; i < CONFIG_LOG_TIME__COUNT; i++) {
        if (strcasecmp(v->text, config_log_time_words[i]) == 0) {
            r->config->observe.log_time = (enum config_log_time)i;
            return;
        }
        nearest_offer(&near, config_log_time_words[i]);
    }
    diag_warn(r->diag, v->at, "logTimeFormat %s is not known, so no times are logged%s",
              diag_quote(r->diag, v->text), diag_hint(r->diag, near.best));
}

/* The folder that a file is in. */
static const char *folder_of(struct resolver *r, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    return arena_text_n(r->scratch, path, slash == path ? 1 : (size_t)(slash - path));
}

/* Found out at load, so that a reload with a path that cannot work changes nothing. */
static void resolve_store(struct resolver *r)
{
    const struct value *v = bound_value(bound_child(r->root, SET_ROOT_store), SET_STORE_path);
    struct stat st;
    if (!v->given || v->broken)
        return;
    const char *path = resolve_trimmed(r, v->text), *quoted = diag_quote(r->diag, path);
    r->config->observe.store_path = arena_text(r->arena, path);
    const char *folder = folder_of(r, path);
    if (*path == '\0')
        diag_error(r->diag, v->at, "store.path must not be empty");
    else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        diag_error(r->diag, v->at, "store.path %s is a directory, not a file", quoted);
    else if (access(path, F_OK) == 0 && access(path, W_OK) < 0)
        diag_error(r->diag, v->at, "store.path %s is not writable: %s", quoted, strerror(errno));
    else if (access(folder, W_OK | X_OK) < 0)
        diag_error(r->diag, v->at, "store.path %s: directory %s is not writable: %s", quoted,
                   diag_quote(r->diag, folder), strerror(errno));
}

static void resolve_session_headers(struct resolver *r)
{
    const struct bound *activity = bound_child(bound_child(r->root, SET_ROOT_ui), SET_UI_activity);
    const struct value *v = bound_value(activity, SET_UI_ACTIVITY_session_id);
    struct config_strings *headers = &r->config->observe.session_headers;
    if (v->count > SESSION_HEADERS_MAX) {
        diag_error(r->diag, v->at, "session_id has more than %d headers", SESSION_HEADERS_MAX);
        return;
    }
    headers->items = arena_alloc(r->arena, v->count, sizeof(*headers->items));
    for (uint32_t i = 0; i < v->count; i++) {
        char *name = resolve_trimmed(r, v->texts[i].text);
        bool again = false;
        for (uint32_t k = 0; k < headers->count; k++)
            again |= strcasecmp(headers->items[k], name) == 0;
        if (*name && !again)
            headers->items[headers->count++] = name;
    }
}

static void add_pattern(struct resolver *r, const char *text, struct place at)
{
    struct config_observe *o = &r->config->observe;
    const char *problem = NULL;
    size_t offset = 0;
    void *code = pattern_compile(r->arena, text, &problem, &offset);
    if (code)
        o->ignored[o->ignored_count++] =
            (struct config_pattern){.text = arena_text(r->arena, text), .code = code};
    else
        diag_error(r->diag, at,
                   "upstream.ignorePaths: invalid regular expression %s: %s, behind %zu bytes",
                   diag_quote(r->diag, text), problem, offset);
}

/* An empty list means the default, as in llama-swap. */
static void resolve_ignored(struct resolver *r)
{
    static const struct setting *const row = &settings[SET_UPSTREAM_ignorePaths];
    const struct value *v =
        bound_value(bound_child(r->root, SET_ROOT_upstream), SET_UPSTREAM_ignorePaths);
    struct config_observe *o = &r->config->observe;
    o->ignored = arena_alloc(r->arena, v->count + 1, sizeof(*o->ignored));
    for (uint32_t i = 0; i < v->count; i++)
        add_pattern(r, v->texts[i].text, v->texts[i].at);
    if (v->count == 0)
        add_pattern(r, row->def, v->at);
}

void resolve_observe(struct resolver *r)
{
    bound_project(bound_child(r->root, SET_ROOT_store), r->arena, r->config);
    bound_project(bound_child(r->root, SET_ROOT_log), r->arena, r->config);
    bound_project(bound_child(r->root, SET_ROOT_history), r->arena, r->config);
    bound_project(bound_child(r->root, SET_ROOT_performance), r->arena, r->config);
    resolve_log(r);
    resolve_store(r);
    resolve_session_headers(r);
    resolve_ignored(r);
}

bool config_ignores_path(const struct config *c, const char *path, size_t n)
{
    for (uint32_t i = 0; i < c->observe.ignored_count; i++)
        if (pattern_found(c->observe.ignored[i].code, path, n))
            return true;
    return false;
}
