/* Names, sites and unix sockets: hosts, cors, socket. */
#include <ctype.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "config/resolve.h"

static void lower(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

/* A name or an address as it stands in Host, without a port. */
static bool is_host(const char *text)
{
    return *text && strcspn(text, "/: \t*") == strlen(text) && text[0] != '.';
}

/* SCHEME://HOST[:PORT], and nothing behind that: what browsers send as Origin. */
static bool is_origin(const char *text)
{
    const char *host = strstr(text, "://");
    if (!host || host == text || strlen(text) > CONFIG_ORIGIN_BYTES_MAX)
        return false;
    host += 3;
    return *host && strcspn(host, "/ \t?#*@") == strlen(host);
}

static void resolve_hosts(struct resolver *r)
{
    const struct value *v = bound_value(r->root, SET_ROOT_hosts);
    struct config_access *a = &r->config->access;
    a->hosts = resolve_texts(r, v);
    for (uint32_t i = 0; i < a->hosts.count; i++) {
        lower(a->hosts.items[i]);
        if (!is_host(a->hosts.items[i]))
            diag_error(r->diag, v->texts[i].at,
                       "hosts[%u] must be a name such as llm.example, not %s", i,
                       diag_quote(r->diag, v->texts[i].text));
    }
}

static void resolve_origins(struct resolver *r)
{
    const struct value *v = bound_value(r->root, SET_ROOT_cors);
    struct config_access *a = &r->config->access;
    a->origins_given = v->given;
    a->origins = resolve_texts(r, v);
    for (uint32_t i = 0; i < a->origins.count; i++) {
        lower(a->origins.items[i]);
        if (strcmp(a->origins.items[i], "*") != 0 && !is_origin(a->origins.items[i]))
            diag_error(r->diag, v->texts[i].at,
                       "cors[%u] must be a site such as https://chat.example, or *, not %s", i,
                       diag_quote(r->diag, v->texts[i].text));
    }
}

/* An octal number, as chmod takes it. Nobody but the owner may do anything but connect. */
static void resolve_mode(struct resolver *r, const struct value *v)
{
    char *end;
    unsigned long mode = strtoul(v->text, &end, 8);
    bool sound = *v->text && isdigit((unsigned char)*v->text) && *end == '\0' && mode <= 0777;
    r->config->access.socket_mode = (uint32_t)mode;
    if (!sound && !v->broken)
        diag_error(r->diag, v->at, "socket.mode must be an octal number such as \"0660\", not %s",
                   diag_quote(r->diag, v->text));
    else if (sound && (mode & 0600) != 0600)
        diag_error(r->diag, v->at, "socket.mode %s shuts out the owner", v->text);
}

static void resolve_group(struct resolver *r, const struct value *v)
{
    struct config_access *a = &r->config->access;
    char *end;
    unsigned long gid = strtoul(v->text, &end, 10);
    const struct group *group;
    a->has_group = *v->text != '\0';
    if (!a->has_group)
        return;
    if (*end == '\0' && gid < UINT32_MAX)
        a->socket_gid = (uint32_t)gid;
    else if ((group = getgrnam(v->text)))
        a->socket_gid = group->gr_gid;
    else
        diag_error(r->diag, v->at, "this machine has no group %s", diag_quote(r->diag, v->text));
}

void resolve_access(struct resolver *r)
{
    const struct bound *socket = bound_child(r->root, SET_ROOT_socket);
    resolve_hosts(r);
    resolve_origins(r);
    resolve_mode(r, bound_value(socket, SET_SOCKET_mode));
    resolve_group(r, bound_value(socket, SET_SOCKET_group));
}
