#include "server/record/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/proxy/client.h"
#include "server/proxy/exchange.h"
#include "server/server.h"

#define PATH_MAX_BYTES 512
#define AGENT_MAX_BYTES 256
#define ADDRESS_MAX_BYTES 64
#define STATUS_CLIENT_LEFT 499

struct access {
    uint64_t began_ns, bytes;
    unsigned status; /* 0: no answer yet */
    char text[];     /* the request, and behind its NUL the user agent; both escaped */
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

static void quote_field(const struct exchange *ex, const char *name, bool first_item, char *out,
                        size_t size)
{
    const struct http_field *f = http_head_find_text(ex->head, ex->bytes, name);
    const char *p = f ? ex->bytes + f->value.off : "";
    size_t n = f ? f->value.len : 0;
    const char *comma = first_item ? memchr(p, ',', n) : NULL;
    log_quote(p, comma ? (size_t)(comma - p) : n, out, size);
}

static void find_address(const struct exchange *ex, char out[ADDRESS_MAX_BYTES])
{
    quote_field(ex, "x-forwarded-for", true, out, ADDRESS_MAX_BYTES);
    if (!out[0])
        quote_field(ex, "x-real-ip", false, out, ADDRESS_MAX_BYTES);
    if (!out[0])
        snprintf(out, ADDRESS_MAX_BYTES, "%s", ex->client->peer[0] ? ex->client->peer : "unix");
}

struct access *access_begin(const struct exchange *ex)
{
    const struct http_head *h = ex->head;
    const char *path = ex->bytes + h->path.off;
    char address[ADDRESS_MAX_BYTES], quoted[PATH_MAX_BYTES], agent[AGENT_MAX_BYTES];
    char line[ADDRESS_MAX_BYTES + PATH_MAX_BYTES + 64];
    if (log_level_min > LOG_INFO || is_quiet(path, h->path.len))
        return NULL;
    find_address(ex, address);
    log_quote(path, h->path.len, quoted, sizeof(quoted));
    quote_field(ex, "user-agent", false, agent, sizeof(agent));
    size_t n = (size_t)snprintf(line, sizeof(line), "%s \"%.*s %s HTTP/1.%u\"", address,
                                h->method.len < 32 ? (int)h->method.len : 32,
                                ex->bytes + h->method.off, quoted, (unsigned)h->minor);
    size_t agent_bytes = strlen(agent) + 1;
    struct access *a = alloc_zeroed(1, sizeof(*a) + n + 1 + agent_bytes);
    a->began_ns = uv_hrtime();
    memcpy(a->text, line, n + 1);
    memcpy(a->text + n + 1, agent, agent_bytes);
    return a;
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

void access_end(struct access *a)
{
    char took[48];
    if (!a)
        return;
    format_duration(uv_hrtime() - a->began_ns, took, sizeof(took));
    log_info(NULL, "Request %s %u %llu \"%s\" %s", a->text,
             a->status ? a->status : STATUS_CLIENT_LEFT, (unsigned long long)a->bytes,
             a->text + strlen(a->text) + 1, took);
    free(a);
}
