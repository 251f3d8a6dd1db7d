#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "report/report.h"

#define HOUR_NS (3600 * NS_PER_S)
/* Begun ones at both ends, and one more where a zone changes by half an hour. */
#define HOURS_LAID_OUT_MAX (REPORT_HOURS_MAX + 4)

/* The local hour in which that time is. */
static struct report_hour hour_of(uint64_t at_ns)
{
    struct report_hour h = {.requests = 0};
    struct tm tm;
    time_t at = (time_t)(at_ns / NS_PER_S);
    localtime_r(&at, &tm);
    strftime(h.date, sizeof(h.date), "%Y-%m-%d", &tm);
    h.hour = tm.tm_hour;
    h.from_ns = (uint64_t)(at - tm.tm_min * 60 - tm.tm_sec) * NS_PER_S;
    return h;
}

static void lay_out(struct report *r)
{
    const struct past *past = r->past;
    uint32_t count = 0;
    struct report_hour last = {.hour = -1};
    r->hours = alloc_zeroed(HOURS_LAID_OUT_MAX, sizeof(*r->hours));
    for (uint64_t at_ns = past->from_ns; at_ns < past->to_ns; at_ns = last.from_ns + HOUR_NS) {
        struct report_hour h = hour_of(at_ns);
        if (last.hour != h.hour || strcmp(last.date, h.date) != 0) {
            must(count < HOURS_LAID_OUT_MAX);
            r->hours[count++] = h;
        }
        last = h;
    }
    r->hour_count = count;
}

/* Asked in order of time, of one model after the other. */
static struct report_hour *find(struct report *r, uint32_t *at, uint64_t at_ns)
{
    if (at_ns < r->hours[*at].from_ns)
        *at = 0;
    while (*at + 1 < r->hour_count && r->hours[*at + 1].from_ns <= at_ns)
        ++*at;
    return &r->hours[*at];
}

void report_sum_hours(struct report *r)
{
    const struct past *past = r->past;
    uint32_t at = 0;
    if (past->to_ns <= past->from_ns || past->to_ns - past->from_ns > REPORT_HOURS_MAX * HOUR_NS)
        return;
    lay_out(r);
    for (uint32_t i = 0; i < past->counts[PAST_REQUESTS]; i++) {
        struct report_hour *h = find(r, &at, past->requests[i].at_ns);
        h->requests++;
        h->waited_ns += past_waited_ns(&past->requests[i]);
    }
    at = 0;
    for (uint32_t i = 0; i < past->counts[PAST_SWAPS]; i++) {
        const struct past_swap *s = &past->swaps[i];
        if (s->at_ns >= past->from_ns && s->ok && (s->kind == SWAP_LOAD || s->kind == SWAP_RESUME))
            find(r, &at, s->at_ns)->loads++;
    }
}
