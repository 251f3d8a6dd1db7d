#include "server/proxy/entry.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/pure/errors.h"
#include "server/models/naming.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/guesses.h"
#include "server/proxy/paths.h"
#include "server/server.h"

static struct site_text text_of(const struct exchange *ex, const struct http_field *f)
{
    return f ? (struct site_text){ex->bytes + f->value.off, f->value.len} : (struct site_text){0};
}

static struct site_text known_field(const struct exchange *ex, enum http_field_name name)
{
    return text_of(ex, http_head_find(ex->head, name));
}

static struct site_text named_field(const struct exchange *ex, const char *name)
{
    return text_of(ex, http_head_find_text(ex->head, ex->bytes, name));
}

bool entry_by_name(struct exchange *ex)
{
    const struct config *c = ex->config->config;
    const struct client *client = ex->client;
    bool guarded = client->at.is_local && !client->at.tls;
    char own[256] = "";
    if (c->key_count || client->at.is_unix || !(guarded || c->access.hosts.count))
        return true;
    if (gethostname(own, sizeof(own) - 1) != 0)
        own[0] = '\0';
    struct site_text host = known_field(ex, HTTP_FIELD_HOST);
    if (sites_know_host(&c->access, own, host))
        return true;
    struct buf text = {0}, name = {0};
    buf_append(&name, host.text, host.n);
    buf_text(&text, "wharf is not known as ");
    buf_json_text(&text, name.data);
    buf_text(&text, ": a page on the Internet may be behind that name. If it is yours, list it in "
                    "'hosts' of the configuration, or configure keys");
    exchange_fail_error(ex, ERR_HOST_UNKNOWN, text.data);
    buf_fini(&text);
    buf_fini(&name);
    return false;
}

enum site_trust entry_trust(const struct exchange *ex)
{
    return sites_trust(&ex->config->config->access, known_field(ex, HTTP_FIELD_ORIGIN));
}

static bool refuse(struct exchange *ex, int error, const char *detail)
{
    exchange_fail_error(ex, error, detail);
    return false;
}

/* Why a key may not do it, and which may. */
static const char *why_not(const struct auth *a, enum route_right right)
{
    if (a->key && a->key->read_only)
        return "the key is readOnly: it may look, and neither use models nor change anything";
    if (a->key && a->key->models.count)
        return "the key is for some models alone, and may use and list these";
    if (right == RIGHT_ADMIN && !a->key)
        return "only wharf's own user and root may do that over a unix socket, as long as no keys "
               "are configured";
    return "that needs a key with 'admin: true' in 'keys' of the configuration";
}

/* One that is missing is no guess. */
static bool refuse_key(struct exchange *ex)
{
    uint32_t left = ex->ask.auth.shown ? guesses_note(ex->server, ex) : 0;
    exchange_fail(ex, &(struct problem){.error = left ? ERR_KEYS_WRONG : ERR_UNAUTHORIZED,
                                        .retry_after_s = left});
    return false;
}

static bool crosses(const struct exchange *ex)
{
    return sites_cross(named_field(ex, "sec-fetch-site"), known_field(ex, HTTP_FIELD_ORIGIN),
                       known_field(ex, HTTP_FIELD_HOST));
}

bool entry_permits(struct exchange *ex, enum route_right right)
{
    bool changes = right == RIGHT_OPERATE || right == RIGHT_ADMIN;
    if (right == RIGHT_NONE)
        return true;
    if (!auth_allows(ex->config->config, ex->head, ex->bytes, &ex->client->user, &ex->ask.auth))
        return refuse_key(ex);
    if (!auth_may(&ex->ask.auth, right))
        return refuse(ex, ERR_KEY_SCOPE, why_not(&ex->ask.auth, right));
    if (!changes && right != RIGHT_USE)
        return true; /* a page of another site cannot read the answer */
    if (!crosses(ex) || entry_trust(ex) >= (changes ? SITE_ALL : SITE_MODELS))
        return true;
    return refuse(ex, ERR_CROSS_SITE, NULL);
}

/* A link that somebody follows; the page that has it learns nothing of the answer. */
static bool is_visit(const struct exchange *ex)
{
    struct http_span method = ex->head->method;
    struct site_text mode = named_field(ex, "sec-fetch-mode");
    return (http_span_equal(ex->bytes, method, "GET") || ex->is_head_method) && mode.n == 8 &&
           memcmp(mode.text, "navigate", 8) == 0;
}

/* What wharf's own paths let such pages ask of models, or hear of them. */
static bool is_of_models(const struct exchange *ex, const char *path, size_t n)
{
    const char *allow = NULL;
    const struct route *r = paths_find(ex, path, n, &allow);
    return r &&
           (r->kind == ROUTE_MODEL_BODY || r->kind == ROUTE_MODEL_QUERY || r->right == RIGHT_LIST);
}

bool entry_permits_path(struct exchange *ex, const char *path, size_t n)
{
    if (!crosses(ex) || entry_trust(ex) == SITE_ALL || is_visit(ex) || is_of_models(ex, path, n))
        return true;
    return refuse(ex, ERR_CROSS_SITE,
                  "pages of other sites may use models, but not the other paths of their servers, "
                  "unless `cors` of the configuration names the site");
}

bool entry_is_scoped(const struct exchange *ex)
{
    return ex->ask.auth.key && ex->ask.auth.key->models.count > 0;
}

bool entry_reaches(const struct exchange *ex, const struct naming *who)
{
    const struct config_key *key = ex->ask.auth.key;
    if (!entry_is_scoped(ex) || (who->selector && config_key_fits(key, who->selector)))
        return true;
    return who->peer    ? config_key_fits(key, who->peer->names.items[who->peer_model])
           : who->model ? config_key_fits_model(key, who->model)
                        : false;
}
