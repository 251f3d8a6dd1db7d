/* server_world.h: a daemon without its processes, sockets and files, for tests of its parts: all
 * that cannot fail is there, with one configuration; nothing has been opened or started. */
#ifndef SERVER_WORLD_H
#define SERVER_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/gpus/devices.h"
#include "server/parts.h"
#include "server/proxy/client.h"
#include "server/server.h"

static inline void server_world_expired(struct timeout *t, enum timeout_kind kind)
{
    (void)t;
    (void)kind;
}

/* In storage of its own, since it is large. */
static inline struct server *server_world_new(const char *config)
{
    struct server *s = alloc_zeroed(1, sizeof(*s));
    struct config_report report = {0};
    s->options.config = config_load_text("test", config, strlen(config), &report);
    if (report.errors)
        fprintf(stderr, "%s\n", report.text.data);
    must(report.errors == 0);
    config_report_fini(&report);
    s->loop = alloc_zeroed(1, sizeof(*s->loop));
    must(uv_loop_init(s->loop) == 0);
    s->state_dir = alloc_text("/nonexistent");
    s->started_ns = uv_hrtime();
    s->scratch = alloc_zeroed(1, SERVER_SCRATCH_BYTES);
    s->spool_scratch = alloc_zeroed(1, SERVER_SCRATCH_BYTES);
    log_level_min = LOG_ERROR + 1;
    list_init(&s->clients);
    feed_init(&s->events, 64 * 1024);
    logs_init(s);
    stream_hub_init(&s->hub, s->loop);
    timeouts_init(&s->timeouts, s->loop, server_world_expired);
    for (uint32_t i = 0; i < server_part_count; i++)
        if (server_parts[i].init)
            server_parts[i].init(s);
    must(roster_apply(&s->roster, s->options.config));
    s->devices = devices_new(s);
    return s;
}

static inline void server_world_free(struct server *s)
{
    struct link *n, *next;
    list_each_safe(n, next, &s->clients)
        client_drop(list_entry(n, struct client, link));
    timeouts_close(&s->timeouts);
    stream_hub_close(&s->hub);
    logs_close(s);
    for (uint32_t i = server_part_count; i-- > 0;)
        if (server_parts[i].close)
            server_parts[i].close(s);
    uv_run(s->loop, UV_RUN_DEFAULT);
    for (uint32_t i = server_part_count; i-- > 0;)
        if (server_parts[i].fini)
            server_parts[i].fini(s);
    stream_hub_fini(&s->hub);
    feed_fini(&s->events);
    logs_fini(s);
    must(uv_loop_close(s->loop) == 0);
    free(s->loop);
    free(s->scratch);
    free(s->spool_scratch);
    free(s->state_dir);
    free(s);
}

/* Whether an event of that type was published whose text has this in it. */
static inline bool server_world_told(const struct server *s, const char *type, const char *part)
{
    for (uint64_t id = s->events.first; id < s->events.next; id++) {
        const struct feed_item *item = &s->events.items[id % FEED_ITEMS_MAX];
        if (strcmp(item->type, type) == 0 && strstr(item->text, part))
            return true;
    }
    return false;
}

#endif
