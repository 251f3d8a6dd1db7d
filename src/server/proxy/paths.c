#include "server/proxy/paths.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/errors.h"
#include "http/url.h"
#include "server/models/naming.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/entry.h"
#include "server/proxy/routing.h"
#include "server/server.h"

#define MODEL_NAME_MAX 512

const struct route *paths_find(const struct exchange *ex, const char *path, size_t n,
                               const char **ret_allow)
{
    const struct server_api *api = ex->client->api;
    struct http_span method = ex->head->method;
    return api->find(api,
                     &(struct route_request){.method = ex->bytes + method.off,
                                             .method_len = method.len,
                                             .path = path,
                                             .path_len = n},
                     ret_allow);
}

/* Removes empty and "." segments, and each ".." with the one before it. A slash at the end stays.
 * out has room for n + 1 bytes; returns how many it has. */
static size_t clean(const char *path, size_t n, char *out)
{
    size_t at = 0, i = 0;
    bool slash = n == 0;
    while (i < n) {
        size_t from = i + (path[i] == '/'), end = from;
        while (end < n && path[end] != '/')
            end++;
        size_t len = end - from;
        bool dot = len == 1 && path[from] == '.';
        bool up = len == 2 && path[from] == '.' && path[from + 1] == '.';
        if (up)
            while (at && out[--at] != '/')
                ;
        slash = len == 0 || dot || up;
        if (!slash) {
            out[at++] = '/';
            memcpy(out + at, path + from, len);
            at += len;
        }
        i = end;
    }
    if (slash)
        out[at++] = '/';
    return at;
}

static void redirect(struct exchange *ex, int status, const char *path, size_t n)
{
    struct http_span query = ex->head->query;
    struct buf fields = {0};
    buf_text(&fields, "Location: ");
    buf_append(&fields, path, n);
    if (query.len)
        buf_printf(&fields, "?%.*s", (int)query.len, ex->bytes + query.off);
    buf_text(&fields, "\r\n");
    exchange_reply(ex, status, "text/plain", fields.data, "", 0);
    buf_fini(&fields);
}

bool paths_redirect_clean(struct exchange *ex)
{
    struct http_span path = ex->head->path;
    const char *allow = NULL, *text = ex->bytes + path.off;
    char *cleaned = alloc_zeroed(path.len + 1, 1);
    size_t n = clean(text, path.len, cleaned);
    bool differs = n != path.len || memcmp(cleaned, text, n) != 0;
    bool found = differs && (paths_find(ex, cleaned, n, &allow) || allow);
    if (found)
        redirect(ex, 307, cleaned, n);
    free(cleaned);
    return found;
}

/* A model's own path without a slash behind it: relative links of its pages would miss. */
static void redirect_to_slash(struct exchange *ex)
{
    struct http_span path = ex->head->path;
    struct buf to = {0};
    bool safe = ex->is_head_method || http_span_equal(ex->bytes, ex->head->method, "GET");
    buf_append(&to, ex->bytes + path.off, path.len);
    buf_char(&to, '/');
    redirect(ex, safe ? 301 : 308, to.data, to.len);
    buf_fini(&to);
}

/* What is to be served only while the model is there; answers where it is not. */
static bool is_there(struct exchange *ex, const struct naming *who, const char *why)
{
    struct core_model_view v;
    struct buf text = {0};
    core_view_model(ex->server->runner.core, who->slot, &v);
    if (v.state == MODEL_LOADED)
        return true;
    buf_printf(&text, "model %s is not loaded; %s", who->model->id, why);
    exchange_fail_error(ex, ERR_CONFLICT, text.data);
    buf_fini(&text);
    return false;
}

/* By the decoded path that the model's server would see, or as it came where it cannot be decoded.
 */
static bool is_ignored(const struct exchange *ex, const char *path, size_t n)
{
    const struct config *c = ex->config->config;
    char *decoded = alloc_zeroed(n + 1, 1);
    bool ok = url_decode(path, n, false, decoded, n + 1);
    bool ignored =
        ok ? config_ignores_path(c, decoded, strlen(decoded)) : config_ignores_path(c, path, n);
    free(decoded);
    return ignored;
}

static void fail_unnamed(struct exchange *ex, const char *path, size_t n)
{
    char name[MODEL_NAME_MAX];
    const char *slash = memchr(path, '/', n);
    if (!url_decode(path, slash ? (size_t)(slash - path) : n, false, name, sizeof(name)))
        name[0] = '\0';
    exchange_fail_unknown(ex, name);
}

void paths_route(struct exchange *ex)
{
    uint32_t from = ex->route->upstream_skip, len = ex->head->path.len - from;
    const char *path = ex->bytes + ex->head->path.off + from;
    struct naming who = {0};
    enum naming_result result;
    uint32_t best = naming_path(ex->server, ex->config, path, len, &result, &who);
    if (best && !entry_reaches(ex, &who))
        best = 0;
    if (best && result != NAMING_FOUND) {
        exchange_fail_name(ex, result, who.asked, &who);
    } else if (best == 0) {
        fail_unnamed(ex, path, len);
    } else if (best == len) {
        redirect_to_slash(ex);
    } else if (!entry_permits_path(ex, path + best, len - best)) {
        return; /* answered */
    } else if (who.kind != CONFIG_NAME_MODEL || !is_ignored(ex, path + best, len - best) ||
               is_there(ex, &who, "path matches upstream.ignorePaths")) {
        ex->ask.path_skip = from + best;
        exchange_admit(ex, &who);
    }
}

void paths_route_fixed(struct exchange *ex)
{
    uint32_t skip = ex->route->upstream_skip, len = ex->head->path.len;
    struct naming who;
    if (len == skip) {
        redirect_to_slash(ex);
    } else if (!naming_resolve(ex->config, ex->route->model, &who) ||
               who.kind != CONFIG_NAME_MODEL || !entry_reaches(ex, &who)) {
        exchange_fail_unknown(ex, ex->route->model);
    } else if (!entry_permits_path(ex, ex->bytes + ex->head->path.off + skip, len - skip)) {
        return; /* answered */
    } else if (len == skip + 1 || is_there(ex, &who, "only its first page can start it")) {
        ex->ask.path_skip = skip;
        exchange_admit(ex, &who);
    }
}
