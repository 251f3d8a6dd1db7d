/* Who serves a model: a process of wharf's own, an Ollama server, or a worker. */
#include <string.h>

#include "base/pure/units.h"
#include "config/ollama_name.h"
#include "config/proxy.h"
#include "config/resolve.h"

#define PROCESS (1U << CONFIG_BACKEND_PROCESS)
#define OLLAMA (1U << CONFIG_BACKEND_OLLAMA)
#define WORKER (1U << CONFIG_BACKEND_WORKER)

/* What Ollama needs to load and unload is known better than for any process. */
#define OLLAMA_LOAD_NS (30 * NS_PER_S)
#define OLLAMA_UNLOAD_NS (5 * NS_PER_S)
#define OLLAMA_LOAD_RETRIES 3

/* Keys that only some backends have. */
static const struct {
    enum setting_id key;
    uint32_t backends;
    const char *instead;
} rules[] = {
    {SET_MODEL_cmd, PROCESS, "wharf does not start its server"},
    {SET_MODEL_cmdStop, PROCESS, "wharf does not end its server"},
    {SET_MODEL_env, PROCESS, "wharf does not start its server"},
    {SET_MODEL_checkEndpoint, PROCESS, "it says itself when the model is ready"},
    {SET_MODEL_suspend, PROCESS, "only the engine of a process can be sent to sleep"},
    {SET_MODEL_proxy, PROCESS | WORKER, "write endpoint"},
    {SET_MODEL_endpoint, OLLAMA, "write proxy, or backend: ollama"},
    {SET_MODEL_model, OLLAMA, "write useModelName, or backend: ollama"},
    {SET_MODEL_useModelName, PROCESS | WORKER, "write model"},
    {SET_MODEL_devices, PROCESS | WORKER,
     "Ollama chooses where its models sit; write vram and gpus, by which wharf plans"},
    {SET_MODEL_vram, PROCESS | OLLAMA, "write such as devices: {cuda: {vram: 500MiB}, cpu: {}}"},
    {SET_MODEL_gpus, PROCESS | OLLAMA, "write such as devices: {cuda: {gpus: [0]}, cpu: {}}"},
    {SET_MODEL_gpuCount, PROCESS | OLLAMA, "write it below devices"},
};

/* An empty text says nothing, nor does the first word, which is none. */
static bool says_something(enum setting_id id, const struct value *v)
{
    enum setting_type type = settings[id].type;
    if (type == TYPE_TEXT || type == TYPE_TRIMMED)
        return v->given && !v->broken && *v->text != '\0';
    if (settings[id].words)
        return v->given && !v->broken && !(v->is_word && v->number == 0);
    return v->given && !v->broken;
}

void resolve_backend(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *endpoint = bound_value(b, SET_MODEL_endpoint);
    const struct value *model = bound_value(b, SET_MODEL_model);
    bool broken = b->broken || bound_value(b, SET_MODEL_backend)->broken;
    for (size_t i = 0; !broken && i < countof(rules); i++) {
        const struct value *v = bound_value(b, rules[i].key);
        if (!(rules[i].backends & 1U << m->backend) && says_something(rules[i].key, v))
            diag_error(r->diag, v->at, "%s cannot be given with backend: %s; %s",
                       settings[rules[i].key].key, config_backend_words[m->backend],
                       rules[i].instead);
    }
    m->endpoint = m->backend_model = arena_text(r->arena, "");
    if (m->backend != CONFIG_BACKEND_OLLAMA)
        return;
    m->backend_model = arena_text(r->arena, *model->text ? model->text : m->id);
    m->endpoint = proxy_resolve(r, "endpoint", endpoint);
    for (size_t n = strlen(m->endpoint); n && m->endpoint[n - 1] == '/'; n--)
        m->endpoint[n - 1] = '\0';
}

/* What is there is there once, and can be one model's only. */
static void check_same(struct resolver *r, uint32_t later)
{
    const struct config *c = r->config;
    const struct config_model *b = &c->models[later];
    for (uint32_t i = 0; i < later; i++) {
        const struct config_model *a = &c->models[i];
        if (a->endpoint_number != b->endpoint_number ||
            !config_same_ollama_name(a->backend_model, b->backend_model))
            continue;
        diag_error(r->diag, bound_value(r->models[later], SET_MODEL_backend)->at,
                   "model %s is the same model of the same server as %s; write an alias of that",
                   diag_quote(r->diag, b->id), diag_quote(r->diag, a->id));
        return;
    }
}

/* Which of the models before has what may be the same server by another name; UINT32_MAX: none. */
static uint32_t find_namesake(const struct config *c, uint32_t later)
{
    const char *a = c->models[later].endpoint, *a_tail, *b_tail;
    if (!resolve_endpoint_is_here(a, &a_tail))
        return UINT32_MAX;
    for (uint32_t i = 0; i < later; i++) {
        const char *b = c->models[i].endpoint;
        if (*b && resolve_endpoint_is_here(b, &b_tail) && *a == *b && strcmp(a_tail, b_tail) == 0 &&
            strcmp(a, b) != 0)
            return i;
    }
    return UINT32_MAX;
}

/* Taken for two, each would see the other's models as a stranger's. */
static void warn_of_namesake(struct resolver *r, uint32_t later)
{
    const struct config *c = r->config;
    uint32_t same = find_namesake(c, later);
    if (same != UINT32_MAX)
        diag_warn(r->diag, bound_value(r->models[later], SET_MODEL_endpoint)->at,
                  "the endpoint of model %s seems to be that of %s under another name, and counts "
                  "as another server; write both as %s",
                  diag_quote(r->diag, c->models[later].id), diag_quote(r->diag, c->models[same].id),
                  c->models[same].endpoint);
}

/* Models of one endpoint come and go with it. */
void resolve_endpoints(struct resolver *r)
{
    struct config *c = r->config;
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        struct config_model *m = &c->models[i];
        for (uint32_t k = 0; *m->endpoint && k < i && !m->endpoint_number; k++)
            if (strcmp(c->models[k].endpoint, m->endpoint) == 0)
                m->endpoint_number = c->models[k].endpoint_number;
        if (m->endpoint_number)
            check_same(r, i);
        if (!*m->endpoint || m->endpoint_number)
            continue;
        m->endpoint_number = ++count;
        warn_of_namesake(r, i);
        if (count == CONFIG_ENDPOINTS_MAX + 1)
            diag_error(r->diag, bound_value(r->models[i], SET_MODEL_endpoint)->at,
                       "model %s has the endpoint number %u; %d different ones are the most",
                       diag_quote(r->diag, m->id), count, CONFIG_ENDPOINTS_MAX);
    }
}

/* The model's own, else the top level's; ret: what the table makes of them. */
static bool time_is_given(const struct resolver *r, const struct bound *b, enum setting_id own,
                          enum setting_id top, const struct value **ret)
{
    *ret = bound_value(b, own)->given ? bound_value(b, own) : bound_value(r->root, top);
    return (*ret)->given;
}

void resolve_times(struct resolver *r, const struct bound *b, struct config_model *m)
{
    const struct value *load, *unload;
    bool ollama = m->backend == CONFIG_BACKEND_OLLAMA;
    if (!bound_value(b, SET_MODEL_ttl)->given)
        m->ttl_ns = (uint64_t)bound_value(r->root, SET_ROOT_globalTTL)->number;
    bool given =
        time_is_given(r, b, SET_MODEL_healthCheckTimeout, SET_ROOT_healthCheckTimeout, &load);
    m->load_timeout_ns = (uint64_t)load->number;
    if (!given && ollama)
        m->load_timeout_ns = OLLAMA_LOAD_NS;
    /* The least time that llama-swap gives a process means nothing to others. */
    if (given && m->backend != CONFIG_BACKEND_PROCESS && load->written > 0)
        m->load_timeout_ns = (uint64_t)load->written;
    given = time_is_given(r, b, SET_MODEL_unloadTimeout, SET_ROOT_unloadTimeout, &unload);
    m->unload_timeout_ns = !given && ollama ? OLLAMA_UNLOAD_NS : (uint64_t)unload->number;
    if (ollama && !bound_value(b, SET_MODEL_maxLoadRetries)->given)
        m->load_retries_max = OLLAMA_LOAD_RETRIES;
}
