/* The configuration as YAML that loads again to the same, secrets apart. */
#include <string.h>
#include <strings.h>

#include "base/pure/units.h"
#include "config/print/print.h"

/* What the last word of an option, or of a variable that a command sets, says of its value. */
static const char *const secret_ends[] = {"key",      "apikey", "token",      "secret",
                                          "password", "passwd", "credential", "credentials"};
static const char *const secret_words[] = {"KEY", "TOKEN", "SECRET", "PASS", "CREDENTIAL"};

void print_indent(struct buf *out, int depth)
{
    buf_printf(out, "%*s", depth * 2, "");
}

bool print_is_secret(const char *name, size_t n)
{
    for (size_t w = 0; w < countof(secret_words); w++) {
        size_t len = strlen(secret_words[w]);
        for (size_t i = 0; i + len <= n; i++)
            if (strncasecmp(name + i, secret_words[w], len) == 0)
                return true;
    }
    return false;
}

/* A secret's end: that of its word, quotes included. */
static const char *word_end(const char *p)
{
    if (*p == '"' || *p == '\'') {
        const char *close = strchr(p + 1, *p);
        return close ? close + 1 : p + strlen(p);
    }
    return p + strcspn(p, " \t\n");
}

/* --api-key, --admin-api-key, HF_TOKEN= and the like; -hft is llama-server's --hf-token. */
static bool is_secret_option(const char *word, size_t n)
{
    if (n == 4 && memcmp(word, "-hft", 4) == 0)
        return true;
    size_t from = n;
    while (from > 0 && word[from - 1] != '-' && word[from - 1] != '_')
        from--;
    for (size_t i = 0; i < countof(secret_ends); i++)
        if ((*word == '-' || word[n] == '=') && strlen(secret_ends[i]) == n - from &&
            strncasecmp(word + from, secret_ends[i], n - from) == 0)
            return true;
    return false;
}

/* A command with the values of secret options masked. */
static void mask_command(struct buf *out, const char *text)
{
    const char *p = text;
    while (*p) {
        size_t blanks = strspn(p, " \t\n"), len = strcspn(p + blanks, " \t\n=");
        const char *option = p + blanks, *value = option + len;
        bool secret = is_secret_option(option, len);
        if (*value == '=')
            value++;
        else if (secret)
            value += strspn(value, " \t\n");
        buf_append(out, p, (size_t)(value - p));
        p = value;
        if (secret && *p) {
            buf_text(out, PRINT_MASK);
            p = word_end(p);
        }
    }
}

void print_url(struct buf *out, const char *url)
{
    struct buf masked = {0};
    size_t n = strcspn(url, "?");
    buf_append(&masked, url, n);
    for (const char *p = url + n; *p; p += n) { /* at what begins a parameter */
        size_t name = strcspn(p + 1, "=&") + 1;
        n = strcspn(p + 1, "&") + 1;
        bool secret = name < n && print_is_secret(p + 1, name - 1);
        buf_append(&masked, p, secret ? name + 1 : n);
        buf_text(&masked, secret ? PRINT_MASK : "");
    }
    buf_json(out, masked.data, masked.len);
    buf_char(out, '\n');
    buf_fini(&masked);
}

void print_command(struct buf *out, const char *text)
{
    struct buf masked = {0};
    mask_command(&masked, text);
    buf_json(out, masked.data, masked.len);
    buf_char(out, '\n');
    buf_fini(&masked);
}

static void print_model_command(struct buf *out, const char *key, const char *text)
{
    if (*text == '\0')
        return;
    print_indent(out, 2);
    buf_printf(out, "%s: ", key);
    print_command(out, text);
}

void print_bytes(struct buf *out, uint64_t bytes)
{
    if (bytes && bytes % GIB == 0)
        buf_printf(out, "%lluGiB", (unsigned long long)(bytes / GIB));
    else if (bytes && bytes % MIB == 0)
        buf_printf(out, "%lluMiB", (unsigned long long)(bytes / MIB));
    else
        buf_printf(out, "%llu", (unsigned long long)bytes);
}

/* Where a number alone is something else. */
static void print_unit_bytes(struct buf *out, uint64_t bytes)
{
    if (bytes && bytes % MIB)
        buf_printf(out, "%lluB", (unsigned long long)bytes);
    else
        print_bytes(out, bytes);
}

void print_duration(struct buf *out, uint64_t ns)
{
    if (ns == 0)
        buf_char(out, '0');
    else if (ns % NS_PER_S == 0)
        buf_printf(out, "%llus", (unsigned long long)(ns / NS_PER_S));
    else if (ns % NS_PER_MS == 0)
        buf_printf(out, "%llums", (unsigned long long)(ns / NS_PER_MS));
    else
        buf_printf(out, "%lluns", (unsigned long long)ns);
}

static uint64_t load_number(const void *from, size_t size)
{
    uint64_t number = 0;
    uint32_t half = 0;
    uint16_t quarter = 0;
    if (size == sizeof(number))
        memcpy(&number, from, size);
    else if (size == sizeof(half))
        memcpy(&half, from, size);
    else if (size == sizeof(quarter))
        memcpy(&quarter, from, size);
    return number + half + quarter;
}

static void print_field(struct buf *out, const struct setting *s, const void *from)
{
    bool flag;
    const char *text;
    switch (s->type) {
    case TYPE_BOOL:
        memcpy(&flag, from, sizeof(flag));
        buf_text(out, flag ? "true" : "false");
        break;
    case TYPE_TEXT:
    case TYPE_TRIMMED:
        memcpy(&text, from, sizeof(text));
        buf_json_text(out, text);
        break;
    case TYPE_SIZE:
        print_bytes(out, load_number(from, s->size));
        break;
    case TYPE_DURATION:
    case TYPE_SECONDS:
        print_duration(out, load_number(from, s->size));
        break;
    case TYPE_WAIT:
        if (load_number(from, s->size) == 0)
            buf_text(out, "never");
        else
            print_duration(out, load_number(from, s->size));
        break;
    case TYPE_CHOICE:
        buf_text(out, s->words[load_number(from, s->size)]);
        break;
    case TYPE_SHARE: {
        uint64_t permille = load_number(from, s->size);
        buf_printf(out, "%u.%03u", (unsigned)(permille / 1000), (unsigned)(permille % 1000));
        break;
    }
    case TYPE_MEGABYTES:
        print_unit_bytes(out, load_number(from, s->size));
        break;
    case TYPE_COUNT:
        buf_printf(out, "%llu", (unsigned long long)load_number(from, s->size));
        break;
    case TYPE_TEXTS:
    case TYPE_ONE_OR_MORE:
    case TYPE_COUNTS:
    case TYPE_PAIRS:
    case TYPE_EACH_TEXT:
    case TYPE_EACH_TEXTS:
    case TYPE_ANY:
    case TYPE_EACH_ANY:
    case TYPE_VRAM:
    case TYPE_MACROS:
    case TYPE_MAP:
    case TYPE_MAPS:
    case TYPE_LIST:
        never("a row of this type has no field");
    }
}

void print_scope(struct buf *out, int depth, enum scope scope, const void *from)
{
    for (uint32_t i = setting_first(scope), end = setting_end(scope); i < end; i++) {
        const struct setting *s = &settings[i];
        if (!s->has_field)
            continue;
        print_indent(out, depth);
        buf_printf(out, "%s: ", s->key);
        print_field(out, s, (const char *)from + s->offset);
        buf_char(out, '\n');
    }
}

void print_key(struct buf *out, int depth, const char *key)
{
    print_indent(out, depth);
    buf_json_text(out, key);
    buf_char(out, ':');
}

void print_texts(struct buf *out, int depth, const char *key, const struct config_strings *texts)
{
    if (texts->count == 0)
        return;
    print_indent(out, depth);
    buf_printf(out, "%s: [", key);
    for (uint32_t i = 0; i < texts->count; i++) {
        buf_text(out, i ? ", " : "");
        buf_json_text(out, texts->items[i]);
    }
    buf_text(out, "]\n");
}

void print_text(struct buf *out, int depth, const char *key, const char *text)
{
    print_indent(out, depth);
    buf_printf(out, "%s: ", key);
    buf_json_text(out, text);
    buf_char(out, '\n');
}

static void print_env(struct buf *out, int depth, const struct config_strings *env)
{
    for (uint32_t i = 0; i < env->count; i++) {
        const char *text = env->items[i];
        size_t name = strcspn(text, "=");
        struct buf item = {0};
        buf_append(&item, text, name);
        if (print_is_secret(text, name))
            buf_text(&item, "=" PRINT_MASK);
        else
            buf_text(&item, text + name);
        print_indent(out, depth);
        buf_text(out, i ? "  - " : "env:\n");
        if (i == 0) {
            print_indent(out, depth);
            buf_text(out, "  - ");
        }
        buf_json(out, item.data, item.len);
        buf_char(out, '\n');
        buf_fini(&item);
    }
}

static void print_model(struct buf *out, const struct config_model *m)
{
    print_indent(out, 1);
    buf_json_text(out, m->id);
    buf_text(out, ":\n");
    print_model_command(out, "cmd", m->cmd);
    print_model_command(out, "cmdStop", m->cmd_stop);
    print_where(out, m);
    if (m->backend == CONFIG_BACKEND_PROCESS)
        print_text(out, 2, "checkEndpoint", *m->check_endpoint ? m->check_endpoint : "none");
    print_env(out, 2, &m->env);
    print_texts(out, 2, "aliases", &m->aliases);
    print_model_faces(out, m);
    print_placements(out, m);
    print_scope(out, 2, SCOPE_MODEL, m);
    print_sleep(out, m);
    print_indent(out, 2);
    buf_text(out, "timeouts:\n");
    print_scope(out, 3, SCOPE_MODEL_TIMEOUTS, m);
}

static void print_listen(struct buf *out, const struct config_listen *l)
{
    bool brackets = strchr(l->host, ':') != NULL;
    struct buf item = {0};
    if (l->is_unix)
        buf_printf(&item, "unix:%s", l->path);
    else
        buf_printf(&item, "%s%s%s:%u", brackets ? "[" : "", l->host, brackets ? "]" : "", l->port);
    buf_json(out, item.data, item.len);
    buf_char(out, '\n');
    buf_fini(&item);
}

static void print_listens(struct buf *out, const struct config *c)
{
    for (uint32_t i = 0; i < c->listen_count; i++) {
        buf_text(out, i ? "  - " : "listen:\n  - ");
        print_listen(out, &c->listens[i]);
    }
    if (c->ollama_listen) {
        buf_text(out, "ollama:\n  listen: ");
        print_listen(out, c->ollama_listen);
    }
}

static void print_gpu(struct buf *out, const struct config_gpu *gpu)
{
    buf_text(out, "  -\n");
    print_scope(out, 2, SCOPE_GPU, gpu);
    if (!gpu->sim)
        return;
    buf_text(out, "    sim:\n      name: ");
    buf_json_text(out, gpu->name);
    buf_text(out, "\n      memory: ");
    print_bytes(out, gpu->memory_bytes);
    buf_char(out, '\n');
    print_scope(out, 3, SCOPE_GPU_SIM, gpu);
}

/* The ports count up from it, in the order of the models. */
static void print_start_port(struct buf *out, const struct config *c)
{
    for (uint32_t i = 0; i < c->model_count; i++) {
        if (c->models[i].uses_port) {
            buf_printf(out, "startPort: %u\n", c->models[i].port_preferred);
            return;
        }
    }
}

void config_print(const struct config *c, struct buf *out)
{
    print_start_port(out, c);
    print_scope(out, 0, SCOPE_ROOT, c);
    print_listens(out, c);
    buf_text(out, "timeouts:\n");
    print_scope(out, 1, SCOPE_TIMEOUTS, c);
    print_access(out, c);
    if (!c->gpus_listed && c->gpu_choice != CONFIG_GPUS_AUTO)
        buf_printf(out, "gpus: %s\n", config_gpus_words[c->gpu_choice]);
    buf_text(out, c->gpus_listed ? "gpus:\n" : "");
    for (uint32_t i = 0; c->gpus_listed && i < c->gpu_count; i++)
        print_gpu(out, &c->gpus[i]);
    print_observe(out, c);
    print_routing(out, c);
    print_policies(out, c);
    buf_text(out, c->model_count ? "models:\n" : "models: {}\n");
    for (uint32_t i = 0; i < c->model_count; i++)
        print_model(out, &c->models[i]);
    print_names(out, c);
}
