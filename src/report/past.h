/* past.h: what happened, as the history of a daemon has it: requests, swaps and leases.
 *
 * They are read from lines of JSON with the members that `wharf history --json` prints and
 * /wharf/history/ answers; docs/report.md has the list. Unknown members are passed over; what is
 * not known is null or absent. A line that is no JSON, or lacks what it cannot be without (a time,
 * a name), is counted as damaged and left out. Texts are known by their numbers, from 1 on; 0 is
 * "none". Times are nanoseconds since 1970. */
#ifndef REPORT_PAST_H
#define REPORT_PAST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "core/words.h"
#include "simulate/names.h"

struct json_t; /* <jansson.h> */

#define PAST_UNKNOWN UINT32_MAX /* of milliseconds and tokens */
#define PAST_DEVICES_MAX 64     /* in a mask; what is beyond shares the last bit */

enum past_kind { PAST_REQUESTS, PAST_SWAPS, PAST_LEASES, PAST__KINDS };
enum past_swap_kind { SWAP_LOAD, SWAP_UNLOAD, SWAP_MOVE, SWAP_SUSPEND, SWAP_RESUME, SWAP__KINDS };

struct past_request {
    uint64_t at_ns;
    uint32_t seq; /* of its line: equal times keep their order */
    uint32_t model, key;
    uint32_t waited_ms; /* until its model's server got it; PAST_UNKNOWN: it never did */
    uint32_t load_ms, first_byte_ms, total_ms;
    uint32_t input, output, cached; /* tokens */
    uint16_t status;
    uint8_t class;
};

struct past_swap {
    uint64_t at_ns, took_ns; /* when it began, and how long it took; 0 where that is not known */
    uint64_t bytes, devices; /* all together, 0: not known; a mask */
    uint32_t seq;
    uint32_t model;
    uint32_t for_model, for_lease; /* for whom it left, if for somebody: a lease of lease_refs until
                                      past_window, then of lease_names */
    uint8_t kind;                  /* enum past_swap_kind */
    bool ok;
};

struct past_lease {
    uint64_t asked_ns, granted_ns, ended_ns; /* 0: not granted; not ended */
    uint64_t bytes, devices;
    uint32_t name, ref; /* ref: its id, of lease_refs; 0: it has none */
    uint8_t class;
    bool revoked;
};

/* All zero is an empty one. */
struct past {
    struct names models, keys, lease_names, devices;
    struct names lease_refs; /* what leases are called by who leaves for them: ids, or names */
    struct past_request *requests; /* owned, as all arrays */
    struct past_swap *swaps;
    struct past_lease *leases;
    uint32_t counts[PAST__KINDS], rooms[PAST__KINDS];
    uint32_t damaged[PAST__KINDS];
    uint64_t from_ns, to_ns; /* what is reported on: from <= time < to; set by past_window */
};

void past_fini(struct past *r);
/* The members of each are called "requests", "swaps" and "leases" in answers of the daemon. */
const char *past_kind_text(enum past_kind kind);
/* One of them. False: it was damaged, and counted so. */
bool past_take(struct past *r, enum past_kind kind, const struct json_t *object);
/* A file with one of them a line. 0, or -1 with e set where it cannot be read. */
int past_read_file(struct past *r, enum past_kind kind, const char *path,
                   struct err *e) warn_unused;

/* The time behind the last of what is there; 0: nothing is. */
uint64_t past_end(const struct past *r);
uint64_t past_begin(const struct past *r);
/* Leaves requests out that came at another time, and swaps and leases that began later; and puts
 * all in order: requests by model and time, swaps by time. Swaps from before stay: they say what
 * was there. */
void past_window(struct past *r, uint64_t from_ns, uint64_t to_ns);
/* Of the requests in order, where those of a model begin and end. */
struct past_span {
    uint32_t first, end;
};
struct past_span past_span_of(const struct past *r, uint32_t model);

static inline uint64_t past_waited_ns(const struct past_request *q)
{
    return q->waited_ms == PAST_UNKNOWN ? 0 : q->waited_ms * NS_PER_MS;
}

#endif
