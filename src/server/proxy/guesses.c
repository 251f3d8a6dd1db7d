#include "server/proxy/guesses.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "server/proxy/client.h"
#include "server/proxy/exchange.h"
#include "server/server.h"

#define WINDOW_NS (GUESSES_WINDOW_S * NS_PER_S)
#define NETWORK_BYTES 8 /* a /64: what a site is given at least (RFC 6177) */

void guesses_name_source(const char *address, char ret[GUESSES_SOURCE_TEXT_MAX])
{
    struct in6_addr in6;
    char network[INET6_ADDRSTRLEN] = "";
    if (inet_pton(AF_INET6, address, &in6) != 1 || IN6_IS_ADDR_LOOPBACK(&in6)) {
        snprintf(ret, GUESSES_SOURCE_TEXT_MAX, "%s", address);
        return;
    }
    if (IN6_IS_ADDR_V4MAPPED(&in6)) {
        inet_ntop(AF_INET, in6.s6_addr + 12, ret, GUESSES_SOURCE_TEXT_MAX);
        return;
    }
    memset(in6.s6_addr + NETWORK_BYTES, 0, sizeof(in6.s6_addr) - NETWORK_BYTES);
    inet_ntop(AF_INET6, &in6, network, sizeof(network));
    snprintf(ret, GUESSES_SOURCE_TEXT_MAX, "%s/64", network);
}

static bool is_over(const struct guess_source *it, uint64_t now_ns)
{
    return now_ns - it->began_ns >= WINDOW_NS;
}

/* Its place; else one to begin at: a free one, or whose window is over, or that of the source with
 * the fewest, so that nobody is forgotten for strangers that come once each. */
static struct guess_source *find(struct guesses *g, const char *source, uint64_t now_ns)
{
    struct guess_source *best = NULL;
    for (uint32_t i = 0; i < GUESSES_SOURCES_MAX; i++) {
        struct guess_source *it = &g->sources[i];
        if (strcmp(it->text, source) == 0)
            return it;
        if (it->text[0] && is_over(it, now_ns))
            *it = (struct guess_source){.text = ""};
        if (!best || it->count < best->count)
            best = it;
    }
    return best;
}

uint32_t guesses_add(struct guesses *g, const char *source, uint32_t max, uint64_t now_ns)
{
    must(source[0]);
    struct guess_source *it = find(g, source, now_ns);
    if (strcmp(it->text, source) != 0 || is_over(it, now_ns)) {
        *it = (struct guess_source){.began_ns = now_ns};
        snprintf(it->text, sizeof(it->text), "%s", source);
    }
    it->count += it->count < UINT32_MAX;
    if (it->count <= max)
        return 0;
    return (uint32_t)((it->began_ns + WINDOW_NS - now_ns + NS_PER_S - 1) / NS_PER_S);
}

/* ---- the log ---- */

static void tell(struct guesses *g);

static void on_timer(uv_timer_t *timer)
{
    struct guesses *g = container_of(timer, struct guesses, timer);
    if (g->untold)
        tell(g);
}

/* The first is told at once, those that follow together, a window later. */
static void tell(struct guesses *g)
{
    char refused[48] = "";
    if (g->refused)
        snprintf(refused, sizeof(refused), ", %u of them refused with 429", g->refused);
    log_warn(NULL, "wrong API keys: %u request%s%s, the last from %s", g->untold,
             g->untold == 1 ? "" : "s", refused, g->last);
    g->untold = g->refused = 0;
    uv_update_time(g->timer.loop);
    uv_timer_start(&g->timer, on_timer, GUESSES_WINDOW_S * 1000, 0);
}

uint32_t guesses_note(struct server *s, const struct exchange *ex)
{
    struct guesses *g = &s->guesses;
    const struct client *c = ex->client;
    uint32_t max = ex->config->config->access.wrong_keys_max, left = 0;
    if (c->peer[0])
        guesses_name_source(c->peer, g->last);
    else
        snprintf(g->last, sizeof(g->last), "user %u by a unix socket", c->user.uid);
    if (max)
        left = guesses_add(g, g->last, max, uv_hrtime());
    g->untold++;
    g->refused += left != 0;
    if (!uv_is_active((uv_handle_t *)&g->timer) && !uv_is_closing((uv_handle_t *)&g->timer))
        tell(g);
    return left;
}

void guesses_init(struct server *s)
{
    uv_timer_init(s->loop, &s->guesses.timer);
}

void guesses_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->guesses.timer, NULL);
}
