/* The models: commands, addresses, names. */
#include <stdlib.h>
#include <string.h>

#include "base/pure/units.h"
#include "config/command.h"
#include "config/json.h"
#include "config/nearest.h"
#include "config/proxy.h"
#include "config/resolve.h"

#define PORT_REFERENCE "${PORT}"
/* llama-swap's auto-configured ComfyUI opens many connections at once. */
#define COMFYUI_ID "comfyui_auto"
#define COMFYUI_CONCURRENCY 50

struct config_strings resolve_texts(struct resolver *r, const struct value *v)
{
    struct config_strings s = {.items = NULL, .count = v->count};
    s.items = arena_alloc(r->arena, v->count, sizeof(*s.items));
    for (uint32_t i = 0; i < v->count; i++)
        s.items[i] = arena_text(r->arena, v->texts[i].text);
    return s;
}

struct config_pairs resolve_pairs(struct resolver *r, const struct value *v)
{
    struct config_pairs p = {.items = NULL, .count = v->count};
    p.items = arena_alloc(r->arena, v->count, sizeof(*p.items));
    for (uint32_t i = 0; i < v->count; i++) {
        const struct bound_text *t = &v->texts[i];
        p.items[i].key = arena_text(r->arena, t->text);
        p.items[i].text = t->word ? arena_text(r->arena, t->word)
                                  : arena_printf(r->arena, "%lld", (long long)t->number);
    }
    return p;
}

void resolve_warn_of_shell(struct resolver *r, const char *key, struct place at,
                           const struct config_strings *argv)
{
    static const char *const shells[] = {"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"};
    for (uint32_t i = 1; i < argv->count; i++)
        for (size_t k = 0; k < countof(shells); k++) {
            if (strcmp(argv->items[i], shells[k]) != 0)
                continue;
            diag_warn(r->diag, at,
                      "%s: no shell is involved, so %s is just a word for %s; where a shell is "
                      "meant, write sh -c '...'",
                      key, diag_quote(r->diag, shells[k]), diag_quote(r->diag, argv->items[0]));
            return;
        }
}

struct config_strings resolve_argv(struct resolver *r, const char *key, const struct value *v)
{
    struct config_strings argv = {0};
    if (v->broken || v->text[strspn(v->text, " \t\n")] == '\0')
        return argv;
    bool open = false;
    const char *problem = config_split_command(r->arena, v->text, &argv, &open);
    if (problem)
        diag_error(r->diag, v->at, "%s: %s", key, problem);
    if (open)
        diag_warn(r->diag, v->at, "%s: a quote is never closed; it ends with the text", key);
    resolve_warn_of_shell(r, key, v->at, &argv);
    return argv;
}

/* Each command has to listen where requests will go. */
static void check_port_of_variants(struct resolver *r, const struct bound *b,
                                   const struct config_model *m)
{
    const struct value *devices = bound_value(b, SET_MODEL_devices);
    for (uint32_t i = 0; m->uses_port && i < devices->count && i < m->placement_count; i++) {
        const struct config_placement *p = &m->placements[i];
        if (!strstr(*p->cmd ? p->cmd : m->cmd, PORT_REFERENCE))
            diag_error(r->diag, devices->children[i]->at,
                       "the command of device %s has no ${PORT}, which the model's proxy has; put "
                       "it there",
                       diag_quote(r->diag, p->id));
    }
}

/* Whoever has misspelt the backend did not mean a process. */
static bool is_doubtful(const struct bound *b)
{
    return b->broken || bound_value(b, SET_MODEL_backend)->broken;
}

static void resolve_proxy(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *proxy = bound_value(b, SET_MODEL_proxy);
    const struct value *cmd = bound_value(b, SET_MODEL_cmd);
    bool none = *proxy->text == '\0' || m->backend == CONFIG_BACKEND_OLLAMA ||
                (m->backend == CONFIG_BACKEND_WORKER && !proxy->given);
    m->proxy = none ? arena_text(r->arena, "") : proxy_resolve(r, "proxy", proxy);
    if (proxy->broken || (none && m->backend != CONFIG_BACKEND_PROCESS))
        return;
    if (*m->proxy == '\0' && *m->cmd)
        diag_warn(r->diag, proxy->at, "the proxy of model %s is empty, so it cannot be started",
                  diag_quote(r->diag, m->id));
    if (is_doubtful(b) || cmd->broken || !strstr(m->proxy, PORT_REFERENCE))
        return;
    check_port_of_variants(r, b, m);
    if (m->uses_port)
        return;
    if (proxy->given)
        diag_error(r->diag, proxy->at, "proxy has ${PORT} but cmd has not; put ${PORT} into cmd");
    else
        diag_error(r->diag, b->at,
                   "model %s: the default proxy is http://localhost:${PORT}, but cmd has no "
                   "${PORT}; put it there, or write proxy",
                   diag_quote(r->diag, m->id));
}

/* ${PORT} in a model whose cmd does not have it would stay as it is. */
static void check_port_use(struct resolver *r, const struct value *v, const char *text,
                           const char *key)
{
    if (!v->broken && strstr(text, PORT_REFERENCE))
        diag_error(r->diag, v->at, "%s has ${PORT} but cmd has not; put ${PORT} into cmd", key);
}

/* Its own counts for each placement that has none. */
static bool lacks_command(const struct config_model *m)
{
    bool lacks = m->placement_count == 0;
    for (uint32_t i = 0; i < m->placement_count; i++)
        lacks |= *m->placements[i].cmd == '\0';
    return lacks && m->cmd[strspn(m->cmd, " \t\n")] == '\0';
}

static void resolve_command(struct resolver *r, const struct bound *b, struct config_model *m,
                            uint16_t port)
{
    const struct value *cmd = bound_value(b, SET_MODEL_cmd);
    const struct value *stop = bound_value(b, SET_MODEL_cmdStop);
    m->cmd = arena_text(r->arena, cmd->text);
    m->cmd_stop = arena_text(r->arena, stop->text);
    m->argv = resolve_argv(r, "cmd", cmd);
    m->stop_argv = resolve_argv(r, "cmdStop", stop);
    if (m->stop_argv.count == 0)
        m->cmd_stop = arena_text(r->arena, "");
    m->uses_port = port != 0;
    m->port_preferred = port;
    if (m->backend == CONFIG_BACKEND_PROCESS && !is_doubtful(b) && !cmd->broken && lacks_command(m))
        diag_warn(r->diag, b->at, "model %s has no cmd, so it cannot be started",
                  diag_quote(r->diag, m->id));
    if (!m->uses_port && !cmd->broken)
        check_port_use(r, stop, m->cmd_stop, "cmdStop");
}

static void resolve_env(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *env = bound_value(b, SET_MODEL_env);
    m->env.items = arena_alloc(r->arena, env->count, sizeof(*m->env.items));
    for (uint32_t i = 0; i < env->count; i++) {
        const struct bound_text *t = &env->texts[i];
        if (!strchr(t->text, '=') || t->text[0] == '=') {
            diag_warn(r->diag, t->at, "env takes NAME=value; %s is ignored",
                      diag_quote(r->diag, t->text));
            continue;
        }
        m->env.items[m->env.count++] = arena_text(r->arena, t->text);
        struct value at = {.at = t->at};
        if (!m->uses_port && !bound_value(b, SET_MODEL_cmd)->broken)
            check_port_use(r, &at, t->text, "env");
    }
}

/* The path of it; an absolute URL is accepted for its path, as in llama-swap. */
static void resolve_endpoint(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *v = bound_value(b, SET_MODEL_checkEndpoint);
    const char *text = v->text, *scheme = strstr(text, "://");
    if (strcmp(text, "none") == 0) {
        m->check_endpoint = arena_text(r->arena, "");
        return;
    }
    if (scheme && strcspn(text, "/?#") > (size_t)(scheme - text))
        text = scheme + 3 + strcspn(scheme + 3, "/?#");
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p > 0x20 && *p != 0x7f && *p != '#')
            continue;
        diag_error(r->diag, v->at, "checkEndpoint %s is no path; write such as /health, or none",
                   diag_quote(r->diag, v->text));
        break;
    }
    m->check_endpoint = arena_printf(r->arena, "%s%s", *text == '/' ? "" : "/", text);
}

static int by_text(const void *pa, const void *pb)
{
    const char *const *a = pa, *const *b = pb;
    return strcmp(*a, *b);
}

/* The names of setParamsByID are aliases as well, behind those that are written as such. */
static void resolve_aliases(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *v = bound_value(b, SET_MODEL_aliases);
    struct config_strings *all = &m->aliases;
    all->items = arena_alloc(r->arena, v->count + m->filters.variant_count, sizeof(char *));
    for (uint32_t i = 0; i < v->count; i++)
        if (*v->texts[i].text)
            all->items[all->count++] = arena_text(r->arena, v->texts[i].text);
    uint32_t written = all->count;
    char **sorted = arena_alloc(r->scratch, written, sizeof(*sorted));
    if (written) {
        memcpy(sorted, all->items, written * sizeof(*sorted));
        qsort(sorted, written, sizeof(*sorted), by_text);
    }
    for (uint32_t i = 0; i < m->filters.variant_count; i++) {
        char *name = m->filters.variants[i].id;
        bool again = strcmp(name, m->id) == 0 ||
                     (written && bsearch(&name, sorted, written, sizeof(*sorted), by_text));
        if (!again)
            all->items[all->count++] = name;
    }
}

/* What is done to requests, and said in lists. */
static void resolve_bodies(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *loading = bound_value(b, SET_MODEL_sendLoadingState);
    if (!loading->given)
        loading = bound_value(r->root, SET_ROOT_sendLoadingState);
    m->sends_loading_state = loading->flag;
    m->filters = resolve_filters(r, bound_child(b, SET_MODEL_filters));
    m->metadata = resolve_any(r, bound_value(b, SET_MODEL_metadata));
    bound_project(bound_child(b, SET_MODEL_compat), r->arena, m);
    resolve_aliases(r, b, m);
}

static struct config_strings resolve_modalities(struct resolver *r, const struct value *v,
                                                const char *key)
{
    for (uint32_t i = 0; i < v->count; i++) {
        const struct bound_text *t = &v->texts[i];
        struct nearest near = nearest_to(t->text);
        bool known = false;
        for (uint32_t k = 0; k < CONFIG_MODALITY__COUNT; k++) {
            known |= strcmp(t->text, config_modality_words[k]) == 0;
            nearest_offer(&near, config_modality_words[k]);
        }
        if (!known)
            diag_error(r->diag, t->at, "capabilities.%s takes text, audio and image, not %s%s", key,
                       diag_quote(r->diag, t->text), diag_hint(r->diag, near.best));
    }
    return resolve_texts(r, v);
}

static void resolve_capabilities(struct resolver *r, const struct bound *b, struct config_model *m)
{
    struct config_capabilities *c = &m->capabilities;
    bound_project(b, r->arena, m);
    c->in = resolve_modalities(r, bound_value(b, SET_CAPABILITIES_in), "in");
    c->out = resolve_modalities(r, bound_value(b, SET_CAPABILITIES_out), "out");
    c->configured = c->in.count || c->out.count || c->tools || c->reranker || c->context_tokens;
}

char *resolve_trimmed(struct resolver *r, const char *text)
{
    text += strspn(text, " \t\r\n");
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    return arena_text_n(r->arena, text, n);
}

char *resolve_any(struct resolver *r, const struct value *v)
{
    return v->node ? json_from_node(r->arena, r->diag, v->node) : arena_text(r->arena, "{}");
}

void resolve_check_name(struct resolver *r, const struct bound *b, const char *what)
{
    bool control = false;
    for (const char *p = b->id; *p; p++)
        control |= (unsigned char)*p < 0x20;
    if (*b->id == '\0')
        diag_error(r->diag, b->at, "a %s needs an id", what);
    else if (control)
        diag_error(r->diag, b->at, "%s id %s holds a line break or a tab", what,
                   diag_quote(r->diag, b->id));
}

static void resolve_model(struct resolver *r, const struct bound *b, struct config_model *m,
                          uint16_t port)
{
    resolve_check_name(r, b, "model");
    m->id = arena_text(r->arena, b->id);
    bound_project(b, r->arena, m);
    bound_project(bound_child(b, SET_MODEL_timeouts), r->arena, m);
    m->group = UINT32_MAX;
    m->evict_cost = 1;
    resolve_backend(r, b, m);
    resolve_placements(r, b, m);
    resolve_command(r, b, m, port);
    resolve_proxy(r, b, m);
    resolve_env(r, b, m);
    resolve_endpoint(r, b, m);
    resolve_times(r, b, m);
    resolve_sleep(r, b, m);
    resolve_bodies(r, b, m);
    resolve_capabilities(r, bound_child(b, SET_MODEL_capabilities), m);
    if (strcmp(m->id, COMFYUI_ID) != 0)
        return;
    m->ignore_websockets = true;
    if (m->concurrency_limit < COMFYUI_CONCURRENCY)
        m->concurrency_limit = COMFYUI_CONCURRENCY;
}

static int by_id(const void *pa, const void *pb)
{
    const struct bound *const *a = pa, *const *b = pb;
    return strcmp((*a)->id, (*b)->id);
}

const struct bound **resolve_sorted(struct resolver *r, const struct value *v)
{
    const struct bound **sorted = arena_alloc(r->scratch, v->count, sizeof(*sorted));
    for (uint32_t i = 0; i < v->count; i++)
        sorted[i] = v->children[i];
    if (v->count)
        qsort(sorted, v->count, sizeof(*sorted), by_id);
    return sorted;
}

void resolve_models(struct resolver *r)
{
    const struct value *v = bound_value(r->root, SET_ROOT_models);
    struct config *c = r->config;
    r->models = resolve_sorted(r, v);
    if (v->count > CONFIG_MODELS_MAX)
        diag_error(r->diag, v->at, "more than %d models", CONFIG_MODELS_MAX);
    c->models = arena_alloc(r->arena, v->count, sizeof(*c->models));
    c->model_count = v->count;
    for (uint32_t i = 0; i < v->count; i++)
        resolve_model(r, r->models[i], &c->models[i],
                      i < r->ports->count ? r->ports->numbers[i] : 0);
}

uint32_t resolve_find(const struct resolver *r, const char *name)
{
    const struct config_model *m = config_find_model(r->config, name);
    return m ? (uint32_t)(m - r->config->models) : UINT32_MAX;
}

const char *resolve_model_hint(const struct resolver *r, const char *name)
{
    const char *near = NULL;
    if (!diag_full(r->diag) && config_nearest_models(r->config, name, &near, 1))
        return diag_hint(r->diag, near);
    return "";
}
