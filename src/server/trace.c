#include "server/trace.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "core/core.h"

#define RECORDS 256
#define LINE_BYTES 224

struct record {
    uint64_t ns; /* 0 for an effect: it belongs to the event before it */
    uint64_t tag, op;
    struct id waiter;
    uint32_t model, place; /* place: a device or a backend; CORE_SLOT_NONE: none */
    uint8_t type, notice, reason, outcome;
};

static struct record records[RECORDS];
static uint64_t count;

static const char *const outcomes[] = {[OUTCOME_DONE] = "done",
                                       [OUTCOME_AT_SOURCE] = "at_source",
                                       [OUTCOME_AT_TARGET] = "at_target",
                                       [OUTCOME_GONE] = "gone"};

static int put_into_words(const struct record *r, char line[LINE_BYTES])
{
    if (r->ns)
        return snprintf(line, LINE_BYTES,
                        "step %llu.%06llu %s model=%d op=%llu waiter=%u.%u place=%d outcome=%s\n",
                        (unsigned long long)(r->ns / NS_PER_S),
                        (unsigned long long)(r->ns % NS_PER_S / NS_PER_US),
                        event_type_text((enum event_type)r->type), (int)r->model,
                        (unsigned long long)r->op, r->waiter.slot, r->waiter.gen, (int)r->place,
                        outcomes[r->outcome]);
    bool notice = r->type == EFFECT_NOTICE;
    return snprintf(
        line, LINE_BYTES, "  -> %s%s%s model=%d op=%llu waiter=%u.%u place=%d reason=\"%s\"\n",
        effect_type_text((enum effect_type)r->type), notice ? " " : "",
        notice ? notice_text((enum notice)r->notice) : "", (int)r->model, (unsigned long long)r->op,
        r->waiter.slot, r->waiter.gen, (int)r->place, reason_text((enum reason)r->reason));
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
    struct record r = {.ns = ev->now.ns,
                       .type = (uint8_t)ev->type,
                       .model = CORE_SLOT_NONE,
                       .place = CORE_SLOT_NONE};
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
    case EVENT_MODEL_MOVED:
    case EVENT_MODEL_SUSPENDED:
    case EVENT_MODEL_RESUMED:
    case EVENT_MODEL_EXITED:
    case EVENT_UPSTREAM_BROKEN:
    case EVENT_MODEL_ADOPTED:
        r.model = ev->model.model;
        r.op = ev->model.op;
        r.outcome = (uint8_t)ev->model.outcome;
        break;
    case EVENT_LEARNED:
    case EVENT_FOOTPRINT:
        r.model = ev->learned.model;
        r.place = ev->learned.placement;
        break;
    case EVENT_BACKEND_DOWN:
    case EVENT_BACKEND_UP:
        r.place = ev->backend.backend;
        break;
    case EVENT_DEVICE_FOUND:
    case EVENT_DEVICE_LOST:
        r.place = ev->found.device;
        break;
    case EVENT_DEVICE_SAMPLE:
        r.place = ev->sample.device;
        break;
    case EVENT_COMMAND:
    case EVENT_COMMAND_CANCELLED:
        r.model = ev->command.model;
        r.tag = ev->command.tag;
        break;
    default:
        break;
    }
    add(&r);
}

void trace_effect(const struct effect *e)
{
    bool backend = e->type == EFFECT_BACKEND_PROBE || e->notice == NOTICE_BACKEND_DOWN ||
                   e->notice == NOTICE_BACKEND_UP;
    add(&(struct record){.tag = e->tag,
                         .op = e->op,
                         .waiter = e->waiter,
                         .model = e->model,
                         .place = backend ? e->backend : e->device,
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
