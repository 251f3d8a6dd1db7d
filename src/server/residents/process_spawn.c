/* From a model's definition to a running child: port, address, arguments, environment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/gpus/devices.h"
#include "server/net/origin.h"
#include "server/residents/ports.h"
#include "server/residents/process.h"
#include "server/server.h"

/* Replaces every occurrence of name by value. The caller frees it. */
static char *replace(const char *text, const char *name, const char *value)
{
    struct buf out = {0};
    const char *at;
    while ((at = strstr(text, name))) {
        buf_append(&out, text, (size_t)(at - text));
        buf_text(&out, value);
        text = at + strlen(name);
    }
    buf_text(&out, text);
    return buf_take(&out);
}

/* A NULL-terminated copy with ${PORT} and ${PID} filled in. */
static char **expand(const struct config_strings *list, const struct instance *in)
{
    char port[8], pid[16];
    snprintf(port, sizeof(port), "%u", in->port);
    snprintf(pid, sizeof(pid), "%d", instance_pid(in));
    char **out = alloc_zeroed(list->count + 1, sizeof(*out));
    for (uint32_t i = 0; i < list->count; i++) {
        char *with_port = replace(list->items[i], "${PORT}", port);
        out[i] = replace(with_port, "${PID}", pid);
        free(with_port);
    }
    return out;
}

static void free_list(char **list)
{
    for (char **p = list; *p; p++)
        free(*p);
    free(list);
}

bool instance_locate(struct instance *in, char **ret_why)
{
    char port[8];
    struct err err = {0};
    snprintf(port, sizeof(port), "%u", in->port);
    char *url = replace(in->resident.model->proxy, "${PORT}", port);
    bool ok = origin_locate(in->origin, url, &err) == 0;
    if (ok)
        in->port = in->origin->port;
    else
        *ret_why = alloc_text(err.text);
    free(url);
    return ok;
}

/* It need not be another for each model. */
#define NAME_BYTES_MAX 100

char *instance_name(const struct instance *in)
{
    char *name = alloc_printf("%.*s", NAME_BYTES_MAX, in->resident.model->id);
    for (char *p = name; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              *p == '-' || *p == '_'))
            *p = '_';
    return name;
}

/* The way in which it is to sit; NULL: there is nothing to say about that. */
static const struct config_placement *placement_of(const struct instance *in)
{
    const struct config_model *m = in->resident.model;
    /* Where nothing is planned by bytes, it is the one that is liked best. */
    uint32_t variant = in->variant == UINT32_MAX ? 0 : in->variant;
    return m->has_variants && variant < m->placement_count ? &m->placements[variant] : NULL;
}

static const struct config_strings *argv_of(const struct instance *in)
{
    const struct config_placement *p = placement_of(in);
    return p && p->argv.count ? &p->argv : &in->resident.model->argv;
}

/* The devices first: what the model's own env says of them wins. */
static char **placed_env(const struct instance *in)
{
    const struct resident *r = &in->resident;
    const struct config_placement *p = placement_of(in);
    char **own = expand(&r->model->env, in);
    char **env = alloc_zeroed(r->model->env.count + DEVICES_ENV_MAX + 1, sizeof(*env));
    if (p && p->host)
        devices_put_no_gpu(env);
    else
        devices_put_env(r->server->devices, r->devices, env);
    size_t count = 0;
    while (env[count])
        count++;
    for (size_t i = 0; own[i]; i++)
        env[count + i] = own[i];
    free(own);
    return env;
}

void instance_spawn(struct instance *in)
{
    struct server *s = in->resident.server;
    const struct config_model *m = in->resident.model;
    if (argv_of(in)->count == 0) {
        instance_cannot_start(in, alloc_text("it has no cmd"));
        return;
    }
    int error;
    if (m->uses_port && !(in->port = ports_find(s, m->port_preferred, &error))) {
        (void)descriptors_short(s, "to find a port for a model", error);
        instance_cannot_start(in, alloc_printf("no free port was found: %s", strerror(error)));
        return;
    }
    char *why;
    if (!instance_locate(in, &why)) {
        instance_cannot_start(in, why);
        return;
    }
    instance_keep_intent(in);
    char **argv = expand(argv_of(in), in), **env = placed_env(in);
    char *name = instance_name(in);
    struct child_spec spec = {.argv = (const char *const *)argv,
                              .env = (const char *const *)env,
                              .name = name,
                              .log_path = in->log_path};
    in->child = children_spawn(s->children, &spec, &instance_child_ops, in);
    free_list(argv);
    free_list(env);
    free(name);
}

static void on_stop_spawned(void *owner, struct child *c, pid_t pid)
{
    (void)owner;
    (void)c;
    (void)pid;
}

static void on_stop_failed(void *owner, struct child *c, const char *text)
{
    (void)owner;
    (void)c;
    log_warn(NULL, "cmdStop: %s", text);
}

static void on_stop_exited(void *owner, struct child *c, int wait_status)
{
    (void)owner;
    (void)c;
    if (wait_status != 0)
        log_warn_with(NULL, LOG_WITH(LOG_NUMBER("wait_status", wait_status)), "cmdStop failed");
}

static void on_stop_gone(void *owner, struct child *c)
{
    struct instance *in = owner;
    (void)c;
    in->stop = NULL;
    if (in->process.phase == PROCESS_OVER)
        instance_release(in);
}

void instance_run_stop(struct instance *in)
{
    static const struct child_ops ops = {on_stop_spawned, on_stop_failed, on_stop_exited,
                                         on_stop_gone};
    char **argv = expand(&in->resident.model->stop_argv, in),
         **env = expand(&in->resident.model->env, in);
    char *id = instance_name(in), *name = alloc_printf("%s-stop", id);
    struct child_spec spec = {.argv = (const char *const *)argv,
                              .env = (const char *const *)env,
                              .name = name,
                              .log_path = in->log_path};
    in->stop = children_spawn(in->resident.server->children, &spec, &ops, in);
    free_list(argv);
    free_list(env);
    free(name);
    free(id);
}
