#include "report/past.h"

#include <stdlib.h>

#include "base/alloc.h"

void past_fini(struct past *r)
{
    names_fini(&r->models);
    names_fini(&r->keys);
    names_fini(&r->lease_names);
    names_fini(&r->devices);
    names_fini(&r->lease_refs);
    free(r->requests);
    free(r->swaps);
    free(r->leases);
    *r = (struct past){.from_ns = 0};
}

const char *past_kind_text(enum past_kind kind)
{
    static const char *const texts[] = {"requests", "swaps", "leases"};
    _Static_assert(countof(texts) == PAST__KINDS, "a word a kind");
    return texts[kind];
}

uint64_t past_begin(const struct past *r)
{
    uint64_t begin = UINT64_MAX;
    for (uint32_t i = 0; i < r->counts[PAST_REQUESTS]; i++)
        if (r->requests[i].at_ns < begin)
            begin = r->requests[i].at_ns;
    for (uint32_t i = 0; i < r->counts[PAST_SWAPS]; i++)
        if (r->swaps[i].at_ns < begin)
            begin = r->swaps[i].at_ns;
    return begin == UINT64_MAX ? 0 : begin;
}

static void later(uint64_t *end, uint64_t at)
{
    if (at >= *end)
        *end = at + 1;
}

uint64_t past_end(const struct past *r)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < r->counts[PAST_REQUESTS]; i++)
        later(&end, r->requests[i].at_ns);
    for (uint32_t i = 0; i < r->counts[PAST_SWAPS]; i++)
        later(&end, r->swaps[i].at_ns);
    for (uint32_t i = 0; i < r->counts[PAST_LEASES]; i++)
        later(&end, r->leases[i].ended_ns > r->leases[i].asked_ns ? r->leases[i].ended_ns
                                                                  : r->leases[i].asked_ns);
    return end;
}

static int by_model(const void *a, const void *b)
{
    const struct past_request *x = a, *y = b;
    if (x->model != y->model)
        return x->model < y->model ? -1 : 1;
    if (x->at_ns != y->at_ns)
        return x->at_ns < y->at_ns ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static int by_time(const void *a, const void *b)
{
    const struct past_swap *x = a, *y = b;
    if (x->at_ns != y->at_ns)
        return x->at_ns < y->at_ns ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* Leases of one name are one to a person: those for whom somebody left are known by their ids, and
 * from here on by the names that go with these. An id of which nothing else is known is a name. */
static void name_leases(struct past *r)
{
    uint32_t *names = alloc_zeroed((size_t)r->lease_refs.count + 1, sizeof(*names));
    for (uint32_t i = 0; i < r->counts[PAST_LEASES]; i++)
        names[r->leases[i].ref] = r->leases[i].name;
    for (uint32_t i = 0; i < r->counts[PAST_SWAPS]; i++) {
        uint32_t ref = r->swaps[i].for_lease;
        if (ref && !names[ref])
            names[ref] = names_number(&r->lease_names, r->lease_refs.texts[ref - 1]);
        r->swaps[i].for_lease = ref ? names[ref] : 0;
    }
    free(names);
}

void past_window(struct past *r, uint64_t from_ns, uint64_t to_ns)
{
    uint32_t kept = 0;
    name_leases(r);
    for (uint32_t i = 0; i < r->counts[PAST_REQUESTS]; i++)
        if (r->requests[i].at_ns >= from_ns && r->requests[i].at_ns < to_ns)
            r->requests[kept++] = r->requests[i];
    r->counts[PAST_REQUESTS] = kept;
    kept = 0;
    for (uint32_t i = 0; i < r->counts[PAST_SWAPS]; i++)
        if (r->swaps[i].at_ns < to_ns)
            r->swaps[kept++] = r->swaps[i];
    r->counts[PAST_SWAPS] = kept;
    kept = 0;
    for (uint32_t i = 0; i < r->counts[PAST_LEASES]; i++)
        if (r->leases[i].asked_ns < to_ns &&
            (r->leases[i].ended_ns == 0 || r->leases[i].ended_ns >= from_ns))
            r->leases[kept++] = r->leases[i];
    r->counts[PAST_LEASES] = kept;
    /* Empty arrays may be NULL, which qsort must not be given. */
    if (r->counts[PAST_REQUESTS])
        qsort(r->requests, r->counts[PAST_REQUESTS], sizeof(*r->requests), by_model);
    if (r->counts[PAST_SWAPS])
        qsort(r->swaps, r->counts[PAST_SWAPS], sizeof(*r->swaps), by_time);
    r->from_ns = from_ns;
    r->to_ns = to_ns;
}

static uint32_t first_of(const struct past *r, uint32_t model)
{
    uint32_t low = 0, high = r->counts[PAST_REQUESTS];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (r->requests[middle].model < model)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct past_span past_span_of(const struct past *r, uint32_t model)
{
    return (struct past_span){first_of(r, model), first_of(r, model + 1)};
}
