/* gpu_files.h: a tree of files such as /sys and /proc, and the script of the fake NVML, in a folder
 * of the test's own. Include after cmocka. */
#ifndef UNIT_GPU_FILES_H
#define UNIT_GPU_FILES_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char gpu_root[64];

static int gpu_make_root(void **state)
{
    (void)state;
    snprintf(gpu_root, sizeof(gpu_root), "/tmp/wharf-gpu-XXXXXX");
    return mkdtemp(gpu_root) ? 0 : -1;
}

static int gpu_remove_root(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", gpu_root);
    return system(command);
}

static inline void gpu_make_folders(const char *name)
{
    char path[400];
    snprintf(path, sizeof(path), "%s", name);
    for (char *p = path + strlen(gpu_root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
}

/* Makes or replaces a file, with the folders that it is in. */
static inline void gpu_put(const char *path, const char *text)
{
    char name[400];
    snprintf(name, sizeof(name), "%s%s", gpu_root, path);
    gpu_make_folders(name);
    FILE *f = fopen(name, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static inline void gpu_link(const char *path, const char *target)
{
    char name[400];
    snprintf(name, sizeof(name), "%s%s", gpu_root, path);
    gpu_make_folders(name);
    unlink(name);
    assert_int_equal(symlink(target, name), 0);
}

/* As on a machine whose process ids are those that drivers name. */
static inline void gpu_first_namespace(void)
{
    gpu_link("/proc/self/ns/pid", "pid:[4026531836]");
}

/* What the fake NVML answers. */
static inline void gpu_script(const char *text)
{
    char name[128];
    gpu_put("/script", text);
    snprintf(name, sizeof(name), "%s/script", gpu_root);
    setenv("WHARF_FAKE_NVML", name, 1);
}

#endif
