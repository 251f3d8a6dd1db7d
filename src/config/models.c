/* The models: commands, addresses, names. */
#include <stdlib.h>
#include <string.h>

#include "base/pure/units.h"
#include "config/command.h"
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

static struct config_strings split(struct resolver *r, const struct bound *b, enum setting_id id)
{
    struct config_strings argv = {0};
    const struct value *v = bound_value(b, id);
    if (v->broken || v->text[strspn(v->text, " \t\n")] == '\0')
        return argv;
    const char *problem = config_split_command(r->arena, v->text, &argv);
    if (problem)
        diag_error(r->diag, v->at, "%s: %s", settings[id].key, problem);
    return argv;
}

/* Behind the port at p: its end, or NULL when it is none. */
static const char *port_end(const char *p)
{
    if (strncmp(p, PORT_REFERENCE, strlen(PORT_REFERENCE)) == 0)
        return p + strlen(PORT_REFERENCE);
    char *end;
    size_t digits = strspn(p, "0123456789");
    unsigned long port = digits ? strtoul(p, &end, 10) : 0;
    return digits && digits < 6 && port >= 1 && port <= UINT16_MAX ? p + digits : NULL;
}

/* What is wrong with an upstream's address, or NULL. */
static const char *proxy_problem(const char *text)
{
    const char *p = text;
    if (strncmp(p, "http://", 7) == 0)
        p += 7;
    else if (strncmp(p, "https://", 8) == 0)
        p += 8;
    else
        return "it must start with http:// or https://";
    if (text[strcspn(text, " \t\r\n\"<>\\")] != '\0')
        return "it holds a character that no URL may have";
    size_t authority = strcspn(p, "/?#");
    const char *path = p + authority, *at = memchr(p, '@', authority);
    if (at)
        return "user names and passwords in it are not supported";
    if (strpbrk(path, "?#"))
        return "it must end with its path";
    size_t host = *p == '[' ? strcspn(p, "]") + 1 : strcspn(p, ":/");
    if (host > authority || host < (*p == '[' ? 4u : 1u))
        return "it names no host";
    const char *end = p + host;
    if (*end == ':')
        end = port_end(end + 1);
    return end == path ? NULL : "its port must be a number from 1 to 65535, or ${PORT}";
}

static void check_proxy(struct resolver *r, const struct bound *b, const struct config_model *m)
{
    const struct value *proxy = bound_value(b, SET_MODEL_proxy);
    const struct value *cmd = bound_value(b, SET_MODEL_cmd);
    if (proxy->broken)
        return;
    const char *problem = proxy_problem(m->proxy);
    if (problem)
        diag_error(r->diag, proxy->at, "this proxy cannot be used: %s", problem);
    if (m->uses_port || b->broken || cmd->broken || !strstr(m->proxy, PORT_REFERENCE))
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

static void resolve_command(struct resolver *r, const struct bound *b, struct config_model *m,
                            uint16_t port)
{
    const struct value *cmd = bound_value(b, SET_MODEL_cmd);
    const struct value *stop = bound_value(b, SET_MODEL_cmdStop);
    m->cmd = arena_text(r->arena, cmd->text);
    m->cmd_stop = arena_text(r->arena, stop->text);
    m->argv = split(r, b, SET_MODEL_cmd);
    m->stop_argv = split(r, b, SET_MODEL_cmdStop);
    if (m->stop_argv.count == 0)
        m->cmd_stop = arena_text(r->arena, "");
    m->uses_port = port != 0;
    m->port_preferred = port;
    if (!b->broken && !cmd->broken && m->cmd[strspn(m->cmd, " \t\n")] == '\0')
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

static void resolve_times(struct resolver *r, const struct bound *b, struct config_model *m)
{
    if (!bound_value(b, SET_MODEL_healthCheckTimeout)->given)
        m->load_timeout_ns = (uint64_t)bound_value(r->root, SET_ROOT_healthCheckTimeout)->number;
    if (!bound_value(b, SET_MODEL_ttl)->given)
        m->ttl_ns = (uint64_t)bound_value(r->root, SET_ROOT_globalTTL)->number;
    if (!bound_value(b, SET_MODEL_unloadTimeout)->given)
        m->unload_timeout_ns = (uint64_t)bound_value(r->root, SET_ROOT_unloadTimeout)->number;
}

static void resolve_memory(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *vram = bound_value(b, SET_MODEL_vram);
    m->gpus = resolve_texts(r, bound_value(b, SET_MODEL_gpus));
    if (m->gpu_count == 0)
        m->gpu_count = 1; /* refused already; vram is divided by it all the same */
    if (vram->given && !vram->broken) {
        bool is_auto = vram->number == BOUND_VRAM_AUTO;
        m->vram = is_auto ? CONFIG_VRAM_AUTO : CONFIG_VRAM_BYTES;
        m->vram_bytes = is_auto ? 0 : (uint64_t)vram->number;
    }
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
    m->proxy = arena_text(r->arena, bound_value(b, SET_MODEL_proxy)->text);
    m->aliases = resolve_texts(r, bound_value(b, SET_MODEL_aliases));
    m->group = UINT32_MAX;
    m->evict_cost = 1;
    resolve_command(r, b, m, port);
    check_proxy(r, b, m);
    resolve_env(r, b, m);
    resolve_endpoint(r, b, m);
    resolve_times(r, b, m);
    resolve_memory(r, b, m);
    if (strcmp(m->id, COMFYUI_ID) == 0 && m->concurrency_limit < COMFYUI_CONCURRENCY)
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

struct claim {
    const char *name;
    uint32_t model;
    bool alias;
    struct place at;
};

static int by_name(const void *pa, const void *pb)
{
    const struct claim *a = pa, *b = pb;
    int order = strcmp(a->name, b->name);
    if (order != 0)
        return order;
    if (a->alias != b->alias)
        return a->alias ? 1 : -1;
    if (a->at.line != b->at.line)
        return a->at.line < b->at.line ? -1 : 1;
    return a->at.column < b->at.column ? -1 : a->at.column > b->at.column;
}

static uint32_t collect_claims(struct resolver *r, struct claim *claims)
{
    const struct config *c = r->config;
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct value *aliases = bound_value(r->models[i], SET_MODEL_aliases);
        claims[n++] = (struct claim){.name = c->models[i].id, .model = i, .at = r->models[i]->at};
        for (uint32_t k = 0; k < aliases->count; k++) {
            if (*aliases->texts[k].text == '\0')
                diag_error(r->diag, aliases->texts[k].at, "an alias is empty");
            claims[n++] = (struct claim){.name = c->models[i].aliases.items[k],
                                         .model = i,
                                         .alias = true,
                                         .at = aliases->texts[k].at};
        }
    }
    return n;
}

/* The sorted list behind config_find_model. An alias that is some model's id is shadowed by it. */
static void resolve_names(struct resolver *r)
{
    struct config *c = r->config;
    uint32_t room = c->model_count;
    for (uint32_t i = 0; i < c->model_count; i++)
        room += c->models[i].aliases.count;
    struct claim *claims = arena_alloc(r->scratch, room, sizeof(*claims));
    uint32_t n = collect_claims(r, claims);
    if (n)
        qsort(claims, n, sizeof(*claims), by_name);
    c->names = arena_alloc(r->arena, n, sizeof(*c->names));
    for (uint32_t i = 0; i < n; i++) {
        const struct claim *now = &claims[i];
        const struct config_name *last = c->name_count ? &c->names[c->name_count - 1] : NULL;
        if (!last || strcmp(last->name, now->name) != 0) {
            c->names[c->name_count++] = (struct config_name){
                .name = now->name, .kind = CONFIG_NAME_MODEL, .index = now->model};
        } else if (now->alias && strcmp(c->models[last->index].id, now->name) == 0) {
            diag_warn(r->diag, now->at, "alias %s is also the id of a model, which comes first",
                      diag_quote(r->diag, now->name));
        } else if (now->alias) {
            diag_error(r->diag, now->at, "alias %s already belongs to model %s",
                       diag_quote(r->diag, now->name),
                       diag_quote(r->diag, c->models[last->index].id));
        }
    }
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
    resolve_names(r);
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
