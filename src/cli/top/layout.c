#include "cli/top/layout.h"

#include <jansson.h>
#include <string.h>

#include "base/pure/units.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/top/popup.h"
#include "cli/top/sections.h"

/* The head at the top; a line for messages and one for keys at the bottom. */
#define FOOT_LINES 2
#define DEVICE_SHARE 2 / 5 /* of the lines between, at most */

static void put_head(const struct top_known *k, const char *where, struct top_cells *cells)
{
    struct buf left = {0}, right = {0};
    char loaded[SHOW_CELL_MAX], models[SHOW_CELL_MAX], running[SHOW_CELL_MAX];
    char waiting[SHOW_CELL_MAX];
    buf_text(&left, "wharf ");
    if (k->status) {
        text_escape_all(&left, TEXT_LINE, show_text(k->status, "version"));
        buf_text(&left, "   mode ");
        text_escape_all(&left, TEXT_LINE, show_text(k->status, "mode"));
        if (json_is_false(json_object_get(k->status, "mode_reached")))
            buf_text(&left, " (not reached)");
        buf_printf(&left, "   %s of %s loaded   %s running   %s waiting",
                   show_count(k->status, "loaded", loaded), show_count(k->status, "models", models),
                   show_count(k->status, "in_flight", running),
                   show_count(k->status, "waiting", waiting));
    }
    buf_text(&right, " ");
    text_escape_all(&right, TEXT_LINE,
                    k->trouble || !k->status ? where : show_text(k->status, "state"));
    uint32_t end = top_cells_put(cells, 0, 0, TOP_TITLE, left.data);
    size_t width = text_width(right.data);
    if (end + width <= cells->width)
        top_cells_put(cells, 0, cells->width - (uint32_t)width, k->trouble ? TOP_BAD : TOP_DIM,
                      right.data);
    buf_fini(&left);
    buf_fini(&right);
}

/* What was last done, or what is not as it should be; the question that is open goes before. */
static void put_message(const struct top_known *k, const struct top_view *v,
                        struct top_cells *cells)
{
    const char *degraded = json_string_value(json_object_get(k->status, "degraded"));
    uint32_t y = cells->height - FOOT_LINES;
    struct buf line = {0};
    enum top_style style = TOP_PLAIN;
    buf_text(&line, "");
    if (v->popup == TOP_FILTER || (*v->filter && !v->message.len && !k->trouble)) {
        buf_printf(&line, "/%s%s", v->filter, v->popup == TOP_FILTER ? "_" : "  (Esc shows all)");
    } else if (k->trouble) {
        buf_text(&line, "no daemon, trying again: ");
        text_escape_all(&line, TEXT_LINE, k->trouble);
        style = TOP_BAD;
    } else if (v->message.len > 0) {
        buf_append(&line, v->message.data, v->message.len);
        style = v->is_bad ? TOP_BAD : TOP_GOOD;
    } else if (degraded) {
        text_escape_all(&line, TEXT_LINE, degraded);
        style = TOP_BAD;
    }
    top_cells_put(cells, y, 0, style, line.data);
    buf_fini(&line);
}

static void put_keys(struct top_cells *cells)
{
    static const char keys[] =
        "l load u unload s suspend w wake m move p pin M mode / filter Tab ? help q quit";
    top_cells_put(cells, cells->height - 1, 0, TOP_DIM, keys);
}

struct share {
    uint32_t lines[TOP_SECTION__COUNT]; /* with the heading */
    uint32_t each;                      /* lines of a device */
    uint32_t gap;                       /* between sections */
};

static uint32_t at_most(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Devices first, up to their share; a third of the rest is the queue's if it has so much; what
 * either does not need is the models'. */
static struct share share_lines(const struct top_known *k, const struct top_view *v, uint32_t lines)
{
    struct share s = {.each = 2};
    uint32_t want[TOP_SECTION__COUNT];
    for (enum top_section i = 0; i < TOP_SECTION__COUNT; i++) {
        size_t count = top_count(v, k, i);
        want[i] = 1 + (count ? count < UINT16_MAX ? (uint32_t)count : UINT16_MAX : 1);
    }
    uint32_t devices = want[TOP_DEVICES] - 1;
    if (1 + devices * s.each > lines * DEVICE_SHARE)
        s.each = 1;
    s.lines[TOP_DEVICES] = at_most(1 + devices * s.each, lines * DEVICE_SHARE);
    uint32_t rest = lines - s.lines[TOP_DEVICES];
    uint32_t queue = at_most(want[TOP_QUEUE], rest / 3);
    if (want[TOP_MODELS] < rest - queue)
        queue = at_most(want[TOP_QUEUE], rest - want[TOP_MODELS]);
    s.lines[TOP_QUEUE] = queue;
    s.lines[TOP_MODELS] = at_most(want[TOP_MODELS], rest - queue);
    uint32_t used = s.lines[TOP_DEVICES] + s.lines[TOP_MODELS] + s.lines[TOP_QUEUE];
    s.gap = lines - used >= TOP_SECTION__COUNT - 1 ? 1 : 0;
    return s;
}

static void put_too_small(struct top_cells *cells)
{
    struct buf line = {0};
    buf_printf(&line, "%ux%u: wharf top needs %dx%d", cells->width, cells->height, TOP_WIDTH_MIN,
               TOP_HEIGHT_MIN);
    top_cells_put(cells, 0, 0, TOP_PLAIN, line.data);
    buf_fini(&line);
}

void top_layout(const struct top_known *k, const struct top_view *v, const char *where,
                uint64_t now_ns, struct top_cells *cells)
{
    if (cells->width < TOP_WIDTH_MIN || cells->height < TOP_HEIGHT_MIN) {
        put_too_small(cells);
        return;
    }
    bool goes_on = !k->trouble && k->at_ns > 0 && now_ns > k->at_ns;
    struct top_part_of parts = {.known = k, .view = v, .cells = cells};
    parts.past_s = goes_on ? (double)(now_ns - k->at_ns) / (double)NS_PER_S : 0;
    struct share s = share_lines(k, v, cells->height - 1 - FOOT_LINES);
    put_head(k, where, cells);
    for (enum top_section i = 0, y = 1; i < TOP_SECTION__COUNT; i++) {
        parts.y = y;
        parts.lines = s.lines[i];
        parts.each = i == TOP_DEVICES ? s.each : 1;
        if (i == TOP_DEVICES)
            top_put_devices(&parts);
        else if (i == TOP_MODELS)
            top_put_models(&parts);
        else
            top_put_queue(&parts);
        y += s.lines[i] + s.gap;
    }
    put_message(k, v, cells);
    put_keys(cells);
    top_put_popup(k, v, cells);
}
