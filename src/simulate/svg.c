#include "simulate/svg.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "core/words.h"
#include "simulate/markup.h"

#define WIDTH 1280
#define LEFT 170
#define PLOT_WIDTH (WIDTH - LEFT - 20)
#define TITLE_HEIGHT 34
#define DEVICE_HEIGHT 20
#define LANE_HEIGHT 15
#define BAR_HEIGHT 12
#define CURVE_HEIGHT 70
#define AXIS_HEIGHT 40
#define LEGEND_HEIGHT 34
#define TICKS_MAX 12
#define GAP_MIN 0.3 /* pixels; bars nearer to each other become one */

static const char style[] =
    "<style>\n"
    "text{font:11px system-ui,sans-serif;fill:#333}\n"
    ".title{font-size:15px;font-weight:600}\n"
    ".device{font-weight:600}\n"
    ".lane{text-anchor:end}\n"
    ".tick{text-anchor:middle;fill:#666}\n"
    ".grid{stroke:#e4e4e4}\n"
    ".ground{fill:#f7f7f7}\n"
    ".here{fill:#b8d4ea}\n"
    ".work{fill:#2f74b5}\n"
    ".load{fill:url(#hatch)}\n"
    ".wait{fill:#f3c9bd;stroke:#c4512d}\n"
    "</style>\n"
    "<defs><pattern id=\"hatch\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\" "
    "patternTransform=\"rotate(45)\"><rect width=\"4\" height=\"4\" fill=\"#fbe3a2\"/>"
    "<rect width=\"1.6\" height=\"4\" fill=\"#b8860b\"/></pattern></defs>\n";

static double place(const struct timeline *t, uint64_t at_ns)
{
    double span = t->to_ns > t->from_ns ? (double)(t->to_ns - t->from_ns) : 1;
    return LEFT + (double)(at_ns - t->from_ns) / span * PLOT_WIDTH;
}

/* Bars of one kind in one lane, as one path; those that would touch are drawn as one. */
struct bars {
    struct buf *out;
    const char *style;
    int top;
    double from, to; /* the one that is not written yet; to < from: none */
    bool begun;
};

static void flush_bar(struct bars *b)
{
    if (b->to < b->from)
        return;
    if (!b->begun)
        buf_printf(b->out, "<path class=\"%s\" d=\"", b->style);
    b->begun = true;
    double width = b->to - b->from;
    buf_printf(b->out, "M%.1f %dh%.1fv%dh-%.1fz", b->from, b->top, width > 0.5 ? width : 0.5,
               BAR_HEIGHT, width > 0.5 ? width : 0.5);
}

static void add_bar(struct bars *b, double from, double to)
{
    if (b->to >= b->from && from <= b->to + GAP_MIN && from >= b->from) {
        b->to = to > b->to ? to : b->to;
        return;
    }
    flush_bar(b);
    b->from = from;
    b->to = to;
}

static void end_bars(struct bars *b)
{
    flush_bar(b);
    if (b->begun)
        buf_text(b->out, "\"/>\n");
}

static struct bars begin_bars(struct buf *out, const char *kind, int top)
{
    return (struct bars){.out = out, .style = kind, .top = top, .from = 1, .to = 0};
}

/* A lane's model and device; without devices there is one place for all. */
struct lane {
    uint32_t model, device;
    int top;
};

static bool stays_there(const struct timeline_stay *s, const struct lane *l)
{
    return s->model == l->model && (l->device == CORE_SLOT_NONE || s->devices >> l->device & 1);
}

static void write_lane(struct buf *out, const struct timeline *t, const struct lane *l)
{
    struct bars here = begin_bars(out, "here", l->top);
    for (uint32_t i = 0; i < t->stay_count; i++)
        if (stays_there(&t->stays[i], l) && t->stays[i].loaded_ns != TIMELINE_NEVER)
            add_bar(&here, place(t, t->stays[i].loaded_ns), place(t, t->stays[i].to_ns));
    end_bars(&here);
    struct bars work = begin_bars(out, "work", l->top);
    for (uint32_t i = 0; i < t->work_count; i++)
        if (stays_there(&t->stays[t->works[i].stay], l))
            add_bar(&work, place(t, t->works[i].from_ns), place(t, t->works[i].to_ns));
    end_bars(&work);
    struct bars load = begin_bars(out, "load", l->top);
    for (uint32_t i = 0; i < t->stay_count; i++) {
        const struct timeline_stay *s = &t->stays[i];
        uint64_t until = s->loaded_ns == TIMELINE_NEVER ? s->to_ns : s->loaded_ns;
        if (stays_there(s, l))
            add_bar(&load, place(t, s->from_ns), place(t, until));
    }
    end_bars(&load);
}

static bool is_used(const struct timeline *t, const struct lane *l)
{
    for (uint32_t i = 0; i < t->stay_count; i++)
        if (stays_there(&t->stays[i], l))
            return true;
    return false;
}

/* A device's name and a lane for each model that ever was there. Returns where it ends. */
static int write_device(struct buf *out, const struct config *c, const struct timeline *t,
                        uint32_t device, int top)
{
    char size[UNITS_TEXT_MAX];
    buf_printf(out, "<text class=\"device\" x=\"%d\" y=\"%d\">", LEFT, top + 14);
    markup_text(out, device == CORE_SLOT_NONE ? "models" : c->gpus[device].name);
    if (device != CORE_SLOT_NONE)
        buf_printf(out, ", %s", units_format_bytes(c->gpus[device].memory_bytes, size));
    buf_text(out, "</text>\n");
    top += DEVICE_HEIGHT;
    for (uint32_t i = 0; i < c->model_count; i++) {
        struct lane lane = {i, device, top};
        if (!is_used(t, &lane))
            continue;
        buf_printf(out, "<text class=\"lane\" x=\"%d\" y=\"%d\">", LEFT - 8, top + 10);
        markup_text(out, c->models[i].id);
        buf_printf(out,
                   "</text><rect class=\"ground\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
                   LEFT, top, PLOT_WIDTH, BAR_HEIGHT);
        write_lane(out, t, &lane);
        top += LANE_HEIGHT;
    }
    return top;
}

/* The most that waited within each pixel. */
static void write_curve(struct buf *out, const struct timeline *t, int top)
{
    uint32_t *most = alloc_zeroed(PLOT_WIDTH + 1, sizeof(*most));
    uint32_t max = 1, waiting = 0;
    int at = 0;
    for (uint32_t i = 0; i < t->point_count; i++) {
        int x = (int)place(t, t->points[i].at_ns) - LEFT;
        for (; at < x; at++)
            most[at + 1] = waiting;
        waiting = t->points[i].waiting;
        most[at] = waiting > most[at] ? waiting : most[at];
        max = waiting > max ? waiting : max;
    }
    for (; at < PLOT_WIDTH; at++)
        most[at + 1] = waiting;
    buf_printf(out,
               "<text class=\"lane\" x=\"%d\" y=\"%d\">waiting</text>"
               "<text class=\"lane\" x=\"%d\" y=\"%d\">%" PRIu32 "</text>\n"
               "<path class=\"wait\" d=\"M%d %d",
               LEFT - 8, top + CURVE_HEIGHT, LEFT - 8, top + 10, max, LEFT, top + CURVE_HEIGHT);
    for (int x = 0; x <= PLOT_WIDTH; x++)
        if (x == 0 || x == PLOT_WIDTH || most[x] != most[x - 1] || most[x] != most[x + 1])
            buf_printf(out, "L%d %.1f", LEFT + x,
                       top + CURVE_HEIGHT * (1 - (double)most[x] / (double)max));
    buf_printf(out, "L%d %dz\"/>\n", LEFT + PLOT_WIDTH, top + CURVE_HEIGHT);
    free(most);
}

static uint64_t tick_of(uint64_t span_ns)
{
    static const uint64_t steps_s[] = {1,     2,     5,     10,    15,     30,    60,
                                       120,   300,   600,   900,   1800,   3600,  7200,
                                       10800, 21600, 43200, 86400, 172800, 604800};
    for (size_t i = 0; i < countof(steps_s); i++)
        if (span_ns / NS_PER_S / steps_s[i] <= TICKS_MAX)
            return steps_s[i] * NS_PER_S;
    return span_ns / TICKS_MAX;
}

static void write_axis(struct buf *out, const struct timeline *t, int top, int bottom)
{
    uint64_t span = t->to_ns - t->from_ns, step = tick_of(span);
    for (uint64_t at = 0; at <= span; at += step) {
        char text[UNITS_TEXT_MAX];
        double x = place(t, t->from_ns + at);
        buf_printf(out,
                   "<path class=\"grid\" d=\"M%.1f %dV%d\"/>"
                   "<text class=\"tick\" x=\"%.1f\" y=\"%d\">%s</text>\n",
                   x, top, bottom, x, bottom + 14, at ? units_format_duration(at, text) : "0");
    }
}

/* Returns where it ends. */
static int write_panel(struct buf *out, const struct config *c, const struct svg_panel *p, int top)
{
    struct buf inner = {0};
    const struct timeline *t = p->timeline;
    buf_printf(out, "<text class=\"title\" x=\"%d\" y=\"%d\">", LEFT, top + 22);
    markup_text(out, p->title);
    buf_text(out, "</text>\n");
    int first = top + TITLE_HEIGHT, at = first;
    for (uint32_t d = 0; d < c->gpu_count; d++)
        at = write_device(&inner, c, t, d, at);
    if (c->gpu_count == 0)
        at = write_device(&inner, c, t, CORE_SLOT_NONE, at);
    at += 8;
    write_curve(&inner, t, at);
    at += CURVE_HEIGHT;
    write_axis(out, t, first, at); /* below the bars */
    buf_append(out, inner.data, inner.len);
    buf_fini(&inner);
    return at + AXIS_HEIGHT;
}

static void write_legend(struct buf *out)
{
    static const struct {
        const char *kind, *text;
    } items[] = {{"load", "loads"},
                 {"here", "loaded, idle"},
                 {"work", "serves"},
                 {"wait", "requests that wait"}};
    for (size_t i = 0; i < countof(items); i++)
        buf_printf(out,
                   "<rect class=\"%s\" x=\"%d\" y=\"12\" width=\"22\" height=\"%d\"/>"
                   "<text x=\"%d\" y=\"22\">%s</text>\n",
                   items[i].kind, LEFT + (int)i * 140, BAR_HEIGHT, LEFT + (int)i * 140 + 28,
                   items[i].text);
}

void svg_write(struct buf *out, const struct config *c, const struct svg_panel *panels,
               uint32_t count)
{
    struct buf inner = {0};
    int top = LEGEND_HEIGHT;
    for (uint32_t i = 0; i < count; i++)
        top = write_panel(&inner, c, &panels[i], top);
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
               "height=\"%d\">\n",
               WIDTH, top, WIDTH, top);
    buf_text(out, style);
    buf_printf(out, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", WIDTH, top);
    write_legend(out);
    buf_append(out, inner.data, inner.len);
    buf_text(out, "</svg>\n");
    buf_fini(&inner);
}
