#include "report/tables.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/date.h"

/* A table while it is filled. */
struct filler {
    struct report_table *table;
    uint32_t rows_max, cells;
    bool is_full; /* the row that is being written is one too many */
};

static void begin_row(struct filler *f)
{
    struct report_table *t = f->table;
    f->is_full = t->row_count == f->rows_max;
    if (f->is_full) {
        t->left_out++;
        return;
    }
    t->row_count++;
    t->cells = alloc_grow(t->cells, (size_t)t->row_count * t->column_count, sizeof(*t->cells));
}

static void put(struct filler *f, const char *text)
{
    if (!f->is_full)
        f->table->cells[f->cells++] = alloc_text(text);
}

static void put_count(struct filler *f, uint64_t count)
{
    char text[UNITS_TEXT_MAX];
    snprintf(text, sizeof(text), "%" PRIu64, count);
    put(f, text);
}

static void put_time(struct filler *f, uint64_t ns)
{
    char text[UNITS_TEXT_MAX];
    put(f, ns ? units_format_duration(ns, text) : "0");
}

static void put_percent(struct filler *f, double part)
{
    char text[64];
    snprintf(text, sizeof(text), "%.0f%%", 100 * part);
    put(f, text);
}

static void put_real(struct filler *f, int decimals, double value)
{
    char text[64];
    snprintf(text, sizeof(text), "%.*f", decimals, value);
    put(f, text);
}

static double share(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

/* ---- one function a table ---- */

static const struct report_column model_columns[] = {
    {"MODEL", 9, 12}, {"REQUESTS", 8, 0}, {"FAILED", 1, 0},  {"SERVED", 2, 0}, {"WAITED", 6, 0},
    {"LOADS", 5, 0},  {"LOADING", 4, 0},  {"PUT OUT", 3, 0}, {"THERE", 2, 0},  {"COST", 7, 0}};

static void fill_models(const struct report *r, struct filler *f)
{
    uint64_t window_ns = r->past->to_ns - r->past->from_ns;
    for (uint32_t i = 0; i < r->model_count; i++) {
        const struct report_model *m = &r->models[i];
        begin_row(f);
        put(f, m->name);
        put_count(f, m->requests);
        put_count(f, m->failed);
        put_time(f, m->served_ns);
        put_time(f, m->waited_ns);
        put_count(f, m->loads);
        put_time(f, m->load_ns);
        put_count(f, m->put_out);
        put_percent(f, share(m->there_ns, window_ns));
        put_time(f, m->cost_ns);
    }
}

static const struct report_column class_columns[] = {{"CLASS", 5, 10}, {"SERVED", 4, 0},
                                                     {"P50", 3, 0},    {"P95", 3, 0},
                                                     {"MAX", 3, 0},    {"NOT SERVED", 2, 0}};

static void put_waits(struct filler *f, const char *name, const struct report_waits *w)
{
    begin_row(f);
    put(f, name);
    put_count(f, w->served.count);
    put_time(f, w->served.p50_ns);
    put_time(f, w->served.p95_ns);
    put_time(f, w->served.max_ns);
    put_count(f, w->unserved);
}

static void fill_classes(const struct report *r, struct filler *f)
{
    for (int k = 0; k < CLASS__COUNT; k++)
        if (r->classes[k].served.count || r->classes[k].unserved)
            put_waits(f, class_text((enum class)k), &r->classes[k]);
    if (r->requests)
        put_waits(f, "all", &r->all);
}

static const struct report_column pair_columns[] = {
    {"WHO", 5, 12}, {"WHOM", 5, 12}, {"TIMES", 4, 0}, {"RELOADING", 3, 0}, {"WAITED", 4, 0}};

static void fill_pairs(const struct report *r, struct filler *f)
{
    for (uint32_t i = 0; i < r->pair_count; i++) {
        const struct report_pair *p = &r->pairs[i];
        auto_free char *who = alloc_printf("%s%s", p->by_lease ? "lease " : "", p->who);
        begin_row(f);
        put(f, who);
        put(f, p->whom);
        put_count(f, p->times);
        put_time(f, p->reload_ns);
        put_time(f, p->waited_ns);
    }
}

static const struct report_column thrash_columns[] = {
    {"MODEL", 5, 12}, {"TIMES", 4, 0}, {"OF LOADS", 2, 0}, {"LOADING", 3, 0}};

static int by_thrash(const void *a, const void *b)
{
    const struct report_model *x = *(const struct report_model *const *)a;
    const struct report_model *y = *(const struct report_model *const *)b;
    if (x->thrash_ns != y->thrash_ns)
        return x->thrash_ns < y->thrash_ns ? 1 : -1;
    return (x > y) - (x < y);
}

static void fill_thrash(const struct report *r, struct filler *f)
{
    const struct report_model **models =
        alloc_zeroed((size_t)r->model_count + 1, sizeof(const struct report_model *));
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->model_count; i++)
        if (r->models[i].thrash)
            models[count++] = &r->models[i];
    qsort(models, count, sizeof(*models), by_thrash);
    for (uint32_t i = 0; i < count; i++) {
        begin_row(f);
        put(f, models[i]->name);
        put_count(f, models[i]->thrash);
        put_count(f, models[i]->loads);
        put_time(f, models[i]->thrash_ns);
    }
    free(models);
}

static const struct report_column client_columns[] = {
    {"CLIENT", 5, 12}, {"REQUESTS", 3, 0}, {"WAITED", 2, 0}, {"PUT OUT", 2, 0}, {"COST", 4, 0}};

static void fill_clients(const struct report *r, struct filler *f)
{
    for (uint32_t i = 0; i < r->client_count; i++) {
        const struct report_client *c = &r->clients[i];
        begin_row(f);
        put(f, c->name);
        put_count(f, c->requests);
        put_time(f, c->waited_ns);
        put_count(f, c->cost_times);
        put_time(f, c->cost_ns);
    }
}

static const struct report_column lease_columns[] = {
    {"LEASE", 9, 12}, {"ASKED", 2, 0}, {"GRANTED", 3, 0},   {"REVOKED", 4, 0},
    {"MEMORY", 5, 0}, {"HELD", 5, 0},  {"GIB HOURS", 6, 0}, {"COST", 7, 0}};

static void fill_leases(const struct report *r, struct filler *f)
{
    for (uint32_t i = 0; i < r->lease_count; i++) {
        const struct report_lease *l = &r->leases[i];
        char size[UNITS_TEXT_MAX];
        begin_row(f);
        put(f, l->name);
        put_count(f, l->times);
        put_count(f, l->granted);
        put_count(f, l->revoked);
        put(f, units_format_bytes(l->bytes, size));
        put_time(f, l->held_ns);
        put_real(f, 1, l->byte_hours / (double)GIB);
        put_time(f, l->cost_ns);
    }
}

static const struct report_column speed_columns[] = {
    {"MODEL", 5, 12}, {"A LOAD", 4, 0}, {"PROMPT TOKENS/S", 3, 0}, {"ANSWER TOKENS/S", 3, 0}};

static void put_speed(struct filler *f, uint64_t tokens, uint64_t ns)
{
    if (ns)
        put_real(f, 0, (double)tokens / (double)ns * (double)NS_PER_S);
    else
        put(f, "-");
}

static void fill_speeds(const struct report *r, struct filler *f)
{
    for (uint32_t i = 0; i < r->model_count; i++) {
        const struct report_model *m = &r->models[i];
        if (!m->loads && !m->prefill_ns && !m->decode_ns)
            continue;
        begin_row(f);
        put(f, m->name);
        if (m->loads)
            put_time(f, m->load_ns / (m->loads + m->failed_loads));
        else
            put(f, "-");
        put_speed(f, m->prefill_tokens, m->prefill_ns);
        put_speed(f, m->decode_tokens, m->decode_ns);
    }
}

static const struct report_column policy_columns[] = {
    {"POLICY", 9, 12}, {"WAITED", 8, 0}, {"LOADS", 6, 0}, {"LOADING", 5, 0},
    {"P50", 4, 0},     {"P95", 4, 0},    {"MAX", 4, 0},   {"NOT SERVED", 3, 0}};

static void fill_policies(const struct report *r, struct filler *f)
{
    const struct report_policies *p = &r->policies;
    if (p->count == 0)
        return;
    begin_row(f);
    put(f, "(recorded)");
    put_time(f, r->waited_ns);
    put_count(f, r->loads);
    put_time(f, r->load_ns);
    put_time(f, r->all.served.p50_ns);
    put_time(f, r->all.served.p95_ns);
    put_time(f, r->all.served.max_ns);
    put_count(f, r->all.unserved);
    for (uint32_t i = 0; i < p->count; i++) {
        const struct sim_result *x = &p->results[i];
        auto_free char *name = alloc_printf("%s%s", x->policy.name, i == p->own ? " *" : "");
        begin_row(f);
        put(f, name);
        put_time(f, x->wait_sum_ns);
        put_count(f, x->loads);
        put_time(f, x->load_ns);
        put_time(f, x->waits.p50_ns);
        put_time(f, x->waits.p95_ns);
        put_time(f, x->waits.max_ns);
        put_count(f, x->refused + x->unserved);
    }
}

/* ---- all ---- */

static const struct {
    const char *title, *note;
    const struct report_column *columns;
    uint32_t column_count;
    bool is_whole; /* not shortened */
    void (*fill)(const struct report *, struct filler *);
} kinds[] = {
    {"Models",
     "COST: what requests for others waited because these had to leave for it. THERE: "
     "of the time.",
     model_columns, countof(model_columns), false, fill_models},
    {"Waiting", "", class_columns, countof(class_columns), true, fill_classes},
    {"Who put out whom",
     "RELOADING: the loads that brought it back. WAITED: for it, until it was back.", pair_columns,
     countof(pair_columns), false, fill_pairs},
    {"Back within five minutes",
     "Models that were put out and loaded again that soon: they had left in vain.", thrash_columns,
     countof(thrash_columns), false, fill_thrash},
    {"Clients", "COST: what other clients waited because models had to leave for its requests.",
     client_columns, countof(client_columns), false, fill_clients},
    {"Leases", "", lease_columns, countof(lease_columns), false, fill_leases},
    {"Speeds, as measured", "", speed_columns, countof(speed_columns), false, fill_speeds},
    {"Other policies",
     "* what the configuration asks for. All but the recorded row are simulated, with the recorded "
     "requests.",
     policy_columns, countof(policy_columns), true, fill_policies},
};
_Static_assert(countof(kinds) == REPORT_TABLES_MAX, "room for each");

uint32_t report_tables(const struct report *r, uint32_t rows_max,
                       struct report_table ret[REPORT_TABLES_MAX])
{
    uint32_t count = 0;
    for (size_t i = 0; i < countof(kinds); i++) {
        struct report_table *t = &ret[count];
        *t = (struct report_table){.title = kinds[i].title,
                                   .note = kinds[i].note,
                                   .columns = kinds[i].columns,
                                   .column_count = kinds[i].column_count};
        struct filler f = {.table = t, .rows_max = kinds[i].is_whole ? UINT32_MAX : rows_max};
        kinds[i].fill(r, &f);
        count += t->row_count > 0;
    }
    return count;
}

void report_table_fini(struct report_table *t)
{
    for (uint32_t i = 0; i < t->row_count * t->column_count; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct report_table){.row_count = 0};
}

/* A name within a sentence: it must not end the line. */
static void put_name(struct buf *out, const char *name)
{
    for (const char *p = name; *p; p++)
        buf_char(out, (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p);
}

void report_tell_worst(const struct report *r, struct buf *out)
{
    static const char *const whos[] = {"model", "client", "lease"};
    _Static_assert(countof(whos) == WHO__COUNT, "a word each");
    const struct report_worst *w = &r->worst;
    char cost[UNITS_TEXT_MAX];
    if (!w->name) {
        buf_text(out, "Nobody had to wait because a model had been put out for another.\n");
        return;
    }
    units_format_duration(w->cost_ns, cost);
    double percent = w->share_permille / 10.0;
    if (!w->stands_out) {
        buf_printf(out,
                   "Nothing stands out. The most that others waited because of one, %s, was for "
                   "the %s ",
                   cost, whos[w->who]);
        put_name(out, w->name);
        buf_printf(out, ": %.0f %% of all that they waited.\n", percent);
        return;
    }
    buf_printf(out, "The worst offender is the %s ", whos[w->who]);
    put_name(out, w->name);
    if (w->key) {
        buf_text(out, ", asked for by ");
        put_name(out, w->key);
    }
    buf_printf(out, ": it cost others %s, %.0f %% of all that they waited.\n%s\n", cost, percent,
               r->advice);
}

void report_summary(const struct report *r, struct buf *out)
{
    char from[DATE_TEXT_MAX], to[DATE_TEXT_MAX], waited[UNITS_TEXT_MAX], loading[UNITS_TEXT_MAX];
    const struct past *past = r->past;
    buf_printf(out, "From %s to %s: %" PRIu32 " requests for %" PRIu32 " models.\n",
               date_format_seconds((int64_t)(past->from_ns / NS_PER_S), from),
               date_format_seconds((int64_t)(past->to_ns / NS_PER_S), to), r->requests,
               r->model_count);
    buf_printf(out,
               "They waited %s in all. %" PRIu32 " loads took %s; models were put out %" PRIu32
               " times.\n",
               units_format_duration(r->waited_ns, waited), r->loads,
               units_format_duration(r->load_ns, loading), r->put_out);
    for (int k = 0; k < PAST__KINDS; k++)
        if (past->damaged[k])
            buf_printf(out, "%" PRIu32 " damaged lines of %s were left out.\n", past->damaged[k],
                       past_kind_text((enum past_kind)k));
}
