#include "server/trace.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "core/core.h"

#define RECORDS 256
#define LINE_BYTES 160

struct record {
    uint64_t ns; /* 0 for an effect: it belongs to the event before it */
    uint64_t tag, op;
    struct id waiter;
    uint32_t model;
    uint8_t type, notice, reason;
};

static struct record records[RECORDS];
static uint64_t count;

static int put_into_words(const struct record *r, char line[LINE_BYTES])
{
    if (r->ns)
        return snprintf(line, LINE_BYTES, "step %llu.%06llu %s model=%d op=%llu waiter=%u.%u\n",
                        (unsigned long long)(r->ns / NS_PER_S),
                        (unsigned long long)(r->ns % NS_PER_S / NS_PER_US),
                        event_type_text((enum event_type)r->type), (int)r->model,
                        (unsigned long long)r->op, r->waiter.slot, r->waiter.gen);
    bool notice = r->type == EFFECT_NOTICE;
    return snprintf(line, LINE_BYTES, "  -> %s%s%s model=%d op=%llu waiter=%u.%u reason=\"%s\"\n",
                    effect_type_text((enum effect_type)r->type), notice ? " " : "",
                    notice ? notice_text((enum notice)r->notice) : "", (int)r->model,
                    (unsigned long long)r->op, r->waiter.slot, r->waiter.gen,
                    reason_text((enum reason)r->reason));
}

static void add(const struct record *r)
{
    records[count++ % RECORDS] = *r;
    if (log_level_min > LOG_DEBUG)
        return;
    char line[LINE_BYTES];
    int n = put_into_words(r, line);
    log_debug(NULL, "%.*s", n - 1, line);
}

/* The members of the event that its type uses; see core/event.h. */
void trace_event(const struct event *ev)
{
    struct record r = {.ns = ev->now.ns, .type = (uint8_t)ev->type, .model = CORE_SLOT_NONE};
    switch ((int)ev->type) {
    case EVENT_REQUEST_ARRIVED:
        r.model = ev->request.model;
        r.tag = ev->request.tag;
        break;
    case EVENT_REQUEST_ENDED:
    case EVENT_REQUEST_BOUNCED:
    case EVENT_LEASE_ENDED:
        r.waiter = ev->ended.waiter;
        break;
    case EVENT_MODEL_LOADED:
    case EVENT_MODEL_LOAD_FAILED:
    case EVENT_MODEL_UNLOADED:
    case EVENT_MODEL_EXITED:
    case EVENT_UPSTREAM_BROKEN:
        r.model = ev->model.model;
        r.op = ev->model.op;
        break;
    case EVENT_COMMAND:
        r.model = ev->command.model;
        break;
    default:
        break;
    }
    add(&r);
}

void trace_effect(const struct effect *e)
{
    add(&(struct record){.tag = e->tag,
                         .op = e->op,
                         .waiter = e->waiter,
                         .model = e->model,
                         .type = (uint8_t)e->type,
                         .notice = (uint8_t)e->notice,
                         .reason = (uint8_t)e->reason});
}

void trace_dump(int fd)
{
    char line[LINE_BYTES];
    for (uint64_t i = count > RECORDS ? count - RECORDS : 0; i < count; i++) {
        int n = put_into_words(&records[i % RECORDS], line);
        ssize_t ignored = write(fd, line, (size_t)(n < LINE_BYTES ? n : LINE_BYTES - 1));
        (void)ignored;
    }
}
