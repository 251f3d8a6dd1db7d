#include "server/process/childenv.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"

static size_t key_length(const char *entry)
{
    return strcspn(entry, "=") + 1;
}

static void put(char **env, size_t *count, const char *entry)
{
    size_t n = key_length(entry);
    for (size_t i = 0; i < *count; i++) {
        if (strncmp(env[i], entry, n) == 0) {
            free(env[i]);
            env[i] = alloc_text(entry);
            return;
        }
    }
    env[(*count)++] = alloc_text(entry);
}

static size_t count_texts(const char *const *texts)
{
    size_t n = 0;
    while (texts && texts[n])
        n++;
    return n;
}

/* A name that ends with * stands for all that begin so. */
static bool is_named(const char *entry, const char *name)
{
    size_t n = strlen(name);
    if (name[n - 1] == '*')
        return strncmp(entry, name, n - 1) == 0;
    return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static bool is_private(const char *entry, const char *const *hidden)
{
    static const char *const names[] = {"CREDENTIALS_DIRECTORY",
                                        "FDSTORE",
                                        "LISTEN_FDNAMES",
                                        "LISTEN_FDS",
                                        "LISTEN_PID",
                                        "LISTEN_PIDFDID",
                                        "MEMORY_PRESSURE_WATCH",
                                        "MEMORY_PRESSURE_WRITE",
                                        "NOTIFY_SOCKET",
                                        "WATCHDOG_PID",
                                        "WATCHDOG_USEC",
                                        "WHARF_KEY*"};
    const char *value = entry + strcspn(entry, "=");
    bool is = false;
    for (size_t i = 0; i < countof(names) && !is; i++)
        is = is_named(entry, names[i]);
    for (size_t i = 0; hidden && hidden[i] && *value && !is; i++)
        is = strcmp(value + 1, hidden[i]) == 0;
    return is;
}

char **childenv_make(const char *const *own, const char *const *more, const char *mark,
                     const char *const *hidden)
{
    size_t n_own = count_texts(own), n_more = count_texts(more);
    char **env = alloc_zeroed(n_own + n_more + 2, sizeof(*env));
    size_t count = 0;
    /* First: /proc/PID/environ is searched for it, and a daemon under another wharf has one too. */
    put(env, &count, mark);
    for (size_t i = 0; i < n_own; i++)
        if (!is_private(own[i], hidden))
            put(env, &count, own[i]);
    for (size_t i = 0; i < n_more; i++)
        put(env, &count, more[i]);
    put(env, &count, mark);
    return env;
}

void childenv_free(char **env)
{
    for (char **e = env; e && *e; e++)
        free(*e);
    free(env);
}
