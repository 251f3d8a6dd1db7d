#include "cli/top/bars.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/text.h"

/* Of four bytes each at most. */
#define LABEL_COLUMNS_MAX 15

static uint64_t bytes_of(const json_t *object, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(object, name));
    return n > 0 ? (uint64_t)n : 0;
}

static bool names(const json_t *list, const char *name)
{
    for (size_t i = 0; name && i < json_array_size(list); i++) {
        const char *other = json_string_value(json_array_get(list, i));
        if (other && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

/* What is more than the pieces that there can be is one with the last. */
static void add(struct top_bar *bar, enum top_part_kind kind, const char *label, uint64_t bytes)
{
    struct buf safe = {0};
    if (bytes == 0)
        return;
    if (bar->count == TOP_PARTS_MAX) {
        bar->parts[bar->count - 1].bytes += bytes;
        return;
    }
    struct top_part *part = &bar->parts[bar->count++];
    buf_text(&safe, "");
    text_escape_all(&safe, TEXT_LINE, label);
    size_t n = text_cut(safe.data, LABEL_COLUMNS_MAX);
    *part = (struct top_part){.kind = kind, .bytes = bytes};
    snprintf(part->label, sizeof(part->label), "%.*s%s", (int)n, safe.data,
             safe.data[n] ? text_ellipsis() : "");
    buf_fini(&safe);
}

/* What has left already is among what settles. */
static bool is_there(const json_t *model)
{
    const char *state = json_string_value(json_object_get(model, "state"));
    return state && strcmp(state, "unloaded") != 0 && strcmp(state, "error") != 0;
}

static uint64_t add_models(struct top_bar *bar, const json_t *models, const char *device)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *m = json_array_get(models, i), *on = json_object_get(m, "devices");
        if (!is_there(m) || !names(on, device))
            continue;
        uint64_t bytes = bytes_of(m, "footprint_bytes") / json_array_size(on);
        add(bar, TOP_PART_MODEL, json_string_value(json_object_get(m, "id")), bytes);
        sum += bytes;
    }
    return sum;
}

static void add_leases(struct top_bar *bar, const json_t *leases, const char *device,
                       uint64_t leased_bytes)
{
    for (size_t i = 0; i < json_array_size(leases); i++) {
        const json_t *l = json_array_get(leases, i);
        const char *name = json_string_value(json_object_get(l, "name"));
        uint64_t bytes = bytes_of(l, "bytes");
        bool waits = json_is_integer(json_object_get(l, "position"));
        if (waits || !names(json_object_get(l, "devices"), device) || bytes > leased_bytes)
            continue;
        add(bar, TOP_PART_LEASED, name && *name ? name : "lease", bytes);
        leased_bytes -= bytes;
    }
    add(bar, TOP_PART_LEASED, "leased", leased_bytes);
}

void top_bar_of(const struct json_t *status, const struct json_t *queue,
                const struct json_t *device, struct top_bar *ret)
{
    const char *name = json_string_value(json_object_get(device, "name"));
    uint64_t own = bytes_of(device, "own_bytes");
    struct top_bar *bar = ret;
    *bar = (struct top_bar){.total_bytes = bytes_of(device, "total_bytes")};
    if (!bar->total_bytes)
        return;
    uint64_t seen = add_models(bar, json_object_get(status, "model_list"), name);
    if (own > seen)
        add(bar, TOP_PART_MODEL, "models", own - seen);
    add_leases(bar, json_object_get(queue, "leases"), name, bytes_of(device, "leased_bytes"));
    add(bar, TOP_PART_SETTLING, "settling", bytes_of(device, "settling_bytes"));
    add(bar, TOP_PART_FOREIGN, "foreign", bytes_of(device, "foreign_bytes"));
    add(bar, TOP_PART_RESERVED, "reserve", bytes_of(device, "reserved_bytes"));
    uint64_t sum = 0;
    for (uint32_t i = 0; i < bar->count; i++)
        sum += bar->parts[i].bytes;
    add(bar, TOP_PART_FREE, "free", bar->total_bytes > sum ? bar->total_bytes - sum : 0);
}

void top_bar_share(const struct top_bar *bar, uint32_t width, uint32_t columns[TOP_PARTS_MAX])
{
    uint64_t sum = 0;
    uint32_t given = 0;
    for (uint32_t i = 0; i < bar->count; i++)
        sum += bar->parts[i].bytes;
    for (uint32_t i = 0; i < bar->count; i++) {
        double share = (double)bar->parts[i].bytes / (double)sum * (double)width;
        columns[i] = share < 1 ? 1 : (uint32_t)share;
        given += columns[i];
    }
    /* What rounding left over, to those that are furthest below their share; what was one too many,
     * from the widest. */
    while (bar->count > 0 && given != width) {
        uint32_t found = 0;
        for (uint32_t i = 1; i < bar->count; i++) {
            double lack = (double)bar->parts[i].bytes / (double)sum * (double)width - columns[i];
            double best =
                (double)bar->parts[found].bytes / (double)sum * (double)width - columns[found];
            if (given < width ? lack > best : columns[i] > columns[found])
                found = i;
        }
        columns[found] += given < width ? 1 : (uint32_t)-1;
        given += given < width ? 1 : (uint32_t)-1;
    }
}
