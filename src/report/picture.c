#include "report/picture.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/pure/check.h"
#include "simulate/markup.h"

#define WIDTH 1000
#define LEFT 170
#define CELL 30
#define CELL_HEIGHT 18
#define TITLE_HEIGHT 28
#define LANE_HEIGHT 17
#define BAR_HEIGHT 12
#define PLOT_WIDTH (WIDTH - LEFT - 20)
#define LANES_MAX 40
#define GAP_MIN 0.4 /* bars nearer to each other become one */

const char picture_style[] =
    "svg{--ink:#333;--ground:#f2f2f2;--heat:#c4512d;--here:#2f74b5;--paper:#fff}\n"
    "@media(prefers-color-scheme:dark){svg{--ink:#ccc;--ground:#2a2a2a;--heat:#ff8a5c;"
    "--here:#6fb1ee;--paper:#181818}}\n"
    "svg text{font:11px system-ui,sans-serif;fill:var(--ink)}\n"
    "svg .title{font-weight:600;font-size:13px}\n"
    "svg .lane{text-anchor:end}\n"
    "svg .tick{text-anchor:middle}\n"
    "svg .ground{fill:var(--ground)}\n"
    "svg .heat{fill:var(--heat)}\n"
    "svg .here{fill:var(--here)}\n"
    "svg .paper{fill:var(--paper)}\n";

static void write_title(struct buf *out, const char *text, int top)
{
    buf_printf(out, "<text class=\"title\" x=\"%d\" y=\"%d\">%s</text>\n", LEFT, top + 18, text);
}

static void write_label(struct buf *out, const char *text, int y)
{
    buf_printf(out, "<text class=\"lane\" x=\"%d\" y=\"%d\">", LEFT - 8, y);
    markup_text(out, text);
    buf_text(out, "</text>\n");
}

static void write_hour(struct buf *out, const struct report_hour *h, double most_s, int top)
{
    double heat = most_s > 0 ? sqrt((double)h->waited_ns / (double)NS_PER_S / most_s) : 0;
    int x = LEFT + h->hour * CELL;
    buf_printf(out,
               "<g><title>%d:00, %" PRIu32 " requests, %" PRIu32 " loads, %.0f s waited</title>"
               "<rect class=\"ground\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>",
               h->hour, h->requests, h->loads, (double)h->waited_ns / (double)NS_PER_S, x, top,
               CELL - 2, CELL_HEIGHT - 2);
    if (heat > 0)
        buf_printf(out,
                   "<rect class=\"heat\" opacity=\"%.2f\" x=\"%d\" y=\"%d\" width=\"%d\" "
                   "height=\"%d\"/>",
                   0.1 + 0.9 * heat, x, top, CELL - 2, CELL_HEIGHT - 2);
    buf_text(out, "</g>\n");
}

/* A row a day. Returns where it ends. */
static int write_hours(struct buf *out, const struct report *r, int top)
{
    const char *last = "";
    double most_s = 0;
    if (r->hour_count == 0)
        return top;
    for (uint32_t i = 0; i < r->hour_count; i++)
        most_s = fmax(most_s, (double)r->hours[i].waited_ns / (double)NS_PER_S);
    write_title(out, "Seconds waited, by hour", top);
    top += TITLE_HEIGHT - CELL_HEIGHT;
    for (uint32_t i = 0; i < r->hour_count; i++) {
        const struct report_hour *h = &r->hours[i];
        if (strcmp(h->date, last) != 0) {
            top += CELL_HEIGHT;
            last = h->date;
            write_label(out, h->date, top + 12);
        }
        write_hour(out, h, most_s, top);
    }
    top += CELL_HEIGHT + 12;
    for (int h = 0; h < 24; h += 3)
        buf_printf(out, "<text class=\"tick\" x=\"%d\" y=\"%d\">%d:00</text>\n",
                   LEFT + h * CELL + CELL / 2, top, h);
    return top + 12;
}

static double place(const struct past *past, uint64_t at_ns)
{
    if (at_ns < past->from_ns)
        at_ns = past->from_ns;
    if (at_ns > past->to_ns)
        at_ns = past->to_ns;
    return LEFT +
           (double)(at_ns - past->from_ns) / (double)(past->to_ns - past->from_ns) * PLOT_WIDTH;
}

static void write_bar(struct buf *out, double from, double to, int top)
{
    if (to > from)
        buf_printf(out, "M%.1f %dh%.1fv%dh-%.1fz", from, top, fmax(to - from, 0.5), BAR_HEIGHT,
                   fmax(to - from, 0.5));
}

static void write_lane(struct buf *out, const struct report *r, const struct report_model *m,
                       int top)
{
    double from = 0, to = 0;
    write_label(out, m->name, top + 10);
    buf_printf(out, "<rect class=\"ground\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", LEFT,
               top, PLOT_WIDTH, BAR_HEIGHT);
    if (m->there_ns)
        buf_text(out, "<path class=\"here\" d=\"");
    for (uint32_t i = 0; m->there_ns && i < r->absences.stay_count; i++) {
        const struct stay *s = &r->absences.stays[i];
        if (s->model != m->number || s->to_ns <= r->past->from_ns)
            continue;
        double begin = place(r->past, s->from_ns), end = place(r->past, s->to_ns);
        if (begin <= to + GAP_MIN && to > 0) {
            to = fmax(to, end);
            continue;
        }
        write_bar(out, from, to, top);
        from = begin;
        to = end;
    }
    if (m->there_ns) {
        write_bar(out, from, to, top);
        buf_text(out, "\"/>");
    }
    buf_char(out, '\n');
}

static int write_lanes(struct buf *out, const struct report *r, int top)
{
    uint32_t shown = 0;
    if (r->past->to_ns <= r->past->from_ns || r->absences.stay_count == 0)
        return top;
    write_title(out, "Who was there", top);
    top += TITLE_HEIGHT;
    for (uint32_t i = 0; i < r->model_count && shown < LANES_MAX; i++, shown++) {
        write_lane(out, r, &r->models[i], top);
        top += LANE_HEIGHT;
    }
    return top + 8;
}

void picture_write(struct buf *out, const struct report *r, bool with_style)
{
    struct buf inner = {0};
    int bottom = write_lanes(&inner, r, write_hours(&inner, r, 0));
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
               "height=\"%d\" role=\"img\" aria-label=\"waiting by hour, and who was there\">\n",
               WIDTH, bottom, WIDTH, bottom);
    if (with_style)
        buf_printf(out, "<style>%s</style>\n<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n",
                   picture_style, WIDTH, bottom);
    buf_append(out, inner.data, inner.len);
    buf_text(out, "</svg>\n");
    buf_fini(&inner);
}

void report_write_svg(struct buf *out, const struct report *r)
{
    picture_write(out, r, true);
}
