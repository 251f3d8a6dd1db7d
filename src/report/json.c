#include <inttypes.h>
#include <stdio.h>

#include "base/date.h"
#include "report/report.h"

/* Members of an object, or elements of a list, with commas between them. */
struct writer {
    struct buf *out;
    bool has_one;
};

static void sep(struct writer *w)
{
    if (w->has_one)
        buf_char(w->out, ',');
    w->has_one = true;
}

static void name(struct writer *w, const char *member)
{
    sep(w);
    buf_printf(w->out, "\"%s\":", member);
}

static void text(struct writer *w, const char *member, const char *value)
{
    name(w, member);
    if (value)
        buf_json_text(w->out, value);
    else
        buf_text(w->out, "null");
}

static void count(struct writer *w, const char *member, uint64_t value)
{
    name(w, member);
    buf_printf(w->out, "%" PRIu64, value);
}

static void seconds(struct writer *w, const char *member, uint64_t ns)
{
    name(w, member);
    buf_printf(w->out, "%" PRIu64 ".%03" PRIu64, ns / NS_PER_S, ns % NS_PER_S / NS_PER_MS);
}

static void real(struct writer *w, const char *member, double value)
{
    name(w, member);
    buf_printf(w->out, "%.3f", value);
}

static void date(struct writer *w, const char *member, uint64_t ns)
{
    char text_of[DATE_TEXT_MAX];
    text(w, member, date_format_seconds((int64_t)(ns / NS_PER_S), text_of));
}

static void flag(struct writer *w, const char *member, bool value)
{
    name(w, member);
    buf_text(w->out, value ? "true" : "false");
}

/* A list of count objects, each written by put. */
static void list(struct writer *w, const char *member, const struct report *r, uint32_t count_of,
                 void (*put)(struct writer *, const struct report *, uint32_t))
{
    struct writer items = {.out = w->out};
    name(w, member);
    buf_char(w->out, '[');
    for (uint32_t i = 0; i < count_of; i++) {
        struct writer item = {.out = w->out};
        sep(&items);
        buf_char(w->out, '{');
        put(&item, r, i);
        buf_char(w->out, '}');
    }
    buf_char(w->out, ']');
}

static double speed(uint64_t tokens, uint64_t ns)
{
    return ns ? (double)tokens / (double)ns * (double)NS_PER_S : 0;
}

static void put_model(struct writer *w, const struct report *r, uint32_t i)
{
    const struct report_model *m = &r->models[i];
    text(w, "model", m->name);
    count(w, "requests", m->requests);
    count(w, "failed", m->failed);
    seconds(w, "served_s", m->served_ns);
    seconds(w, "waited_s", m->waited_ns);
    count(w, "loads", m->loads);
    count(w, "failed_loads", m->failed_loads);
    seconds(w, "load_s", m->load_ns);
    count(w, "put_out", m->put_out);
    count(w, "thrash", m->thrash);
    seconds(w, "thrash_s", m->thrash_ns);
    seconds(w, "there_s", m->there_ns);
    count(w, "bytes", m->bytes);
    seconds(w, "cost_s", m->cost_ns);
    count(w, "cost_times", m->cost_times);
    real(w, "prefill_per_s", speed(m->prefill_tokens, m->prefill_ns));
    real(w, "decode_per_s", speed(m->decode_tokens, m->decode_ns));
}

static void put_waits(struct writer *w, const struct report_waits *x)
{
    count(w, "served", x->served.count);
    count(w, "unserved", x->unserved);
    seconds(w, "wait_mean_s", x->served.mean_ns);
    seconds(w, "wait_p50_s", x->served.p50_ns);
    seconds(w, "wait_p95_s", x->served.p95_ns);
    seconds(w, "wait_max_s", x->served.max_ns);
}

static void put_class(struct writer *w, const struct report *r, uint32_t i)
{
    text(w, "class", class_text((enum class)i));
    put_waits(w, &r->classes[i]);
}

static void put_all(struct writer *w, const struct report *r, uint32_t i)
{
    (void)i;
    put_waits(w, &r->all);
}

static void put_client(struct writer *w, const struct report *r, uint32_t i)
{
    const struct report_client *c = &r->clients[i];
    text(w, "client", c->name);
    count(w, "requests", c->requests);
    seconds(w, "waited_s", c->waited_ns);
    seconds(w, "cost_s", c->cost_ns);
    count(w, "cost_times", c->cost_times);
}

static void put_lease(struct writer *w, const struct report *r, uint32_t i)
{
    const struct report_lease *l = &r->leases[i];
    text(w, "lease", l->name);
    count(w, "asked", l->times);
    count(w, "granted", l->granted);
    count(w, "revoked", l->revoked);
    seconds(w, "held_s", l->held_ns);
    count(w, "bytes", l->bytes);
    real(w, "byte_hours", l->byte_hours);
    seconds(w, "cost_s", l->cost_ns);
    count(w, "cost_times", l->cost_times);
}

static void put_pair(struct writer *w, const struct report *r, uint32_t i)
{
    const struct report_pair *p = &r->pairs[i];
    text(w, p->by_lease ? "lease" : "who", p->who);
    text(w, "whom", p->whom);
    count(w, "times", p->times);
    seconds(w, "reload_s", p->reload_ns);
    seconds(w, "waited_s", p->waited_ns);
}

static void put_hour(struct writer *w, const struct report *r, uint32_t i)
{
    date(w, "from", r->hours[i].from_ns);
    count(w, "requests", r->hours[i].requests);
    count(w, "loads", r->hours[i].loads);
    seconds(w, "waited_s", r->hours[i].waited_ns);
}

static void put_worst(struct writer *w, const struct report *r, uint32_t i)
{
    static const char *const whos[] = {"model", "client", "lease"};
    const struct report_worst *x = &r->worst;
    (void)i;
    text(w, "kind", x->name ? whos[x->who] : NULL);
    text(w, "name", x->name);
    flag(w, "stands_out", x->stands_out);
    seconds(w, "cost_s", x->cost_ns);
    seconds(w, "others_waited_s", x->others_ns);
    seconds(w, "next_s", x->next_ns);
    real(w, "share", x->share_permille / 1000.0);
    text(w, "client", x->key);
    text(w, "advice", x->stands_out ? r->advice : NULL);
}

static void put_damaged(struct writer *w, const struct report *r, uint32_t i)
{
    (void)i;
    for (int k = 0; k < PAST__KINDS; k++)
        count(w, past_kind_text((enum past_kind)k), r->past->damaged[k]);
}

/* One object, by a function that writes lists' elements. */
static void object(struct writer *w, const char *member, const struct report *r,
                   void (*put)(struct writer *, const struct report *, uint32_t))
{
    struct writer inner = {.out = w->out};
    name(w, member);
    buf_char(w->out, '{');
    put(&inner, r, 0);
    buf_char(w->out, '}');
}

static void put_policies(struct writer *w, const struct report *r, uint32_t i)
{
    const struct report_policies *p = &r->policies;
    struct buf told = {0};
    (void)i;
    report_tell_policies(r, &told);
    text(w, "own", p->count ? p->results[p->own].policy.name : NULL);
    text(w, "best", p->count ? p->results[p->best].policy.name : NULL);
    seconds(w, "own_waited_s", p->count ? p->results[p->own].wait_sum_ns : 0);
    seconds(w, "best_waited_s", p->count ? p->results[p->best].wait_sum_ns : 0);
    count(w, "skipped", p->skipped);
    text(w, "told", told.data ? told.data : "");
    buf_fini(&told);
}

void report_write_json(struct buf *out, const struct report *r)
{
    struct writer w = {.out = out};
    buf_char(out, '{');
    date(&w, "from", r->past->from_ns);
    date(&w, "to", r->past->to_ns);
    count(&w, "requests", r->requests);
    seconds(&w, "waited_s", r->waited_ns);
    count(&w, "loads", r->loads);
    seconds(&w, "load_s", r->load_ns);
    count(&w, "put_out", r->put_out);
    object(&w, "damaged", r, put_damaged);
    object(&w, "worst", r, put_worst);
    object(&w, "all", r, put_all);
    list(&w, "classes", r, CLASS__COUNT, put_class);
    list(&w, "models", r, r->model_count, put_model);
    list(&w, "pairs", r, r->pair_count, put_pair);
    list(&w, "clients", r, r->client_count, put_client);
    list(&w, "leases", r, r->lease_count, put_lease);
    list(&w, "hours", r, r->hour_count, put_hour);
    object(&w, "policies", r, put_policies);
    buf_char(out, '}');
}
