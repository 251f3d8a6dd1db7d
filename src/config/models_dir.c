#include "config/models_dir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/text.h"

#define SUFFIX ".gguf"
#define PART "-00001-of-" /* and five digits: llama.cpp's gguf-split */
#define PART_DIGITS 5u
/* Models are limited to fewer; a folder of this many files is a mistake. */
#define FILES_MAX 100000u

/* The length of "-00001-of-00003" at the end of n bytes, and which part it is; 0: it is whole. */
static size_t part_suffix(const char *name, size_t n, bool *ret_first)
{
    size_t len = strlen(PART) + PART_DIGITS;
    if (n <= len)
        return 0;
    const char *p = name + n - len;
    for (size_t i = 0; i < len; i++) {
        char shape = i < strlen(PART) ? PART[i] : '0';
        if (isdigit((unsigned char)shape) ? !isdigit((unsigned char)p[i]) : p[i] != shape)
            return 0;
    }
    *ret_first = strncmp(p, PART, strlen(PART)) == 0;
    return len;
}

/* The length of the id in a file's name; 0: it is no model. */
static size_t id_length(const char *name)
{
    size_t n = strlen(name);
    bool first = true;
    if (n <= strlen(SUFFIX) || strcasecmp(name + n - strlen(SUFFIX), SUFFIX) != 0)
        return 0;
    if (name[0] == '.' || strncasecmp(name, "mmproj", strlen("mmproj")) == 0)
        return 0;
    n -= strlen(SUFFIX);
    n -= part_suffix(name, n, &first);
    return first ? n : 0;
}

/* The folder is looked through often: only what readdir does not know is asked of the disk. */
static bool is_folder(const struct dirent *entry, const char *path)
{
    struct stat st;
    if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int by_id(const void *pa, const void *pb)
{
    const struct model_file *a = pa, *b = pb;
    int order = strcmp(a->id, b->id);
    return order ? order : strcmp(a->path, b->path);
}

int models_dir_list(struct arena *a, const char *dir, struct model_file **ret_files,
                    uint32_t *ret_n)
{
    uint32_t n = 0, room = 0;
    struct model_file *files = NULL;
    DIR *d = opendir(dir);
    if (!d)
        return errno;
    const struct dirent *entry;
    while (n < FILES_MAX && (entry = readdir(d)) != NULL) {
        size_t len = id_length(entry->d_name);
        const char *path = len ? arena_printf(a, "%s/%s", dir, entry->d_name) : NULL;
        if (!path || is_folder(entry, path))
            continue;
        if (n == room) {
            room = room ? room * 2 : 16;
            struct model_file *grown = arena_alloc(a, room, sizeof(*grown));
            if (n)
                memcpy(grown, files, n * sizeof(*files));
            files = grown;
        }
        files[n++] = (struct model_file){.id = arena_text_n(a, entry->d_name, len), .path = path};
    }
    closedir(d);
    if (n)
        qsort(files, n, sizeof(*files), by_id);
    *ret_files = files;
    *ret_n = n;
    return 0;
}

static struct node *scalar_new(struct arena *a, struct place at, const char *text)
{
    struct node *n = node_new(a, NODE_SCALAR, at);
    n->text = text;
    return n;
}

static struct node *copy(struct arena *a, const struct node *from)
{
    struct node *n = node_new(a, from->kind, from->at);
    n->plain = from->plain;
    n->anchored = from->anchored;
    n->broken = from->broken;
    n->text = from->text;
    for (uint32_t i = 0; i < from->count; i++) {
        struct node *key = from->items[i].key;
        node_append(a, n, key ? copy(a, key) : NULL, copy(a, from->items[i].value));
    }
    return n;
}

/* The template's own macros come behind MODEL_FILE, so that they may use it. */
static struct node *instantiate(struct arena *a, const struct node *template, const char *path)
{
    struct node *model = copy(a, template);
    struct node *own = node_remove(model, "macros");
    struct node *macros = node_new(a, NODE_MAP, template->at);
    node_append(a, macros, scalar_new(a, template->at, "MODEL_FILE"),
                scalar_new(a, template->at, path));
    if (own && own->kind == NODE_MAP)
        for (uint32_t i = 0; i < own->count; i++)
            node_append(a, macros, own->items[i].key, own->items[i].value);
    node_append(a, model, scalar_new(a, template->at, "macros"), macros);
    return model;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct names {
    const char **items;
    uint32_t count, room;
};

static void add_name(struct arena *a, struct names *names, const char *name)
{
    if (names->count == names->room) {
        names->room = names->room ? names->room * 2 : 16;
        const char **grown = arena_alloc(a, names->room, sizeof(*grown));
        if (names->count)
            memcpy(grown, names->items, names->count * sizeof(*grown));
        names->items = grown;
    }
    names->items[names->count++] = name;
}

static void add_keys(struct arena *a, struct names *names, const struct node *map)
{
    for (uint32_t i = 0; map && map->kind == NODE_MAP && i < map->count; i++)
        add_name(a, names, map->items[i].key->text);
}

/* What is written down and clients may ask for; a file never takes such a name. */
static struct names collect_names(struct arena *a, const struct node *root,
                                  const struct node *models)
{
    struct names names = {.count = 0};
    add_keys(a, &names, models);
    add_keys(a, &names, node_find(root, "selectors"));
    for (uint32_t i = 0; i < models->count; i++) {
        const struct node *model = models->items[i].value, *aliases = node_find(model, "aliases");
        add_keys(a, &names, node_find(node_find(model, "filters"), "setParamsByID"));
        for (uint32_t k = 0; aliases && aliases->kind == NODE_LIST && k < aliases->count; k++)
            add_name(a, &names, aliases->items[k].value->text);
    }
    if (names.count)
        qsort(names.items, names.count, sizeof(const char *), by_text);
    return names;
}

static bool has_name(const struct names *names, const char *id)
{
    return names->count &&
           bsearch(&id, names->items, names->count, sizeof(const char *), by_text) != NULL;
}

/* A quote or a reference in the path would be read as the template's own. */
static bool is_usable(struct diag *d, struct place at, const char *path)
{
    const char *why = strpbrk(path, "\"'\\\n\r\t") ? "it has quotes, a backslash or line breaks"
                      : text_reference(path)       ? "it has '${'"
                      : text_invalid_at(path, strlen(path)) ? "it is not UTF-8"
                                                            : NULL;
    if (why)
        diag_warn(d, at, "modelsDir: %s is left out: %s", diag_quote(d, path), why);
    return why == NULL;
}

/* The mapping that models go into; NULL when `models` is something else, which is told later. */
static struct node *models_of(struct arena *a, struct node *root, struct place at)
{
    struct node *models = node_find(root, "models");
    if (!node_is_null(models))
        return models->kind == NODE_MAP ? models : NULL;
    node_remove(root, "models");
    models = node_new(a, NODE_MAP, at);
    node_append(a, root, scalar_new(a, at, "models"), models);
    return models;
}

/* The folder's name, or NULL: there is none, or after an error. */
static const char *folder_of(struct diag *d, const struct node *dir, const struct node *template)
{
    if (!dir || dir->broken || dir->kind != NODE_SCALAR || node_is_null(dir) || !dir->text[0]) {
        if (template && node_is_null(dir))
            diag_warn(d, template->at, "modelTemplate has no effect without modelsDir");
        return NULL;
    }
    const struct node *cmd = template ? node_find(template, "cmd") : NULL;
    if (text_reference(dir->text))
        diag_error(d, dir->at, "modelsDir may hold ${env.NAME}, but no macros");
    else if (!template || template->kind != NODE_MAP)
        diag_error(d, dir->at,
                   "modelsDir needs modelTemplate, a mapping like a model's, such as "
                   "'cmd: llama-server --port ${PORT} -m \"${MODEL_FILE}\"'");
    else if (node_is_null(cmd))
        diag_error(d, template->at, "modelTemplate needs a cmd");
    else if (cmd->kind == NODE_SCALAR && !strstr(cmd->text, "${") && !cmd->broken)
        diag_error(d, cmd->at,
                   "the cmd of modelTemplate starts the same for every file; write "
                   "\"${MODEL_FILE}\" where the file's path belongs");
    else
        return dir->text;
    return NULL;
}

void models_dir_expand(struct arena *a, struct diag *d, struct node *root)
{
    const struct node *dir = node_find(root, "modelsDir");
    const struct node *template = node_remove(root, "modelTemplate");
    const char *folder = folder_of(d, dir, template);
    struct model_file *files = NULL;
    uint32_t n = 0;
    if (!folder)
        return;
    int error = models_dir_list(a, folder, &files, &n);
    if (error) {
        diag_error(d, dir->at, "modelsDir: the folder cannot be read: %s", strerror(error));
        return;
    }
    struct node *models = models_of(a, root, dir->at);
    if (!models)
        return;
    if (n > CONFIG_MODELS_MAX) {
        diag_error(d, dir->at, "modelsDir: the folder has %u models, more than %d", n,
                   CONFIG_MODELS_MAX);
        return;
    }
    struct names names = collect_names(a, root, models);
    for (uint32_t i = 0; i < n; i++) {
        bool again = i > 0 && strcmp(files[i - 1].id, files[i].id) == 0;
        if (again || has_name(&names, files[i].id) || !is_usable(d, dir->at, files[i].path))
            continue;
        node_append(a, models, scalar_new(a, template->at, files[i].id),
                    instantiate(a, template, files[i].path));
    }
}
