#include "cli/simulate_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/pure/units.h"
#include "cli/text.h"
#include "cli/text_table.h"
#include "simulate/results_json.h"

#define CELL_MAX 64

enum column {
    POLICY,
    SERVED,
    LOADS,
    RELOAD,
    RATIO,
    EVICTED,
    P50,
    P95,
    P99,
    MAX,
    BROKEN,
    BUSY,
    COLUMNS
};

static const char *const headings[COLUMNS] = {
    [POLICY] = "POLICY", [SERVED] = "SERVED",   [LOADS] = "LOADS",   [RELOAD] = "RELOAD",
    [RATIO] = "RATIO",   [EVICTED] = "EVICTED", [P50] = "P50",       [P95] = "P95",
    [P99] = "P99",       [MAX] = "MAX",         [BROKEN] = "BROKEN", [BUSY] = "BUSY"};

struct row {
    char cells[COLUMNS][CELL_MAX];
};

static void set_seconds(char out[CELL_MAX], uint64_t ns)
{
    snprintf(out, CELL_MAX, "%.1f", (double)ns / (double)NS_PER_S);
}

static void set_waits(struct row *row, const struct sim_waits *w)
{
    set_seconds(row->cells[P50], w->p50_ns);
    set_seconds(row->cells[P95], w->p95_ns);
    set_seconds(row->cells[P99], w->p99_ns);
    set_seconds(row->cells[MAX], w->max_ns);
}

static void add_row(struct text_table *table, const struct row *row)
{
    const char *cells[COLUMNS];
    for (size_t i = 0; i < COLUMNS; i++)
        cells[i] = row->cells[i];
    text_table_add(table, cells);
}

static void add_result(struct text_table *table, const struct sim_result *r, bool is_own,
                       uint64_t ratio_permille)
{
    struct row row = {0};
    int classes = 0;
    snprintf(row.cells[POLICY], CELL_MAX, "%s%s", r->policy.name, is_own ? " *" : "");
    snprintf(row.cells[SERVED], CELL_MAX, "%.0f%%",
             r->requests ? 100.0 * (double)r->served / (double)r->requests : 100.0);
    snprintf(row.cells[LOADS], CELL_MAX, "%" PRIu64, r->loads);
    snprintf(row.cells[RELOAD], CELL_MAX, "%.0f", (double)r->load_ns / (double)NS_PER_S);
    snprintf(row.cells[RATIO], CELL_MAX, ratio_permille ? "%.2f" : "-",
             (double)ratio_permille / 1000);
    snprintf(row.cells[EVICTED], CELL_MAX, "%" PRIu64, r->evictions);
    set_waits(&row, &r->waits);
    snprintf(row.cells[BROKEN], CELL_MAX, "%" PRIu64, r->violations);
    snprintf(row.cells[BUSY], CELL_MAX, "%.0f%%", (double)r->busy_permille / 10);
    add_row(table, &row);
    for (int k = 0; k < CLASS__COUNT; k++)
        classes += r->classes[k].count > 0;
    for (int k = 0; classes > 1 && k < CLASS__COUNT; k++) {
        struct row class_row = {0};
        if (r->classes[k].count == 0)
            continue;
        snprintf(class_row.cells[POLICY], CELL_MAX, "  %s", class_text((enum class)k));
        set_waits(&class_row, &r->classes[k]);
        add_row(table, &class_row);
    }
}

static void write_notes(struct buf *out, const struct sim_result *r)
{
    struct buf line = {0};
    if (r->refused)
        buf_printf(&line, "%s: %" PRIu64 " of %" PRIu64 " requests were refused\n", r->policy.name,
                   r->refused, r->requests);
    if (r->unserved)
        buf_printf(&line, "%s: %" PRIu64 " of %" PRIu64 " requests were never served\n",
                   r->policy.name, r->unserved, r->requests);
    if (r->overcommits)
        buf_printf(&line, "%s: %" PRIu64 " times there were fewer bytes than were given out\n",
                   r->policy.name, r->overcommits);
    if (r->note[0])
        buf_printf(&line, "%s: bound broken by %" PRIu64 ", first: %s\n", r->policy.name,
                   r->violations, r->note);
    text_escape(out, TEXT_LOG, line.data, line.len, false);
    buf_fini(&line);
}

void simulate_table_write(struct buf *out, const struct sim_result *results, uint32_t count,
                          const char *own)
{
    struct text_table table = {.columns = COLUMNS};
    bool has_own = false;
    text_table_add(&table, headings);
    for (uint32_t i = 0; i < count; i++) {
        bool is_own = strcmp(results[i].policy.name, own) == 0;
        has_own |= is_own;
        add_result(&table, &results[i], is_own, results_ratio_permille(results, count, i));
    }
    text_table_print(&table, out);
    text_table_fini(&table);
    buf_text(out,
             "Times in seconds. RELOAD: all loads together. RATIO: that, by the clairvoyant's. "
             "P50 to MAX:\nhow long requests waited. BROKEN: waits beyond the bound of fair. "
             "BUSY: devices at work.\n");
    if (has_own)
        buf_text(out, "* what this configuration asks for.\n");
    for (uint32_t i = 0; i < count; i++)
        write_notes(out, &results[i]);
}
