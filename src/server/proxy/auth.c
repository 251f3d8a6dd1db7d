#include "server/proxy/auth.h"

#include <string.h>
#include <strings.h>

#include "config/config.h"
#include "http/head.h"
#include "server/leases/secret.h"

#define CREDENTIAL_MAX 1024

/* FNV-1a of 32 bits, but never 0. */
static uint32_t number_of(const char *key, size_t n)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)key[i]) * 16777619U;
    return hash ? hash : 1;
}

#define RIGHT(name) (1U << RIGHT_##name)
#define RIGHTS_READING (RIGHT(NONE) | RIGHT(LIST) | RIGHT(READ))
#define RIGHTS_MODELS (RIGHT(NONE) | RIGHT(LIST) | RIGHT(USE))
#define RIGHTS_PLAIN (RIGHTS_READING | RIGHTS_MODELS | RIGHT(OPERATE))
#define RIGHTS_ALL (RIGHTS_PLAIN | RIGHT(ADMIN))

uint32_t auth_rights_of(const struct config_key *key)
{
    uint32_t rights = key->administers ? RIGHTS_ALL : RIGHTS_PLAIN;
    if (key->read_only)
        rights &= RIGHTS_READING;
    if (key->models.count)
        rights &= RIGHTS_MODELS;
    return rights;
}

static void take(const struct config_key *key, uint32_t number, struct auth *ret_auth)
{
    *ret_auth = (struct auth){
        .number = number, .rights = auth_rights_of(key), .shown = ret_auth->shown, .key = key};
}

/* All are looked at, also behind the one that it is. Of several with the same key, the last. */
static bool any_equal(const struct config *config, const char *given, size_t n,
                      struct auth *ret_auth)
{
    uint32_t which = UINT32_MAX;
    for (uint32_t i = 0; i < config->key_count; i++)
        which = secret_equal(given, n, config->keys[i].key) ? i : which;
    if (which == UINT32_MAX || n == 0)
        return false;
    take(&config->keys[which], number_of(given, n), ret_auth);
    return true;
}

static bool user_allows(const struct config *config, const struct peer_user *sender,
                        struct auth *ret_auth)
{
    for (uint32_t i = 0; sender->known && i < config->key_count; i++) {
        const struct config_key *k = &config->keys[i];
        if (!*k->user || k->uid != sender->uid)
            continue;
        take(k, number_of(k->user, strlen(k->user)), ret_auth);
        return true;
    }
    return false;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes RFC 4648 base64; returns the length, 0 when it is malformed or too long. */
static size_t decode_base64(const char *text, size_t n, char out[CREDENTIAL_MAX])
{
    size_t len = 0;
    unsigned bits = 0, held = 0;
    while (n && text[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        int v = base64_value(text[i]);
        if (v < 0 || len == CREDENTIAL_MAX)
            return 0;
        held = (held << 6 | (unsigned)v) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[len++] = (char)(held >> bits & 0xff);
        }
    }
    return len;
}

static bool basic_allows(const struct config *config, const char *text, size_t n,
                         struct auth *ret_auth)
{
    char decoded[CREDENTIAL_MAX];
    size_t len = decode_base64(text, n, decoded);
    const char *colon = memchr(decoded, ':', len);
    if (!colon)
        return false;
    size_t skip = (size_t)(colon - decoded) + 1;
    return any_equal(config, decoded + skip, len - skip, ret_auth);
}

static bool authorization_allows(const struct config *config, const char *value, size_t n,
                                 struct auth *ret_auth)
{
    const char *space = memchr(value, ' ', n);
    if (!space)
        return false;
    size_t scheme = (size_t)(space - value), skip = scheme;
    while (skip < n && value[skip] == ' ')
        skip++;
    if (scheme == 5 && strncasecmp(value, "Basic", 5) == 0)
        return basic_allows(config, value + skip, n - skip, ret_auth);
    if (scheme == 6 && strncasecmp(value, "Bearer", 6) == 0)
        return any_equal(config, value + skip, n - skip, ret_auth);
    return false;
}

bool auth_allows(const struct config *config, const struct http_head *head, const char *bytes,
                 const struct peer_user *sender, struct auth *ret_auth)
{
    bool stranger = sender->known && !peer_user_is_owner(*sender);
    *ret_auth = (struct auth){0};
    if (config->key_count == 0) {
        ret_auth->rights = stranger ? RIGHTS_PLAIN : RIGHTS_ALL;
        return true;
    }
    const struct http_field *f = http_head_find(head, HTTP_FIELD_AUTHORIZATION);
    const struct http_field *x = http_head_find(head, HTTP_FIELD_X_API_KEY);
    ret_auth->shown = f || x;
    return (f && authorization_allows(config, bytes + f->value.off, f->value.len, ret_auth)) ||
           (x && any_equal(config, bytes + x->value.off, x->value.len, ret_auth)) ||
           user_allows(config, sender, ret_auth);
}
