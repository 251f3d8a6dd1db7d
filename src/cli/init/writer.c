#include "cli/init/writer.h"

#include <stdlib.h>
#include <string.h>

#include "backend/estimate.h"
#include "base/alloc.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "cli/init/fit.h"
#include "cli/init/names.h"
#include "cli/init/quote.h"
#include "cli/text.h"
#include "config/config.h"

/* A shorter folder is not worth a macro. */
#define FOLDER_BYTES_MIN 8
#define OLLAMA_URL_DEFAULT "http://127.0.0.1:11434"

struct writer {
    struct buf *out;
    const struct found *found;
    const struct writer_wishes *wishes;
    struct fit_gpus gpus;
    char *folder; /* what all models' paths begin with, as the macro `dir`; NULL: none */
};

/* ---- lines ---- */

static void comment(struct writer *w, const char *indent, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Names in it may hold anything: what could end the line is escaped. */
static void comment(struct writer *w, const char *indent, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    buf_printf(w->out, "%s# ", indent);
    text_escape(w->out, TEXT_LINE, text.data, text.len, false);
    buf_char(w->out, '\n');
    buf_fini(&text);
}

/* "    key: value"; mark stands at the very beginning of the line. */
static void pair(struct writer *w, const char *mark, const char *key, const char *value)
{
    buf_printf(w->out, "%s%s: ", mark, key);
    quote_scalar(w->out, value);
    buf_char(w->out, '\n');
}

/* ---- what was found ---- */

static void write_gpus_found(struct writer *w)
{
    const struct found *f = w->found;
    char size[UNITS_TEXT_MAX];
    if (f->gpu_problem)
        comment(w, "", "  GPUs: not known, %s", f->gpu_problem);
    else if (!f->gpu_count)
        comment(w, "", "  GPUs: none; models run on the processor, slowly");
    for (uint32_t i = 0; i < f->gpu_count; i++) {
        const struct found_gpu *g = &f->gpus[i];
        comment(w, "", "  GPU: %s, %s%s", g->name,
                g->bytes ? units_format_bytes(g->bytes, size) : "memory not known",
                g->used ? "" : " (not among those that wharf counts with by itself)");
    }
}

static void write_head(struct writer *w)
{
    const struct found *f = w->found;
    buf_text(
        w->out,
        "# A configuration of wharf, written by `wharf init`. It is yours: change what you like.\n"
        "#\n");
    comment(w, "", "  wharf check %s            is it right?", w->wishes->file);
    comment(w, "", "  wharf serve --config %s   run it", w->wishes->file);
    buf_text(w->out, "#\n# docs/config.md says what every key means. What was found here:\n#\n");
    write_gpus_found(w);
    comment(w, "", "  llama-server: %s", f->server ? f->server : "none");
    comment(w, "", "  GGUF files: %u %s", f->model_count, f->model_count == 1 ? "model" : "models");
    if (f->ollama_answers)
        comment(w, "", "  Ollama: %s, %u %s", f->ollama, f->pulled_count,
                f->pulled_count == 1 ? "model" : "models");
    else
        comment(w, "", "  Ollama: %s%s", f->ollama ? "nobody answers at " : "none",
                f->ollama ? f->ollama : "");
}

/* ---- the settings of all ---- */

bool writer_is_loopback(const char *listen)
{
    struct config_listen is;
    if (config_parse_listen(listen, &is) < 0)
        return false;
    bool local = is.is_unix || strncmp(is.host, "127.", 4) == 0 || strcmp(is.host, "::1") == 0 ||
                 strcmp(is.host, "localhost") == 0;
    config_listen_fini(&is);
    return local;
}

static void write_listen(struct writer *w)
{
    bool local = writer_is_loopback(w->wishes->listen);
    buf_text(w->out, local ? "\n# Where clients come in: here, this machine's alone. For others "
                             "write :8080, and a key.\n"
                           : "\n# Where clients come in. Others than this machine's can reach it: "
                             "give it a key.\n");
    pair(w, "", "listen", w->wishes->listen);
    buf_text(w->out, "\n# Keys, of which each client shows one; ${env.NAME} takes it from the "
                     "environment.\n"
                     "#apiKeys: [\"${env.WHARF_KEY}\"]\n"
                     "#keys:\n"
                     "#  - {key: \"${env.CI_KEY}\", name: ci, class: background}   # waits behind "
                     "others\n");
}

static void write_gpus(struct writer *w)
{
    if (w->gpus.count) {
        buf_text(
            w->out,
            "\n# Models stay loaded side by side as long as they fit into the GPUs' memory. What "
            "one takes is\n# estimated, then measured and remembered.\n"
            "routing:\n  router:\n    use: fit\n"
            "#gpus:\n"
            "#  - reserve: 1GiB   # of the first GPU: left to others; without gpus, all of "
            "them are used\n");
        return;
    }
    buf_text(w->out,
             "\n# No GPU has memory to count with: one model is loaded at a time. With groups, "
             "several are:\n"
             "#groups:\n"
             "#  together: {swap: false, members: [one, another]}\n");
}

static void write_times(struct writer *w)
{
    buf_text(w->out, "\n# A model that nobody has asked for in this time is unloaded; 0: never.\n"
                     "globalTTL: 30m\n"
                     "\n# How long a model may take to load: large ones on slow disks take "
                     "minutes.\n"
                     "healthCheckTimeout: 5m\n");
}

/* ---- macros ---- */

/* The folder that all models are below, as an owned text without its last '/'; NULL where it is not
 * worth a macro. */
static char *common_folder(const struct found *f)
{
    if (f->model_count < 2)
        return NULL;
    const char *first = f->models[0].path;
    size_t n = strlen(first);
    for (uint32_t i = 0; i < f->model_count; i++) {
        const char *path = f->models[i].path;
        size_t same = 0;
        while (same < n && path[same] == first[same])
            same++;
        n = same;
    }
    while (n && first[n] != '/')
        n--;
    char *folder = alloc_text_n(first, n);
    if (n >= FOLDER_BYTES_MIN && quote_word_is_plain(folder))
        return folder;
    free(folder);
    return NULL;
}

static void write_macros(struct writer *w)
{
    struct buf server = {0};
    if (w->found->server)
        buf_text(w->out, "\n# ${NAME} stands for these in everything below; ${PORT} is a free port "
                         "that wharf finds.\n");
    else
        buf_text(w->out, "\n# No llama-server was found: give its path here, and take away the # "
                         "before the models.\n# ${PORT} is a free port that wharf finds.\n");
    quote_word(&server, w->found->server ? w->found->server : "llama-server");
    buf_text(&server, " --port ${PORT}");
    buf_text(w->out, "macros:\n");
    pair(w, "", "  server", server.data);
    if (w->folder)
        pair(w, "", "  dir", w->folder);
    buf_fini(&server);
}

/* ---- models ---- */

static void add_path(struct writer *w, struct buf *cmd, const char *flag, const char *path)
{
    size_t n = w->folder ? strlen(w->folder) : 0;
    buf_printf(cmd, " %s ", flag);
    if (n && strncmp(path, w->folder, n) == 0 && path[n] == '/') {
        buf_text(cmd, "${dir}/");
        path += n + 1;
    }
    quote_word(cmd, path);
}

static void write_cmd(struct writer *w, const char *mark, const struct found_model *m,
                      const struct fit *fit)
{
    struct buf cmd = {0};
    buf_text(&cmd, "${server}");
    if (fit->offloads && fit->layers == ESTIMATE_ALL_LAYERS)
        buf_text(&cmd, " -ngl 99");
    else if (fit->offloads)
        buf_printf(&cmd, " -ngl %llu", (unsigned long long)fit->layers);
    if (fit->context)
        buf_printf(&cmd, " -c %llu", (unsigned long long)fit->context);
    if (m->kind != FOUND_CHAT && fit->context)
        buf_printf(&cmd, " -b %llu -ub %llu", (unsigned long long)fit->context,
                   (unsigned long long)fit->context);
    if (m->kind != FOUND_CHAT)
        buf_text(&cmd, m->kind == FOUND_RERANKS ? " --reranking" : " --embeddings");
    add_path(w, &cmd, "-m", m->path);
    if (m->projector)
        add_path(w, &cmd, "--mmproj", m->projector);
    pair(w, mark, "    cmd", cmd.data);
    buf_fini(&cmd);
}

static void write_about(struct writer *w, const struct found_model *m)
{
    static const char *const kinds[] = {[FOUND_CHAT] = "",
                                        [FOUND_EMBEDS] = ", for embeddings",
                                        [FOUND_RERANKS] = ", for reranking"};
    _Static_assert(countof(kinds) == FOUND_KIND__COUNT, "a text for each kind");
    char size[UNITS_TEXT_MAX];
    struct buf about = {0};
    buf_printf(&about, "%s%s", m->head.name, m->head.name[0] ? ": " : "");
    buf_printf(&about, "%s", units_format_bytes(m->bytes, size));
    if (m->head.architecture[0])
        buf_printf(&about, ", %s", m->head.architecture);
    if (m->head.context)
        buf_printf(&about, ", made for %llu tokens", (unsigned long long)m->head.context);
    if (m->projector)
        buf_text(&about, ", with a projector for images or sound");
    buf_text(&about, kinds[m->kind]);
    comment(w, "  ", "%s", about.data);
    buf_fini(&about);
}

static void write_key(struct writer *w, const char *mark, const char *id)
{
    buf_printf(w->out, "%s  ", mark);
    quote_scalar(w->out, id);
    buf_text(w->out, ":\n");
}

static void write_model(struct writer *w, const struct found_model *m)
{
    const char *mark = w->found->server ? "" : "#";
    struct fit fit = fit_choose(m, &w->gpus);
    write_about(w, m);
    if (fit.layers != ESTIMATE_ALL_LAYERS)
        comment(w, "  ", "Larger than the memory of the GPUs: %llu of its %llu layers go there.",
                (unsigned long long)fit.layers, (unsigned long long)m->head.layers);
    write_key(w, mark, m->id);
    write_cmd(w, mark, m, &fit);
    if (fit.gpus > 1)
        buf_printf(w->out, "%s    gpuCount: %u\n", mark, fit.gpus);
}

static void write_pulled(struct writer *w, const struct found_pulled *p)
{
    char size[UNITS_TEXT_MAX];
    comment(w, "  ", "In Ollama: %s%s",
            p->bytes ? units_format_bytes(p->bytes, size) : "of unknown size",
            p->embeds ? ", for embeddings" : "");
    write_key(w, "", p->id);
    buf_text(w->out, "    backend: ollama\n");
    if (strcmp(p->id, p->name) != 0)
        pair(w, "", "    model", p->name);
    if (strcmp(w->found->ollama, OLLAMA_URL_DEFAULT) != 0)
        pair(w, "", "    endpoint", w->found->ollama);
}

static void write_more_keys(struct writer *w)
{
    buf_text(w->out, "  # A model may have further keys:\n"
                     "  #   aliases: [gpt-4o]   # names by which clients may ask for it, too\n"
                     "  #   ttl: 2h             # in place of globalTTL\n"
                     "  #   pin: true           # never made to leave for another model\n"
                     "  #   class: background   # its requests wait behind others\n"
                     "  #   vram: 6.5GiB        # what it takes of GPUs, where you know better\n");
}

static void write_models(struct writer *w)
{
    const struct found *f = w->found;
    bool any = f->pulled_count || (f->server && f->model_count);
    buf_text(w->out, any ? "\nmodels:\n" : "\n# No model can be served yet.\nmodels:\n");
    write_more_keys(w);
    for (uint32_t i = 0; i < f->model_count; i++) {
        buf_char(w->out, '\n');
        write_model(w, &f->models[i]);
    }
    for (uint32_t i = 0; i < f->pulled_count; i++) {
        buf_char(w->out, '\n');
        write_pulled(w, &f->pulled[i]);
    }
}

/* ---- what else there is ---- */

/* An id that an example can name. */
static const char *example_id(const struct found *f)
{
    if (f->server && f->model_count)
        return f->models[0].id;
    return f->pulled_count ? f->pulled[0].id : NULL;
}

static void write_further(struct writer *w)
{
    const char *id = example_id(w->found);
    if (id) {
        struct buf quoted = {0};
        quote_scalar(&quoted, id);
        buf_text(w->out, "\n# Named wishes about which models are loaded: `wharf mode work`.\n");
        buf_printf(w->out, "#modes:\n#  work:\n#    %s: loaded\n", quoted.data);
        buf_text(w->out, "\n# Models to load at start.\n");
        buf_printf(w->out, "#hooks:\n#  on_startup:\n#    preload:\n#      - %s\n", quoted.data);
        buf_fini(&quoted);
    }
    buf_text(w->out, "\n# Turns for jobs: `wharf run --gate night -- CMD` waits for one.\n"
                     "#gates:\n#  night: {limit: 1}\n");
}

static void write_notes(struct writer *w)
{
    const struct found_notes *notes = &w->found->notes;
    if (!notes->count)
        return;
    buf_text(w->out, "\n# Seen, and left out:\n");
    for (uint32_t i = 0; i < notes->count; i++)
        comment(w, "", "  %s", notes->items[i]);
    if (notes->more)
        comment(w, "", "  and %u more", notes->more);
}

void writer_write(const struct found *f, const struct writer_wishes *wishes, struct buf *out)
{
    struct writer w = {.out = out, .found = f, .wishes = wishes, .folder = common_folder(f)};
    fit_gpus_of(f, &w.gpus);
    write_head(&w);
    write_listen(&w);
    write_gpus(&w);
    write_times(&w);
    if (f->model_count || !f->server)
        write_macros(&w);
    write_models(&w);
    write_further(&w);
    write_notes(&w);
    free(w.folder);
}
