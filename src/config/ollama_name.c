#include "config/ollama_name.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/pure/check.h"

/* The prefixes that go without saying. */
static const char *skip_registry(const char *name)
{
    static const char *const usual[] = {"https://", "http://", "registry.ollama.ai/", "library/"};
    for (size_t i = 0; i < countof(usual); i++)
        if (strncasecmp(name, usual[i], strlen(usual[i])) == 0)
            name += strlen(usual[i]);
    return name;
}

/* The name without its tag; *ret_tag is that. Slashes part a name, and a colon before one is a
 * port's. */
static size_t part(const char *name, const char **ret_tag)
{
    const char *slash = strrchr(name, '/'), *colon = strchr(slash ? slash : name, ':');
    *ret_tag = colon ? colon + 1 : "latest";
    return colon ? (size_t)(colon - name) : strlen(name);
}

bool config_same_ollama_name(const char *a, const char *b)
{
    const char *tag_a, *tag_b;
    a = skip_registry(a);
    b = skip_registry(b);
    size_t n = part(a, &tag_a);
    return n == part(b, &tag_b) && strncasecmp(a, b, n) == 0 && strcasecmp(tag_a, tag_b) == 0;
}
