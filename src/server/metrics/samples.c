#include "server/metrics/samples.h"

#include <ctype.h>
#include <string.h>

#include "base/pure/units.h"

#define DECIMALS_MAX 9

bool samples_pause(struct samples *s)
{
    s->paused = s->out->len >= s->pause_at;
    return s->paused;
}

/* ---- labels ---- */

/* Its name, out of the row. */
static void begin_label(struct samples *s)
{
    must(*s->next_label);
    size_t n = strcspn(s->next_label, ",");
    if (s->labels.len)
        buf_char(&s->labels, ',');
    buf_append(&s->labels, s->next_label, n);
    buf_append(&s->labels, "=\"", 2);
    s->next_label += n + (s->next_label[n] == ',');
}

static void skip_label(struct samples *s)
{
    size_t n = strcspn(s->next_label, ",");
    s->next_label += n + (s->next_label[n] == ',');
}

void samples_label(struct samples *s, const char *value)
{
    if (!value) {
        skip_label(s);
        return;
    }
    begin_label(s);
    while (*value) {
        size_t plain = strcspn(value, "\n\"\\");
        buf_append(&s->labels, value, plain);
        value += plain;
        if (!*value)
            break;
        buf_char(&s->labels, '\\');
        buf_char(&s->labels, *value == '\n' ? 'n' : *value);
        value++;
    }
    buf_char(&s->labels, '"');
}

void samples_label_number(struct samples *s, uint64_t value)
{
    begin_label(s);
    buf_whole(&s->labels, (int64_t)value);
    buf_char(&s->labels, '"');
}

void samples_label_lower(struct samples *s, const char *name)
{
    begin_label(s);
    for (; *name; name++)
        buf_char(&s->labels, (char)tolower((unsigned char)*name));
    buf_char(&s->labels, '"');
}

void samples_drop(struct samples *s)
{
    buf_clear(&s->labels);
    s->next_label = s->metric->labels;
}

/* ---- samples ---- */

/* The name and what is said of it, before the first sample; then the name with its labels. */
static void begin(struct samples *s, const char *suffix)
{
    const struct metric *m = s->metric;
    must(!*s->next_label);
    if (!s->headed)
        buf_printf(s->out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
    s->headed = true;
    buf_text(s->out, m->name);
    buf_text(s->out, suffix);
}

static void put_labels(struct samples *s)
{
    if (s->labels.len) {
        buf_char(s->out, '{');
        buf_append(s->out, s->labels.data, s->labels.len);
        buf_char(s->out, '}');
    }
    buf_char(s->out, ' ');
}

static void put_digits(struct buf *out, uint64_t value)
{
    char digits[UNITS_DIGITS_MAX];
    buf_append(out, digits, units_put_digits(value, digits));
}

static void put_decimal(struct buf *out, uint64_t value, unsigned decimals)
{
    char fraction[DECIMALS_MAX + 1] = ".";
    uint64_t unit = 1;
    must(decimals <= DECIMALS_MAX);
    for (unsigned i = 0; i < decimals; i++)
        unit *= 10;
    put_digits(out, value / unit);
    uint64_t rest = value % unit;
    for (unsigned i = decimals; i > 0; i--, rest /= 10)
        fraction[i] = (char)('0' + rest % 10);
    buf_append(out, fraction, decimals ? decimals + 1 : 0);
}

void samples_put(struct samples *s, uint64_t value)
{
    samples_put_decimal(s, value, 0);
}

void samples_put_decimal(struct samples *s, uint64_t value, unsigned decimals)
{
    begin(s, "");
    put_labels(s);
    put_decimal(s->out, value, decimals);
    buf_char(s->out, '\n');
    samples_drop(s);
}

void samples_put_signed(struct samples *s, int64_t value)
{
    begin(s, "");
    put_labels(s);
    buf_whole(s->out, value);
    buf_char(s->out, '\n');
    samples_drop(s);
}

void samples_put_ns(struct samples *s, uint64_t ns)
{
    samples_put_decimal(s, ns, DECIMALS_MAX);
}

/* ---- histograms ---- */

/* Without zeros at its end: as people write it. */
static void put_bound(struct buf *out, uint64_t ns)
{
    unsigned decimals = DECIMALS_MAX;
    while (decimals && ns % 10 == 0) {
        ns /= 10;
        decimals--;
    }
    put_decimal(out, ns, decimals);
}

static void put_bucket(struct samples *s, const uint64_t *bound, uint64_t count)
{
    begin(s, "_bucket{");
    buf_append(s->out, s->labels.data, s->labels.len);
    buf_text(s->out, s->labels.len ? ",le=\"" : "le=\"");
    if (bound)
        put_bound(s->out, *bound);
    else
        buf_text(s->out, "+Inf");
    buf_text(s->out, "\"} ");
    put_digits(s->out, count);
    buf_char(s->out, '\n');
}

void samples_put_histogram(struct samples *s, const struct histogram *h)
{
    const struct histogram_buckets *by = s->metric->buckets;
    uint64_t count = 0;
    for (uint32_t i = 0; i <= by->count; i++) {
        count += h->counts[i];
        put_bucket(s, i < by->count ? &by->bounds[i] : NULL, count);
    }
    begin(s, "_sum");
    put_labels(s);
    put_decimal(s->out, h->sum, DECIMALS_MAX);
    buf_char(s->out, '\n');
    begin(s, "_count");
    put_labels(s);
    put_digits(s->out, count);
    buf_char(s->out, '\n');
    samples_drop(s);
}

/* ---- by reason ---- */

static const char *const reason_names[REASON__COUNT] = {
#define REASON(name, text) [REASON_##name] = #name,
#include "core/reasons.def"
#undef REASON
};

void samples_put_reasons(struct samples *s, const char *before,
                         const uint64_t counts[REASON__COUNT], const char *none)
{
    for (int i = 0; i < REASON__COUNT; i++) {
        if (!counts[i] || (i == REASON_NONE && !none))
            continue;
        if (before)
            samples_label(s, before);
        if (i == REASON_NONE)
            samples_label(s, none);
        else
            samples_label_lower(s, reason_names[i]);
        samples_put(s, counts[i]);
    }
}
