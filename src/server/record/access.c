#include "server/record/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "config/key.h"
#include "config/peer.h"
#include "server/proxy/client.h"
#include "server/proxy/exchange.h"
#include "server/server.h"

#define PATH_MAX_BYTES 512
#define AGENT_MAX_BYTES 256
#define ADDRESS_MAX_BYTES 64
#define ID_MAX_BYTES 128
#define STATUS_CLIENT_LEFT 499

struct access {
    uint64_t began_ns, bytes;
    uint64_t granted_ns; /* it may go to its model's server; 0: not yet, or not at all */
    unsigned status;     /* 0: no answer yet */
    unsigned minor;      /* of its HTTP/1.x */
    char address[ADDRESS_MAX_BYTES]; /* escaped */
    struct piece {
        const char *data; /* in text; as it came */
        size_t n;
    } method, path, agent, id;
    char text[];
};

/* The last: tokens stand there, which nobody else is to have. */
static bool is_quiet(const char *path, size_t n)
{
    static const char *const prefixes[] = {"/wol-health", "/api/performance", "/metrics",
                                           "/wharf/workers/"};
    for (size_t i = 0; i < countof(prefixes); i++)
        if (n >= strlen(prefixes[i]) && memcmp(path, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* The value as it came; empty: there is no such field. */
static struct piece find_field(const struct exchange *ex, const char *name)
{
    const struct http_field *f = http_head_find_text(ex->head, ex->bytes, name);
    return f ? (struct piece){ex->bytes + f->value.off, f->value.len} : (struct piece){"", 0};
}

static void find_address(const struct exchange *ex, char out[ADDRESS_MAX_BYTES])
{
    struct piece p = find_field(ex, "x-forwarded-for");
    const char *comma = memchr(p.data, ',', p.n);
    log_quote(p.data, comma ? (size_t)(comma - p.data) : p.n, out, ADDRESS_MAX_BYTES);
    if (out[0])
        return;
    p = find_field(ex, "x-real-ip");
    log_quote(p.data, p.n, out, ADDRESS_MAX_BYTES);
    if (!out[0])
        snprintf(out, ADDRESS_MAX_BYTES, "%s", ex->client->peer[0] ? ex->client->peer : "unix");
}

static struct piece cut(struct piece p, size_t max)
{
    return (struct piece){p.data, p.n < max ? p.n : max};
}

static struct piece keep(char **at, struct piece p)
{
    struct piece kept = {*at, p.n};
    memcpy(*at, p.data, p.n);
    *at += p.n;
    return kept;
}

/* The head is gone before the line is written. */
struct access *access_begin(const struct exchange *ex)
{
    const struct http_head *h = ex->head;
    const struct piece method = cut((struct piece){ex->bytes + h->method.off, h->method.len}, 32),
                       path = {ex->bytes + h->path.off, h->path.len},
                       shown = cut(path, PATH_MAX_BYTES),
                       agent = cut(find_field(ex, "user-agent"), AGENT_MAX_BYTES),
                       id = cut(find_field(ex, "x-request-id"), ID_MAX_BYTES);
    if (log_level_min > LOG_INFO || ex->server->logs.access == CONFIG_LOG_ACCESS_OFF ||
        is_quiet(path.data, path.n))
        return NULL;
    struct access *a = alloc_zeroed(1, sizeof(*a) + method.n + shown.n + agent.n + id.n);
    char *at = a->text;
    find_address(ex, a->address);
    a->began_ns = ex->since_ns ? ex->since_ns : uv_hrtime();
    a->minor = (unsigned)h->minor;
    a->method = keep(&at, method);
    a->path = keep(&at, shown);
    a->agent = keep(&at, agent);
    a->id = keep(&at, id);
    return a;
}

void access_granted(struct access *a)
{
    if (a)
        a->granted_ns = uv_hrtime();
}

void access_status(struct access *a, unsigned status)
{
    if (a)
        a->status = status;
}

void access_bytes(struct access *a, size_t n)
{
    if (a)
        a->bytes += n;
}

/* As Go writes durations, to the thousandth of the unit. */
static void format_duration(uint64_t ns, char *out, size_t size)
{
    const char *unit = ns < NS_PER_MS ? "\xc2\xb5s" : ns < NS_PER_S ? "ms" : "s";
    uint64_t one = ns < NS_PER_MS ? 1000 : ns < NS_PER_S ? NS_PER_MS : NS_PER_S;
    uint64_t whole = ns / one, minutes = one == NS_PER_S ? whole / 60 : 0, hours = minutes / 60;
    unsigned long long part = ns % one * 1000 / one;
    int n = 0;
    if (hours)
        n += snprintf(out, size, "%lluh", (unsigned long long)hours);
    if (minutes)
        n += snprintf(out + n, size - (size_t)n, "%llum", (unsigned long long)(minutes % 60));
    snprintf(out + n, size - (size_t)n, "%llu.%03llu%s",
             (unsigned long long)(minutes ? whole % 60 : whole), part, unit);
}

/* A JSON number: milliseconds, to the thousandth. */
static const char *format_ms(uint64_t ns, char out[32])
{
    snprintf(out, 32, "%llu.%03llu", (unsigned long long)(ns / NS_PER_MS),
             (unsigned long long)(ns % NS_PER_MS / 1000));
    return out;
}

static struct log_field text_of(const char *name, struct piece p)
{
    return LOG_BYTES(p.n ? name : NULL, p.data, p.n);
}

static const char *key_name_of(const struct exchange *ex)
{
    const struct config_key *key = ex->ask.auth.key;
    return key && *key->name ? key->name : NULL;
}

static void write_line(const struct exchange *ex, const struct access *a, unsigned status)
{
    char took[48], path[PATH_MAX_BYTES], agent[AGENT_MAX_BYTES], ms[32], waited[32];
    uint64_t ns = uv_hrtime() - a->began_ns;
    struct log_field fields[] = {
        text_of("method", a->method),
        text_of("path", a->path),
        LOG_NUMBER("status", status),
        LOG_NUMBER("bytes", a->bytes),
        LOG_JSON("ms", format_ms(ns, ms)),
        LOG_TEXT("client", a->address),
        text_of("user_agent", a->agent),
        LOG_TEXT("key", key_name_of(ex)),
        LOG_TEXT("model", exchange_model(ex)),
        LOG_JSON(a->granted_ns ? "waited_ms" : NULL,
                 format_ms(a->granted_ns > a->began_ns ? a->granted_ns - a->began_ns : 0, waited)),
        EXCHANGE_LOG_FIELDS(ex),
        text_of("request_id", a->id),
    };
    for (size_t i = 0; i < countof(fields); i++)
        fields[i].said = true; /* people have llama-swap's line */
    format_duration(ns, took, sizeof(took));
    log_quote(a->path.data, a->path.n, path, sizeof(path));
    log_quote(a->agent.data, a->agent.n, agent, sizeof(agent));
    log_info_with(NULL, ((struct log_fields){fields, countof(fields)}),
                  "Request %s \"%.*s %s HTTP/1.%u\" %u %llu \"%s\" %s", a->address,
                  (int)a->method.n, a->method.data, path, a->minor, status,
                  (unsigned long long)a->bytes, agent, took);
}

void access_end(const struct exchange *ex, struct access *a)
{
    unsigned status = a && a->status ? a->status : STATUS_CLIENT_LEFT;
    enum config_log_access mode = ex->server->logs.access;
    if (a && (mode == CONFIG_LOG_ACCESS_ON || (mode == CONFIG_LOG_ACCESS_ERRORS && status >= 400)))
        write_line(ex, a, status);
    free(a);
}

void access_forget(struct access *a)
{
    free(a);
}
