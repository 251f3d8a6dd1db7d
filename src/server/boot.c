#include "server/boot.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "server/parts.h"
#include "server/server.h"

void boot_init(struct server *s)
{
    s->boot = (struct boot){.parts = NULL};
    uv_timer_init(s->loop, &s->boot.timer);
}

/* Up to the gate, where that is still closed. */
static int start_parts(struct server *s, struct err *err)
{
    struct boot *b = &s->boot;
    for (; b->next < b->count; b->next++) {
        const struct part *p = &b->parts[b->next];
        if (p->gate && b->hold_count) {
            b->waits = true;
            return 0;
        }
        b->over |= p->gate;
        if (p->start && p->start(s, err) < 0)
            return -1;
    }
    b->over = true;
    return 0;
}

static void give_up(struct server *s)
{
    struct boot *b = &s->boot;
    uint64_t now = uv_hrtime();
    for (uint32_t i = b->hold_count; i-- > 0;) {
        if (b->holds[i].until_ns > now)
            continue;
        log_warn(NULL, "not waited for any longer at the start: %s", b->holds[i].who);
        b->holds[i] = b->holds[--b->hold_count];
    }
}

static void arm(struct server *s);

static void on_timer(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, boot.timer);
    struct boot *b = &s->boot;
    struct err err = {0};
    give_up(s);
    if (b->hold_count) {
        arm(s);
        return;
    }
    b->waits = false;
    if (b->over || start_parts(s, &err) == 0)
        return;
    log_to_stderr();
    log_error(NULL, "cannot start: %s", err.text);
    b->over = true;
    b->on_failed(s);
}

/* For the first that is not to be waited for any longer; at once, when nobody is. */
static void arm(struct server *s)
{
    struct boot *b = &s->boot;
    uint64_t now = uv_hrtime(), wait = b->hold_count ? UINT64_MAX : 0;
    for (uint32_t i = 0; i < b->hold_count; i++) {
        uint64_t until = b->holds[i].until_ns, left = until > now ? until - now : 0;
        wait = left < wait ? left : wait;
    }
    uv_update_time(s->loop);
    uv_timer_start(&b->timer, on_timer, (wait + NS_PER_MS - 1) / NS_PER_MS, 0);
}

static uint32_t find(const struct boot *b, const char *who)
{
    uint32_t i = 0;
    while (i < b->hold_count && strcmp(b->holds[i].who, who) != 0)
        i++;
    return i;
}

void boot_hold(struct server *s, const char *who, uint64_t ns_max)
{
    struct boot *b = &s->boot;
    if (b->over)
        return;
    must(b->hold_count < BOOT_HOLDS_MAX && find(b, who) == b->hold_count);
    b->holds[b->hold_count++] = (struct boot_holder){who, uv_hrtime() + ns_max};
    if (b->waits)
        arm(s);
}

void boot_release(struct server *s, const char *who)
{
    struct boot *b = &s->boot;
    uint32_t i = find(b, who);
    if (i == b->hold_count)
        return; /* it was not waited for any longer */
    b->holds[i] = b->holds[--b->hold_count];
    if (b->waits)
        arm(s);
}

bool boot_waits_only_for(const struct server *s, const char *who)
{
    const struct boot *b = &s->boot;
    return b->hold_count == 0 || (b->hold_count == 1 && find(b, who) == 0);
}

int boot_start(struct server *s, const struct part *parts, uint32_t count,
               void (*on_failed)(struct server *s), struct err *err)
{
    struct boot *b = &s->boot;
    b->parts = parts;
    b->count = count;
    b->on_failed = on_failed;
    if (start_parts(s, err) < 0) {
        b->over = true;
        return -1;
    }
    if (b->waits)
        arm(s);
    return 0;
}

void boot_stop(struct server *s)
{
    s->boot.over = true;
    s->boot.hold_count = 0;
    uv_timer_stop(&s->boot.timer);
}

void boot_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->boot.timer, NULL);
}
