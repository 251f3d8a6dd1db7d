#include "cli/queue_text.h"

#include <jansson.h>

#include "cli/show.h"

void queue_text_who(struct buf *out, const struct json_t *w)
{
    char bytes[SHOW_CELL_MAX], gates[SHOW_CELL_MAX];
    json_int_t gpus = json_integer_value(json_object_get(w, "gpus"));
    if (json_is_string(json_object_get(w, "model"))) {
        buf_text(out, show_text(w, "model"));
        return;
    }
    bool is_named = json_is_string(json_object_get(w, "name"));
    buf_printf(out, "lease %s", show_text(w, is_named ? "name" : "lease"));
    if (gpus > 0)
        buf_printf(out, ", %s", show_bytes(w, "bytes", bytes));
    if (gpus > 1)
        buf_printf(out, " on %lld GPUs", (long long)gpus);
    if (json_array_size(json_object_get(w, "gates")))
        buf_printf(out, ", %s", show_list(w, "gates", gates));
}
