/* The lease protocol, the daemon's side and the client's together. Each line of the input is a
 * step: a letter, for some of them a digit that chooses among what has been asked for, and a JSON
 * body.
 *
 *   aBODY    asks for a lease           rN BODY, dN BODY, hN BODY    renews, ends, holds one
 *   cN       closes the connection      g                            lists them
 *
 * Where a body is left out, it is the one with the right token. Whatever the daemon says, the
 * client must understand; a lease has one beginning and one end; no gate ever has more inside than
 * it has slots; and in the end nothing is left. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/pure/units.h"
#include "client/client_lease.h"
#include "proxy_world.h"
#include "server/server.h"
#include "simple_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define LEASES_ASKED_MAX 8
#define STEPS_MAX 40

struct asked {
    struct side *side; /* whose answer lasts as long as the lease, unless it has a ttl */
    json_t *body;      /* owned; NULL: it was none */
    char id[64], token[64];
    bool granted, over, has_ttl;
    uint64_t granted_ns;
};

static struct proxy_world *w;
static struct asked asked[LEASES_ASKED_MAX];
static uint32_t asked_count;
static struct message answer;

static void send_request(struct side *s, const char *method, const char *id, const char *body,
                         size_t n)
{
    struct buf text = {0};
    buf_printf(&text,
               "%s /wharf/leases%s%s HTTP/1.1\r\nHost: localhost\r\n"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               method, *id ? "/" : "", id, n);
    buf_append(&text, body, n);
    proxy_send(w, s, text.data, text.len, 0);
    buf_fini(&text);
}

static enum reading read_answer(const struct side *s)
{
    const struct simple_how how = {.ended = s->ended};
    enum reading r = simple_read(&how, s->in.data, s->in.len, &answer);
    must(r != READING_BAD);
    return r;
}

static void take_names(struct asked *a, const struct client_lease_line *l)
{
    if (l->id)
        snprintf(a->id, sizeof(a->id), "%s", l->id);
    if (l->token)
        snprintf(a->token, sizeof(a->token), "%s", l->token);
}

/* What has been said of it so far, from the beginning. */
struct story {
    bool granted, over;
};

static void take_line(struct asked *a, struct story *so_far, const char *text, size_t n)
{
    struct client_lease_line l;
    json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    must(json && client_lease_line_take(json, &l) == 0);
    must(!so_far->over);
    must(l.state != CLIENT_LEASE_WAITING || !so_far->granted);
    must(l.state != CLIENT_LEASE_GRANTED || !so_far->granted);
    must(l.state != CLIENT_LEASE_REFUSED || !so_far->granted);
    so_far->granted |= l.state == CLIENT_LEASE_GRANTED;
    so_far->over |= l.state == CLIENT_LEASE_ENDED || l.state == CLIENT_LEASE_REFUSED;
    take_names(a, &l);
    client_lease_line_fini(&l);
}

/* How it stands, by all that its connection has been told. */
static void look(struct asked *a)
{
    struct story story = {false, false};
    if (a->over || a->side->in.len == 0)
        return;
    read_answer(a->side); /* of one that lasts, what there is so far */
    if (answer.head == 0)
        return;
    if (answer.status != 200 && answer.status != 201) {
        a->over = true;
        return;
    }
    for (size_t at = 0; at < answer.body.len;) {
        const char *end = memchr(answer.body.data + at, '\n', answer.body.len - at);
        if (!end)
            break;
        size_t n = (size_t)(end - answer.body.data) - at;
        take_line(a, &story, answer.body.data + at, n);
        at += n + 1;
    }
    if (story.granted && !a->granted)
        a->granted_ns = uv_hrtime();
    a->has_ttl = answer.status == 201;
    a->granted = story.granted;
    a->over = story.over;
}

static bool wants_gate(const struct asked *a, const char *gate)
{
    const json_t *gates = json_object_get(a->body, "gates");
    for (size_t i = 0; i < json_array_size(gates); i++) {
        const char *name = json_string_value(json_array_get(gates, i));
        if (name && strcmp(name, gate) == 0)
            return true;
    }
    return false;
}

/* One whose time may have passed meanwhile is not counted. */
static bool is_inside(const struct asked *a)
{
    return a->granted && !a->over && (!a->has_ttl || uv_hrtime() - a->granted_ns < NS_PER_S / 2);
}

static void check_gates(void)
{
    static const struct {
        const char *name;
        uint32_t limit;
    } gates[] = {{"one", 1}, {"two", 2}};
    for (uint32_t i = 0; i < asked_count; i++)
        look(&asked[i]);
    for (size_t g = 0; g < countof(gates); g++) {
        uint32_t inside = 0;
        for (uint32_t i = 0; i < asked_count; i++)
            inside += is_inside(&asked[i]) && wants_gate(&asked[i], gates[g].name);
        must(inside <= gates[g].limit);
    }
}

static void ask(const char *body, size_t n)
{
    if (asked_count == LEASES_ASKED_MAX)
        return;
    struct asked *a = &asked[asked_count++];
    *a = (struct asked){.side = proxy_connect(w), .body = json_loadb(body, n, 0, NULL)};
    send_request(a->side, "POST", "", body, n);
}

/* Something about a lease that there is, by somebody else; what comes must be an answer. */
static void act(char what, struct asked *a, const char *body, size_t n)
{
    char own[128];
    struct side *s = proxy_connect(w);
    const char *method = what == 'r' ? "PUT" : what == 'd' ? "DELETE" : "POST";
    if (n == 0)
        n = (size_t)snprintf(own, sizeof(own), "{\"token\":\"%s\"}", a->token);
    else
        own[0] = '\0';
    send_request(s, method, a->id, *own ? own : body, n);
    enum reading r = read_answer(s);
    must(r == READING_WHOLE || (what == 'h' && answer.head > 0));
    if (what == 'd' && answer.status == 204)
        a->over = true;
    if (what == 'h' && answer.status == 200) { /* it is this one's now, and that one's no more */
        proxy_close(w, a->side);
        a->side = s;
        return;
    }
    proxy_close(w, s);
}

static void list(void)
{
    struct side *s = proxy_connect(w);
    send_request(s, "GET", "", "", 0);
    must(read_answer(s) == READING_WHOLE && answer.status == 200);
    json_t *json = json_loadb(answer.body.data, answer.body.len, JSON_REJECT_DUPLICATES, NULL);
    must(json_is_array(json_object_get(json, "leases")));
    json_decref(json);
    proxy_close(w, s);
}

static void drop(struct asked *a)
{
    look(a);
    proxy_close(w, a->side);
    a->over |= !(a->has_ttl && a->granted);
}

static void do_step(const char *line, size_t n)
{
    struct asked *chosen = n > 1 && asked_count ? &asked[(uint8_t)line[1] % asked_count] : NULL;
    if (n == 0)
        return;
    if (line[0] == 'a')
        ask(line + 1, n - 1);
    else if (line[0] == 'g')
        list();
    else if (chosen && line[0] == 'c')
        drop(chosen);
    else if (chosen && chosen->id[0] && line[0] && strchr("rdh", line[0]))
        act(line[0], chosen, line + 2, n - 2);
    check_gates();
}

static void clean_up(void)
{
    uint32_t waiting, granted;
    for (uint32_t i = 0; i < asked_count; i++)
        drop(&asked[i]);
    for (uint32_t i = 0; i < asked_count; i++)
        if (!asked[i].over)
            act('d', &asked[i], "", 0);
    proxy_turn(w);
    leases_count(w->server, &waiting, &granted);
    must(waiting == 0 && granted == 0);
    for (uint32_t i = 0; i < asked_count; i++)
        json_decref(asked[i].body);
    asked_count = 0;
    proxy_over(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    const char *at = (const char *)input, *end = at + size;
    w = proxy_world();
    for (uint32_t step = 0; at < end && step < STEPS_MAX; step++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);
        do_step(at, n);
        at += n + 1;
    }
    clean_up();
    return 0;
}
