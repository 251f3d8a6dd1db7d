/* What a reload compares: whether a model needs a new process, or only new rules. */
#include <string.h>

#include "config/resolve.h"

/* FNV-1a, 64 bits. */
#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static void add_bytes(uint64_t *hash, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        *hash = (*hash ^ p[i]) * FNV_PRIME;
}

/* With its NUL, so that "ab","c" differs from "a","bc". */
static void add_text(uint64_t *hash, const char *text)
{
    add_bytes(hash, text, strlen(text) + 1);
}

static void add_number(uint64_t *hash, uint64_t number)
{
    add_bytes(hash, &number, sizeof(number));
}

static void add_texts(uint64_t *hash, const struct config_strings *texts)
{
    add_number(hash, texts->count);
    for (uint32_t i = 0; i < texts->count; i++)
        add_text(hash, texts->items[i]);
}

static void add_params(uint64_t *hash, const struct config_params *set)
{
    add_number(hash, set->count);
    for (uint32_t i = 0; i < set->count; i++) {
        add_text(hash, set->items[i].name);
        add_text(hash, set->items[i].json);
    }
}

static void add_filters(uint64_t *hash, const struct config_filters *f)
{
    add_texts(hash, &f->strip);
    add_params(hash, &f->set);
    add_number(hash, f->variant_count);
    for (uint32_t i = 0; i < f->variant_count; i++) {
        add_text(hash, f->variants[i].id);
        add_params(hash, &f->variants[i].set);
    }
}

/* Where its processes run, and with which command. */
static void add_places(uint64_t *hash, const struct config_model *m)
{
    add_number(hash, m->placement_count);
    for (uint32_t i = 0; i < m->placement_count; i++) {
        const struct config_placement *p = &m->placements[i];
        add_text(hash, p->id);
        add_texts(hash, &p->argv);
        add_texts(hash, &p->gpus);
        add_number(hash, p->gpu_count);
    }
}

/* What is planned with. */
static void add_sizes(uint64_t *hash, const struct config_model *m)
{
    for (uint32_t i = 0; i < m->placement_count; i++) {
        const struct config_placement *p = &m->placements[i];
        add_number(hash, (uint64_t)p->vram);
        add_number(hash, p->vram_bytes);
        add_number(hash, p->free_bytes_min);
    }
}

static void add_call(uint64_t *hash, const struct config_call *call)
{
    add_number(hash, (uint64_t)call->method);
    add_text(hash, call->path);
    add_text(hash, call->body);
}

static void add_sleep(uint64_t *hash, const struct config_model *m)
{
    const struct config_sleep *s = &m->sleep;
    add_number(hash, (uint64_t)m->suspend);
    add_number(hash, s->level);
    add_text(hash, s->model);
    add_text(hash, s->admin_key);
    add_call(hash, &s->suspend);
    add_call(hash, &s->resume);
    add_text(hash, s->check_path);
    add_text(hash, s->check_member);
    add_text(hash, s->check_value);
}

/* Not the preferred port: it follows from the other models. */
static uint64_t hash_process(const struct config_model *m)
{
    uint64_t hash = FNV_OFFSET;
    add_number(&hash, (uint64_t)m->backend);
    add_text(&hash, m->endpoint);
    add_text(&hash, m->backend_model);
    add_texts(&hash, &m->argv);
    add_texts(&hash, &m->env);
    add_text(&hash, m->proxy);
    add_places(&hash, m);
    return hash;
}

static uint64_t hash_policy(const struct config *c, const struct config_model *m)
{
    uint64_t hash = FNV_OFFSET;
    const struct config_group *group = &c->groups[m->group];
    const uint64_t numbers[] = {m->unlisted,
                                m->concurrency_limit,
                                m->queue_max,
                                (uint64_t)m->priority,
                                m->evict_cost,
                                (uint64_t)m->class,
                                m->pin,
                                m->load_retries_max,
                                (uint64_t)m->yield,
                                (uint64_t)m->on_abort,
                                m->ttl_ns,
                                m->load_timeout_ns,
                                m->unload_timeout_ns,
                                m->connect_timeout_ns,
                                m->header_timeout_ns,
                                m->idle_timeout_ns,
                                m->tls_timeout_ns,
                                m->keepalive_ns,
                                m->expect_timeout_ns,
                                m->sends_loading_state,
                                m->ignore_websockets,
                                m->capabilities.tools,
                                m->capabilities.reranker,
                                m->capabilities.context_tokens,
                                group->swap,
                                group->exclusive,
                                group->persistent};
    add_text(&hash, m->name);
    add_text(&hash, m->description);
    add_texts(&hash, &m->aliases);
    add_texts(&hash, &m->stop_argv);
    add_text(&hash, m->check_endpoint);
    add_text(&hash, m->use_model_name);
    add_text(&hash, group->id);
    add_text(&hash, m->metadata);
    add_texts(&hash, &m->capabilities.in);
    add_texts(&hash, &m->capabilities.out);
    add_filters(&hash, &m->filters);
    add_sizes(&hash, m);
    add_sleep(&hash, m);
    for (size_t i = 0; i < countof(numbers); i++)
        add_number(&hash, numbers[i]);
    return hash;
}

void resolve_hashes(struct resolver *r)
{
    struct config *c = r->config;
    for (uint32_t i = 0; i < c->model_count; i++) {
        c->models[i].hash_process = hash_process(&c->models[i]);
        c->models[i].hash_policy = hash_policy(c, &c->models[i]);
    }
}
