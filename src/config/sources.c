#include "config/sources.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/expand.h"
#include "config/gather.h"
#include "config/merge.h"
#include "config/models_dir.h"
#include "config/source.h"

#define FNV_OFFSET 14695981039346656037u
#define FNV_PRIME 1099511628211u

/* Names that end in .yml or .yaml. Editors mark files that they have open by links named .#FILE. */
static bool is_source_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".yml") == 0 || strcmp(dot, ".yaml") == 0) &&
           strncmp(name, ".#", 2) != 0;
}

/* Who opens a FIFO waits for its writer. What leads nowhere is told when it is opened. */
static bool is_source(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 || S_ISREG(st.st_mode);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int sources_list(struct arena *a, const char *dir, const char *const **ret_paths, uint32_t *ret_n)
{
    uint32_t n = 0;
    DIR *d = opendir(dir);
    if (!d)
        return errno;
    const char **paths = arena_alloc(a, SOURCES_MAX, sizeof(*paths));
    const struct dirent *entry;
    while (n < SOURCES_MAX && (entry = readdir(d)) != NULL) {
        if (!is_source_name(entry->d_name))
            continue;
        const char *path = arena_printf(a, "%s/%s", dir, entry->d_name);
        if (is_source(path))
            paths[n++] = path;
    }
    closedir(d);
    if (n)
        qsort(paths, n, sizeof(*paths), by_text);
    *ret_paths = paths;
    *ret_n = n;
    return 0;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

/* All paths in their order; NULL after an error. */
static const char *const *collect(struct arena *a, struct diag *d, const struct config_sources *s,
                                  uint32_t *ret_n)
{
    const char *const *found = NULL;
    uint32_t n = 0, count = 0;
    struct place at = {.file = s->dir};
    if (s->dir) {
        int error = sources_list(a, s->dir, &found, &n);
        if (error)
            diag_error(d, at, "the folder cannot be read: %s", strerror(error));
        else if (n == 0 && !s->file)
            diag_error(d, at, "no configuration is here: the folder has no *.yml or *.yaml");
        else if (n == SOURCES_MAX)
            diag_error(d, at, "the folder has more than %u configurations", SOURCES_MAX - 1);
    }
    const char **all = arena_alloc(a, n + 1, sizeof(*all));
    if (s->file)
        all[count++] = s->file;
    for (uint32_t i = 0; i < n; i++) {
        if (s->file && is_same_file(s->file, found[i]))
            diag_error(d, at, "the file %s is in this folder and named besides; name one of them",
                       diag_quote(d, s->file));
        all[count++] = found[i];
    }
    *ret_n = count;
    return d->errors ? NULL : all;
}

struct node *sources_gather(struct arena *a, struct diag *d, const struct config_sources *s)
{
    uint32_t n = 0;
    bool complete = true;
    struct node *root = NULL;
    const char *const *paths = collect(a, d, s, &n);
    if (!paths)
        return NULL;
    d->files = paths;
    d->file_count = n;
    for (uint32_t i = 0; i < n; i++) {
        size_t len = 0;
        d->file = paths[i];
        const char *text = source_read(a, d, paths[i], &len);
        struct node *next = text ? source_parse(a, d, text, len) : NULL;
        complete &= next != NULL;
        if (!next)
            continue;
        expand_env(a, d, next);
        if (root)
            merge_root(a, d, root, next);
        else
            root = next;
    }
    d->file = paths[0];
    return complete ? root : NULL;
}

static uint64_t add_text(uint64_t hash, const char *text)
{
    for (const char *p = text; *p; p++)
        hash = (hash ^ (unsigned char)*p) * FNV_PRIME;
    return hash * FNV_PRIME; /* its end */
}

static uint64_t add_number(uint64_t hash, uint64_t number)
{
    for (unsigned bits = 0; bits < 64; bits += 8)
        hash = (hash ^ (number >> bits & 0xff)) * FNV_PRIME;
    return hash;
}

/* 0 only stands for what is not there. */
static uint64_t finished(uint64_t hash)
{
    return hash ? hash : 1;
}

/* hash as it was when the path leads nowhere. */
static uint64_t add_file(uint64_t hash, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return hash;
    const uint64_t facts[] = {(uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size,
                              (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec};
    hash = add_text(hash, path);
    for (size_t i = 0; i < countof(facts); i++)
        hash = add_number(hash, facts[i]);
    return hash;
}

static uint64_t stamp_dir(struct arena *a, const char *dir)
{
    const char *const *paths = NULL;
    uint32_t n = 0;
    uint64_t hash = FNV_OFFSET;
    if (sources_list(a, dir, &paths, &n) != 0)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        hash = add_file(hash, paths[i]);
    return n ? finished(hash) : 0;
}

static uint64_t stamp_models(struct arena *a, const char *dir)
{
    struct model_file *files = NULL;
    uint32_t n = 0;
    uint64_t hash = FNV_OFFSET;
    if (models_dir_list(a, dir, &files, &n) != 0)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        hash = add_text(hash, files[i].path);
    return finished(hash);
}

struct config_stamp config_stamp_take(const struct config_sources *s, const char *models_dir)
{
    struct arena scratch = {0};
    struct config_stamp stamp = {0};
    uint64_t file = s->file ? add_file(FNV_OFFSET, s->file) : FNV_OFFSET;
    stamp.file = file == FNV_OFFSET ? 0 : finished(file);
    if (s->dir)
        stamp.dir = stamp_dir(&scratch, s->dir);
    if (models_dir[0])
        stamp.models = stamp_models(&scratch, models_dir);
    arena_fini(&scratch);
    return stamp;
}

bool config_stamp_changed(const struct config_stamp *old, const struct config_stamp *now)
{
    return (now->file && now->file != old->file) || (now->dir && now->dir != old->dir) ||
           (now->models && now->models != old->models);
}
