/* config_folder.h: a folder of its own for a test's files. */
#ifndef CONFIG_FOLDER_H
#define CONFIG_FOLDER_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pure/check.h"

struct folder {
    char path[64];
};

static inline struct folder folder_new(void)
{
    struct folder f = {.path = "/tmp/wharf-test-XXXXXX"};
    must(mkdtemp(f.path));
    return f;
}

/* "a/b" makes the folder a first. */
static inline void folder_write(const struct folder *f, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    for (char *slash = strchr(path + strlen(f->path) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    must(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static inline int folder_remove_one(const char *path, const struct stat *st, int type,
                                    struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void folder_remove(const struct folder *f)
{
    (void)nftw(f->path, folder_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
