#include "address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "http/url.h"

#define UNIX_PREFIX "unix:"

static int parse_unix(const char *path, struct client_address *ret, struct err *e)
{
    struct client_address a = {.is_unix = true};
    if (path[0] != '/')
        return err_set(e, "'%.200s' is not the absolute path of a socket", path);
    if (strlen(path) >= sizeof(a.socket_path))
        return err_set(e, "'%.200s' is longer than the %zu bytes that a socket's path may have",
                       path, sizeof(a.socket_path) - 1);
    snprintf(a.socket_path, sizeof(a.socket_path), "%s", path);
    snprintf(a.text, sizeof(a.text), UNIX_PREFIX "%s", path);
    *ret = a;
    return 0;
}

static int parse_http(const char *text, struct client_address *ret, struct err *e)
{
    struct url url;
    struct client_address a = {.is_unix = false};
    if (url_parse(text, &url) < 0)
        return err_set(e, "'%.200s' is no address: http://HOST:PORT or unix:/PATH is", text);
    if (url.tls)
        return err_set(e, "'%.200s': https is not supported here; http:// and unix: are", text);
    bool is_ipv6 = strchr(url.host, ':') != NULL;
    size_t base_len = strlen(url.path);
    while (base_len > 0 && url.path[base_len - 1] == '/')
        base_len--;
    snprintf(a.host, sizeof(a.host), "%s", url.host);
    a.port = url.port;
    snprintf(a.base, sizeof(a.base), "%.*s", (int)base_len, url.path);
    snprintf(a.text, sizeof(a.text), is_ipv6 ? "[%s]:%u" : "%s:%u", url.host, url.port);
    *ret = a;
    return 0;
}

int client_address_parse(const char *url, struct client_address *ret, struct err *e)
{
    if (strncmp(url, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return parse_unix(url + strlen(UNIX_PREFIX), ret, e);
    return parse_http(url, ret, e);
}

static bool take_socket(const char *path, struct client_address *ret)
{
    struct stat st;
    struct err ignored = {.set = false};
    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && parse_unix(path, ret, &ignored) == 0;
}

void client_address_default(struct client_address *ret)
{
    char path[512];
    struct err e = {.set = false};
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (take_socket(CLIENT_SOCKET_SYSTEM, ret))
        return;
    if (runtime && runtime[0] == '/') {
        int n = snprintf(path, sizeof(path), "%s/" CLIENT_SOCKET_USER, runtime);
        if (n > 0 && (size_t)n < sizeof(path) && take_socket(path, ret))
            return;
    }
    must(parse_http(CLIENT_URL_DEFAULT, ret, &e) == 0);
}
