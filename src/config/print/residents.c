/* Who serves a model, where it sits and how it sleeps, as YAML. */
#include "config/print/print.h"

static void print_address(struct buf *out, const char *key, const char *url)
{
    print_indent(out, 2);
    buf_printf(out, "%s: ", key);
    print_url(out, url);
}

void print_where(struct buf *out, const struct config_model *m)
{
    if (m->backend == CONFIG_BACKEND_OLLAMA) {
        print_address(out, "endpoint", m->endpoint);
        print_text(out, 2, "model", m->backend_model);
    } else if (m->backend == CONFIG_BACKEND_PROCESS || *m->proxy) {
        print_address(out, "proxy", m->proxy);
    }
}

static void print_vram(struct buf *out, int depth, const struct config_placement *p)
{
    if (p->vram == CONFIG_VRAM_UNSET)
        return;
    print_indent(out, depth);
    buf_text(out, "vram: ");
    if (p->vram == CONFIG_VRAM_AUTO)
        buf_text(out, "auto");
    else
        print_bytes(out, p->vram_bytes);
    buf_char(out, '\n');
}

static void print_gpus(struct buf *out, int depth, const struct config_placement *p)
{
    print_vram(out, depth, p);
    print_texts(out, depth, "gpus", &p->gpus);
    print_indent(out, depth);
    buf_printf(out, "gpuCount: %u\n", p->gpu_count);
}

static void print_variant(struct buf *out, const struct config_placement *p)
{
    print_key(out, 3, p->id);
    if (p->host && !*p->cmd)
        buf_text(out, " {}");
    buf_char(out, '\n');
    if (*p->cmd) {
        print_indent(out, 4);
        buf_text(out, "cmd: ");
        print_command(out, p->cmd);
    }
    if (p->host)
        return;
    print_gpus(out, 4, p);
    print_indent(out, 4);
    buf_text(out, "minFree: ");
    print_bytes(out, p->free_bytes_min);
    buf_char(out, '\n');
}

void print_placements(struct buf *out, const struct config_model *m)
{
    if (!m->has_variants && m->placement_count == 0)
        buf_text(out, "    vram: 0\n");
    else if (!m->has_variants)
        print_gpus(out, 2, &m->placements[0]);
    if (!m->has_variants)
        return;
    buf_text(out, "    devices:\n");
    for (uint32_t i = 0; i < m->placement_count; i++)
        print_variant(out, &m->placements[i]);
}

static void print_call(struct buf *out, const char *key, const struct config_call *call)
{
    if (*call->path == '\0')
        return;
    print_indent(out, 4);
    buf_printf(out, "%s:\n", key);
    print_scope(out, 5, SCOPE_SUSPEND_CALL, call);
}

static void print_http(struct buf *out, const struct config_sleep *s)
{
    print_call(out, "suspend", &s->suspend);
    print_call(out, "resume", &s->resume);
    if (*s->check_path == '\0')
        return;
    print_indent(out, 4);
    buf_text(out, "check:\n");
    print_scope(out, 5, SCOPE_SUSPEND_CHECK, s);
}

void print_sleep(struct buf *out, const struct config_model *m)
{
    const char *word = config_suspend_words[m->suspend];
    bool has_settings = m->suspend == CONFIG_SUSPEND_VLLM || m->suspend == CONFIG_SUSPEND_TABBY ||
                        m->suspend == CONFIG_SUSPEND_HTTP;
    if (!has_settings) {
        buf_printf(out, "    suspend: %s\n", word);
        return;
    }
    buf_printf(out, "    suspend:\n      %s:\n", word);
    if (m->suspend == CONFIG_SUSPEND_HTTP)
        print_http(out, &m->sleep);
    if (m->suspend == CONFIG_SUSPEND_VLLM)
        print_scope(out, 4, SCOPE_SUSPEND_VLLM, &m->sleep);
    if (m->suspend == CONFIG_SUSPEND_TABBY)
        print_scope(out, 4, SCOPE_SUSPEND_TABBY, &m->sleep);
    if (m->suspend == CONFIG_SUSPEND_TABBY && *m->sleep.admin_key)
        print_text(out, 4, "adminKey", PRINT_MASK);
}
