/* What a progress line says: pure functions of what the daemon told. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/pure/units.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "cli/text.h"

/* It is not done before it is done. */
#define PERMILLE_MAX 990
#define EIGHTHS 8

static int share(double part, double whole)
{
    double permille = part / whole * 1000;
    if (!(permille > 0))
        return 0;
    return permille > PERMILLE_MAX ? PERMILLE_MAX : (int)permille;
}

int progress_permille(const struct json_t *operation)
{
    double bytes = json_number_value(json_object_get(operation, "bytes"));
    double all = json_number_value(json_object_get(operation, "expected_bytes"));
    double since = json_number_value(json_object_get(operation, "since_s"));
    double span = json_number_value(json_object_get(operation, "expected_s"));
    /* Engines that take their memory at once are not done with that: time tells more then, as it
     * does where nothing is seen yet. */
    if (bytes > 0 && bytes < all)
        return share(bytes, all);
    if (span > 0)
        return share(since, span);
    return bytes > 0 && all > 0 ? share(bytes, all) : -1;
}

static void write_operation(const json_t *operation, struct buf *out)
{
    char bytes[SHOW_CELL_MAX], all[SHOW_CELL_MAX], since[SHOW_CELL_MAX], span[SHOW_CELL_MAX];
    const json_t *seen = json_object_get(operation, "bytes");
    bool has_all = json_is_integer(json_object_get(operation, "expected_bytes"));
    bool has_span = json_is_number(json_object_get(operation, "expected_s"));
    buf_text(out, show_text(operation, "what"));
    if (json_integer_value(seen) > 0 && has_all)
        buf_printf(out, " %s of %s", show_bytes(operation, "bytes", bytes),
                   show_bytes(operation, "expected_bytes", all));
    buf_printf(out, ", %s", show_seconds(operation, "since_s", since));
    if (has_span)
        buf_printf(out, " of about %s", show_seconds(operation, "expected_s", span));
}

/* What stands in its way, where that is known. */
static void write_waiting(const json_t *answer, struct buf *out)
{
    char left[SHOW_CELL_MAX];
    const json_t *plan = json_object_get(answer, "plan");
    const json_t *first = json_object_get(answer, "first_waiting");
    const char *why = json_string_value(json_object_get(first, "for"));
    if (!why)
        why = json_string_value(json_object_get(plan, "why"));
    buf_text(out, "waits");
    if (json_number_value(json_object_get(plan, "seconds")) >= 1)
        buf_printf(out, ", about %s more", show_seconds(plan, "seconds", left));
    if (why) {
        buf_text(out, ": ");
        text_escape_all(out, TEXT_LINE, why);
    }
}

void progress_words(const struct json_t *answer, struct buf *out)
{
    const json_t *model = json_object_get(answer, "model");
    const json_t *operation = json_object_get(model, "operation");
    if (json_is_object(operation))
        write_operation(operation, out);
    else if (strcmp(show_text(model, "state"), "loaded") == 0)
        buf_text(out, "loaded, finishes its work");
    else
        write_waiting(answer, out);
}

void progress_bar(struct buf *out, int permille, size_t width, bool is_utf8)
{
    /* Eighths of a column, from the left: U+258F to U+2589, then U+2588. */
    static const char *const parts[EIGHTHS] = {" ",
                                               "\xe2\x96\x8f",
                                               "\xe2\x96\x8e",
                                               "\xe2\x96\x8d",
                                               "\xe2\x96\x8c",
                                               "\xe2\x96\x8b",
                                               "\xe2\x96\x8a",
                                               "\xe2\x96\x89"};
    if (permille < 0)
        return;
    size_t eighths = (size_t)permille * width * EIGHTHS / 1000;
    for (size_t i = 0; i < width; i++) {
        size_t here = eighths > i * EIGHTHS ? eighths - i * EIGHTHS : 0;
        if (is_utf8)
            buf_text(out, here >= EIGHTHS ? "\xe2\x96\x88" : parts[here]);
        else
            buf_char(out, here >= EIGHTHS ? '#' : '.');
    }
}
