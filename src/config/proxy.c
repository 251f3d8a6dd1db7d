#include "config/proxy.h"

#include <stdlib.h>
#include <string.h>

#define PORT_REFERENCE "${PORT}"

/* Behind the port at p: its end, or NULL when it is none. */
static const char *port_end(const char *p)
{
    if (strncmp(p, PORT_REFERENCE, strlen(PORT_REFERENCE)) == 0)
        return p + strlen(PORT_REFERENCE);
    char *end;
    size_t digits = strspn(p, "0123456789");
    unsigned long port = digits ? strtoul(p, &end, 10) : 0;
    return digits && digits < 6 && port >= 1 && port <= UINT16_MAX ? p + digits : NULL;
}

static size_t scheme_length(const char *text)
{
    if (strncmp(text, "http://", 7) == 0)
        return 7;
    return strncmp(text, "https://", 8) == 0 ? 8 : 0;
}

/* What is wrong with it, or NULL. */
static const char *problem_of(const char *text)
{
    const char *p = text + scheme_length(text);
    if (strncmp(text, "unix:/", 6) == 0)
        return NULL;
    if (p == text)
        return "it must start with http:// or https://, or be unix:/PATH";
    if (text[strcspn(text, " \t\r\n\"<>\\")] != '\0')
        return "it holds a character that no URL may have";
    size_t authority = strcspn(p, "/?");
    size_t host = *p == '[' ? strcspn(p, "]") + 1 : strcspn(p, ":/?");
    if (host > authority || host < (*p == '[' ? 4u : 1u))
        return "it names no host";
    const char *end = p + host;
    if (*end == ':')
        end = port_end(end + 1);
    return end == p + authority ? NULL : "its port must be a number from 1 to 65535, or ${PORT}";
}

char *proxy_resolve(struct resolver *r, const char *key, const struct value *v)
{
    char *text = arena_text_n(r->arena, v->text, strcspn(v->text, "#"));
    size_t scheme = scheme_length(text);
    char *host = text + scheme;
    size_t authority = strcspn(host, "/?");
    if (strchr(v->text, '#'))
        diag_warn(r->diag, v->at, "what follows the # of %s is ignored", key);
    for (size_t i = authority; scheme && i > 0; i--) {
        if (host[i - 1] != '@')
            continue;
        diag_warn(r->diag, v->at, "user name and password in %s are ignored", key);
        memmove(host, host + i, strlen(host + i) + 1);
        break;
    }
    const char *problem = problem_of(text);
    if (problem && !v->broken)
        diag_error(r->diag, v->at, "this %s cannot be used: %s", key, problem);
    return text;
}
