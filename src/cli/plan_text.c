#include "plan_text.h"

#include <jansson.h>
#include <string.h>

#include "base/pure/check.h"
#include "cli/show.h"
#include "cli/text.h"

static const char *verdict_words(const char *verdict)
{
    static const struct {
        const char *verdict, *words;
    } all[] = {{"here", "is loaded"},
               {"go", "can come in"},
               {"wait", "has to wait"},
               {"blocked", "cannot come in now"},
               {"never", "can never come in"}};
    for (size_t i = 0; i < countof(all); i++)
        if (strcmp(all[i].verdict, verdict) == 0)
            return all[i].words;
    return verdict;
}

static void write_leaver(struct buf *out, const json_t *v)
{
    char bytes[SHOW_CELL_MAX];
    const char *model = json_string_value(json_object_get(v, "model"));
    buf_printf(out, "  %s ", show_text(v, "action"));
    if (!model)
        buf_text(out, "lease ");
    text_escape_all(out, TEXT_LINE, model ? model : show_text(v, "lease"));
    buf_printf(out, ", which gives %s", show_bytes(v, "bytes", bytes));
    if (json_is_true(json_object_get(v, "busy")))
        buf_text(out, ", when it has finished its work");
    buf_char(out, '\n');
}

static void write_gates(struct buf *out, const json_t *gates)
{
    char inside[SHOW_CELL_MAX], limit[SHOW_CELL_MAX], waiting[SHOW_CELL_MAX];
    for (size_t i = 0; i < json_array_size(gates); i++) {
        const json_t *g = json_array_get(gates, i);
        buf_text(out, "  gate ");
        text_escape_all(out, TEXT_LINE, show_text(g, "gate"));
        buf_printf(out, ": %s of %s taken", show_count(g, "inside", inside),
                   show_count(g, "limit", limit));
        if (json_is_string(json_object_get(g, "holders"))) {
            buf_text(out, " by ");
            text_escape_all(out, TEXT_LINE, show_text(g, "holders"));
        }
        buf_printf(out, ", %s waiting\n", show_count(g, "waiting", waiting));
    }
}

static void write_rooms(struct buf *out, const json_t *rooms)
{
    char total[SHOW_CELL_MAX], room[SHOW_CELL_MAX];
    for (size_t i = 0; i < json_array_size(rooms); i++) {
        const json_t *r = json_array_get(rooms, i);
        buf_text(out, "  ");
        text_escape_all(out, TEXT_LINE, show_text(r, "device"));
        buf_printf(out, " has room for %s of %s now\n", show_bytes(r, "room_bytes", room),
                   show_bytes(r, "total_bytes", total));
    }
}

static void write_time(struct buf *out, const json_t *plan)
{
    char text[SHOW_CELL_MAX];
    const json_t *seconds = json_object_get(plan, "seconds");
    bool is_here = strcmp(show_text(plan, "verdict"), "here") == 0;
    if (!json_is_number(seconds) || is_here)
        return;
    if (json_number_value(seconds) < 1)
        buf_text(out, ", at once");
    else
        buf_printf(out, ", in about %s", show_seconds(plan, "seconds", text));
}

void plan_text(struct buf *out, const struct json_t *plan)
{
    char bytes[SHOW_CELL_MAX], devices[SHOW_CELL_MAX];
    const char *model = json_string_value(json_object_get(plan, "model"));
    const char *detail = json_string_value(json_object_get(plan, "detail"));
    const json_t *leaves = json_object_get(plan, "leaves");
    const json_t *gates = json_object_get(plan, "gates");
    text_escape_all(out, TEXT_LINE, model ? model : "a lease");
    buf_printf(out, " %s", verdict_words(show_text(plan, "verdict")));
    if (json_array_size(json_object_get(plan, "devices"))) {
        buf_text(out, " on ");
        text_escape_all(out, TEXT_LINE, show_list(plan, "devices", devices));
    }
    if (json_is_integer(json_object_get(plan, "bytes")))
        buf_printf(out, ", taking %s", show_bytes(plan, "bytes", bytes));
    write_time(out, plan);
    if (json_is_string(json_object_get(plan, "why"))) {
        buf_text(out, ": ");
        text_escape_all(out, TEXT_LINE, show_text(plan, "why"));
    }
    if (detail) {
        buf_text(out, "; ");
        text_escape_all(out, TEXT_LINE, detail);
    }
    buf_char(out, '\n');
    for (size_t i = 0; i < json_array_size(leaves); i++)
        write_leaver(out, json_array_get(leaves, i));
    write_gates(out, gates);
    /* What wants slots alone is not about devices. */
    if (json_array_size(gates) == 0 || json_is_integer(json_object_get(plan, "bytes")))
        write_rooms(out, json_object_get(plan, "room"));
}
