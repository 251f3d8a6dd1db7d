#include "cli/init/places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"

/* Ollama's own (envconfig.Host of its sources): a scheme that is written brings its own port. */
#define OLLAMA_PORT "11434"

/* ---- model files ---- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

uint32_t places_of_models(char *ret_folders[PLACES_MAX])
{
    /* A variable, or the one whose folder is taken where it is not set; and what lies below. */
    static const struct {
        const char *variable, *below;
    } places[] = {{"LLAMA_CACHE", ""},
                  {"HF_HUB_CACHE", ""},
                  {"HF_HOME", "/hub"},
                  {"XDG_CACHE_HOME", "/llama.cpp"},
                  {"XDG_CACHE_HOME", "/huggingface/hub"},
                  {"HOME", "/.cache/llama.cpp"},
                  {"HOME", "/.cache/huggingface/hub"},
                  {"HOME", "/.lmstudio/models"},
                  {"HOME", "/.cache/lm-studio/models"},
                  {"HOME", "/models"},
                  {NULL, "/models"},
                  {NULL, "/srv/models"}};
    _Static_assert(countof(places) <= PLACES_MAX, "room for all");
    uint32_t n = 0;
    for (size_t i = 0; i < countof(places); i++) {
        const char *base = places[i].variable ? variable(places[i].variable) : "";
        if (base && (base[0] == '/' || !places[i].variable))
            ret_folders[n++] = alloc_printf("%s%s", base, places[i].below);
    }
    return n;
}

/* ---- programs ---- */

static bool may_run(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    if (!S_ISREG(st.st_mode)) {
        errno = EACCES;
        return false;
    }
    return access(path, X_OK) == 0;
}

/* Its links are left as they are: what they lead to changes with each version of a program. */
static char *absolute(const char *path)
{
    if (path[0] == '/')
        return alloc_text(path);
    auto_free char *folder = getcwd(NULL, 0);
    return folder ? alloc_printf("%s/%s", folder, path) : NULL;
}

char *places_program(const char *name)
{
    const char *path = variable("PATH");
    if (strchr(name, '/'))
        return may_run(name) ? absolute(name) : NULL;
    while (path && *path) {
        size_t n = strcspn(path, ":");
        auto_free char *candidate =
            n ? alloc_printf("%.*s/%s", (int)n, path, name) : alloc_printf("./%s", name);
        if (may_run(candidate))
            return absolute(candidate);
        path += n + (path[n] == ':');
    }
    errno = ENOENT;
    return NULL;
}

/* ---- Ollama ---- */

/* The host that reaches what listens on that one. */
static void write_host(struct buf *url, const char *host, size_t n)
{
    bool bracketed = n >= 2 && host[0] == '[' && host[n - 1] == ']';
    if (bracketed) {
        host++;
        n -= 2;
    }
    if (n == 0 || (n == 7 && memcmp(host, "0.0.0.0", n) == 0))
        buf_text(url, "127.0.0.1");
    else if (n == 2 && memcmp(host, "::", n) == 0)
        buf_text(url, "[::1]");
    else if (memchr(host, ':', n))
        buf_printf(url, "[%.*s]", (int)n, host);
    else
        buf_append(url, host, n);
}

/* Where the port begins, behind its colon; NULL: there is none. An IPv6 address without brackets
 * has none either. */
static const char *find_port(const char *host, size_t n)
{
    const char *colon = memrchr(host, ':', n), *bracket = memrchr(host, ']', n);
    if (!colon || (bracket && bracket > colon) || (!bracket && memchr(host, ':', n) != colon))
        return NULL;
    return colon + 1;
}

void places_ollama(const char *host, struct buf *ret_url)
{
    static const char blanks[] = " \t\r\n\"'";
    const char *port = OLLAMA_PORT, *scheme = "http://";
    const char *p = host ? host + strspn(host, blanks) : "";
    size_t len = strlen(p);
    while (len && strchr(blanks, p[len - 1]))
        len--;
    if (len > 5 && memcmp(p, "unix:", 5) == 0) {
        buf_append(ret_url, p, len);
        return;
    }
    if (len >= 8 && memcmp(p, "https://", 8) == 0) {
        scheme = "https://";
        port = "443";
    } else if (len >= 7 && memcmp(p, "http://", 7) == 0) {
        port = "80";
    }
    if (strcmp(port, OLLAMA_PORT) != 0) {
        p += strlen(scheme);
        len -= strlen(scheme);
    }
    size_t n = 0;
    while (n < len && p[n] != '/')
        n++;
    const char *own_port = find_port(p, n);
    buf_text(ret_url, scheme);
    write_host(ret_url, p, own_port ? (size_t)(own_port - p) - 1 : n);
    if (own_port && own_port < p + n)
        buf_printf(ret_url, ":%.*s", (int)(n - (size_t)(own_port - p)), own_port);
    else
        buf_printf(ret_url, ":%s", port);
    while (len > n && p[len - 1] == '/')
        len--;
    buf_append(ret_url, p + n, len - n);
}
