/* What the daemon listens on, who may come in, and the GPUs. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "config/nearest.h"
#include "config/resolve.h"

#define UNIX_PREFIX "unix:"
#define GPU_NAME_MAX 63
/* What the core keeps books on: CORE_DEVICES_MAX. */
#define GPUS_MAX 8

/* What is wrong with it, or NULL. */
static const char *parse_unix(struct arena *a, const char *path, struct config_listen *ret)
{
    if (*path != '/')
        return "a unix socket needs an absolute path, such as unix:/run/wharf/wharf.sock";
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return "the path of a unix socket may have 107 bytes at most";
    ret->is_unix = true;
    ret->path = arena_text(a, path);
    ret->host = arena_text(a, "");
    return NULL;
}

static const char *parse_listen(struct arena *a, const char *text, struct config_listen *ret)
{
    static const char form[] = "write host:port, :port, [::1]:port or unix:/path";
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return parse_unix(a, text + strlen(UNIX_PREFIX), ret);
    const char *host = text, *colon = strrchr(text, ':');
    if (!colon)
        return form;
    size_t host_len = (size_t)(colon - text), digits = strspn(colon + 1, "0123456789");
    if (*host == '[') {
        if (host_len < 4 || host[host_len - 1] != ']')
            return form;
        host++;
        host_len -= 2;
    } else if (memchr(host, ':', host_len)) {
        return "an IPv6 address stands in brackets: [::1]:8080";
    }
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0' ||
        strtoul(colon + 1, NULL, 10) > UINT16_MAX)
        return "the port must be a number from 0 to 65535";
    for (size_t i = 0; i < host_len; i++)
        if (!isalnum((unsigned char)host[i]) && !strchr(".-_:%*", host[i]))
            return form;
    if (host_len == 1 && *host == '*')
        host_len = 0;
    ret->host = arena_text_n(a, host, host_len);
    ret->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    ret->path = arena_text(a, "");
    return NULL;
}

int config_parse_listen(const char *text, struct config_listen *ret_listen)
{
    struct arena scratch = {0};
    struct config_listen listen = {0};
    int rc = parse_listen(&scratch, text, &listen) ? -1 : 0;
    if (rc == 0) {
        listen.host = alloc_text(listen.host);
        listen.path = alloc_text(listen.path);
        *ret_listen = listen;
    }
    arena_fini(&scratch);
    return rc;
}

void config_listen_fini(struct config_listen *listen)
{
    free(listen->host);
    free(listen->path);
    *listen = (struct config_listen){0};
}

static void resolve_listens(struct resolver *r)
{
    struct config *c = r->config;
    const struct value *v = bound_value(r->root, SET_ROOT_listen);
    c->listens = arena_alloc(r->arena, v->count, sizeof(*c->listens));
    for (uint32_t i = 0; i < v->count; i++) {
        struct config_listen listen = {0};
        const char *problem = parse_listen(r->arena, v->texts[i].text, &listen);
        if (problem)
            diag_error(r->diag, v->texts[i].at, "listen %s: %s",
                       diag_quote(r->diag, v->texts[i].text), problem);
        else
            c->listens[c->listen_count++] = listen;
    }
}

static void resolve_ollama(struct resolver *r)
{
    const struct value *v = bound_value(bound_child(r->root, SET_ROOT_ollama), SET_OLLAMA_listen);
    struct config_listen *listen = arena_alloc(r->arena, 1, sizeof(*listen));
    if (!*v->text)
        return;
    const char *problem = parse_listen(r->arena, v->text, listen);
    if (problem)
        diag_error(r->diag, v->at, "ollama.listen %s: %s", diag_quote(r->diag, v->text), problem);
    else
        r->config->ollama_listen = listen;
}

static void resolve_sim(struct resolver *r, const struct bound *sim, struct config_gpu *gpu,
                        uint32_t index)
{
    const struct value *name = bound_value(sim, SET_GPU_SIM_name);
    const struct value *memory = bound_value(sim, SET_GPU_SIM_memory);
    bound_project(sim, r->arena, gpu);
    gpu->sim = gpu->found = true;
    gpu->memory_bytes = (uint64_t)memory->number;
    gpu->name =
        *name->text ? arena_text(r->arena, name->text) : arena_printf(r->arena, "sim%u", index);
    if (!memory->given)
        diag_error(r->diag, sim->at, "a simulated GPU needs its memory, such as memory: 24GiB");
    /* The name is also that of a folder. */
    if (strchr(gpu->name, '/') || gpu->name[0] == '.' || strlen(gpu->name) > GPU_NAME_MAX)
        diag_error(r->diag, name->at,
                   "the name of a simulated GPU must not start with a dot, have a '/' or be longer "
                   "than %d bytes",
                   GPU_NAME_MAX);
    for (uint32_t i = 0; i < index; i++)
        if (r->config->gpus[i].sim && strcmp(r->config->gpus[i].name, gpu->name) == 0)
            diag_error(r->diag, name->at, "two simulated GPUs have the name %s",
                       diag_quote(r->diag, gpu->name));
}

static void resolve_gpus(struct resolver *r)
{
    struct config *c = r->config;
    const struct value *v = bound_value(r->root, SET_ROOT_gpus);
    c->gpus_listed = v->count > 0;
    c->gpu_choice = c->gpus_listed ? CONFIG_GPUS_AUTO : (enum config_gpus)v->number;
    if (v->given && v->children && !v->count)
        c->gpu_choice = CONFIG_GPUS_CPU; /* an empty list is none */
    must(v->children || v->count == 0);
    c->gpu_count = v->count <= GPUS_MAX ? v->count : GPUS_MAX;
    c->gpus = arena_alloc(r->arena, c->gpu_count, sizeof(*c->gpus));
    if (v->count > GPUS_MAX)
        diag_error(r->diag, v->at, "gpus has more than %d entries", GPUS_MAX);
    for (uint32_t i = 0; i < c->gpu_count; i++) {
        struct config_gpu *gpu = &c->gpus[i];
        gpu->name = arena_text(r->arena, "");
        gpu->folder = arena_text(r->arena, "");
        gpu->uuid = gpu->pci = arena_text(r->arena, "");
        gpu->place = UINT32_MAX;
        bound_project(v->children[i], r->arena, gpu);
        if (bound_value(v->children[i], SET_GPU_sim)->given)
            resolve_sim(r, bound_child(v->children[i], SET_GPU_sim), gpu, i);
        if (gpu->sim && *gpu->device)
            diag_error(r->diag, v->children[i]->at, "a GPU is either simulated or a device");
        if (gpu->sim && gpu->memory_bytes && gpu->reserve_bytes >= gpu->memory_bytes)
            diag_error(r->diag, v->children[i]->at,
                       "the reserve leaves nothing of this GPU's memory");
    }
}

static void check_gpu_names(struct resolver *r, const struct value *v)
{
    const struct config *c = r->config;
    for (uint32_t k = 0; k < v->count; k++) {
        struct nearest near = nearest_to(v->texts[k].text);
        for (uint32_t g = 0; g < c->gpu_count; g++)
            nearest_offer(&near, c->gpus[g].name);
        if (config_find_gpu(c, v->texts[k].text) == UINT32_MAX)
            diag_error(r->diag, v->texts[k].at, "unknown GPU %s%s",
                       diag_quote(r->diag, v->texts[k].text), diag_hint(r->diag, near.best));
    }
}

/* How many GPUs it may use, as far as that is known here. */
static uint32_t usable_gpus(const struct config *c, const struct config_placement *p,
                            bool all_known)
{
    uint32_t usable = 0;
    if (!all_known)
        return p->gpus.count ? p->gpus.count : GPUS_MAX;
    for (uint32_t g = 0; g < c->gpu_count; g++)
        usable += config_placement_may_use(c, p, g);
    return usable;
}

static void check_placement_gpus(struct resolver *r, uint32_t model, uint32_t placement,
                                 bool all_known)
{
    const struct config *c = r->config;
    const struct config_model *m = &c->models[model];
    const struct config_placement *p = &m->placements[placement];
    const struct value *count =
        resolve_placement_value(r, model, placement, SET_MODEL_gpuCount, SET_VARIANT_gpuCount);
    const struct value *gpus =
        resolve_placement_value(r, model, placement, SET_MODEL_gpus, SET_VARIANT_gpus);
    uint32_t usable = usable_gpus(c, p, all_known);
    bool by_name = p->gpus.count && !gpus->count; /* the device's own name is the GPU's */
    if (all_known)
        check_gpu_names(r, gpus);
    if (all_known && by_name && usable == 0)
        diag_error(r->diag,
                   bound_value(r->models[model], SET_MODEL_devices)->children[placement]->at,
                   "device %s is none of " CONFIG_HOST_ID
                   ", cuda, rocm and vulkan, nor a GPU that is listed; write that, or its gpus",
                   diag_quote(r->diag, p->id));
    else if (p->gpu_count > 1 && p->gpu_count > usable && !count->broken &&
             (usable || !gpus->count)) /* else none that it names is known, which was said */
        diag_error(r->diag, count->at, "gpuCount is %u, but model %s may use only %u GPU%s",
                   p->gpu_count, diag_quote(r->diag, m->id), usable, usable == 1 ? "" : "s");
}

/* Which GPUs there are is known only where all of them are simulated. */
static void check_model_gpus(struct resolver *r)
{
    const struct config *c = r->config;
    bool all_known = c->gpu_count > 0;
    for (uint32_t i = 0; i < c->gpu_count; i++)
        all_known &= c->gpus[i].sim;
    for (uint32_t i = 0; i < c->model_count; i++)
        for (uint32_t k = 0; k < c->models[i].placement_count; k++)
            if (!c->models[i].placements[k].host)
                check_placement_gpus(r, i, k, all_known);
}

static void resolve_log_level(struct resolver *r)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const struct value *v = bound_value(r->root, SET_ROOT_logLevel);
    struct nearest near = nearest_to(v->text);
    for (size_t i = 0; i < countof(levels); i++) {
        if (strcasecmp(v->text, levels[i]) == 0) {
            r->config->log_level = arena_text(r->arena, levels[i]);
            return;
        }
        nearest_offer(&near, levels[i]);
    }
    diag_warn(r->diag, v->at, "logLevel %s is taken as info (debug, info, warn or error)%s",
              diag_quote(r->diag, v->text), diag_hint(r->diag, near.best));
    r->config->log_level = arena_text(r->arena, "info");
}

void resolve_machine(struct resolver *r)
{
    resolve_listens(r);
    resolve_ollama(r);
    resolve_gpus(r);
    check_model_gpus(r);
    resolve_log_level(r);
}
