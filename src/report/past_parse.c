#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/date.h"
#include "report/past.h"

#define YEAR_S 31556952
#define SECONDS_MAX (10.0 * YEAR_S)
#define BYTES_MAX 1e18
#define STATUS_MAX 999

/* Of one line: whether all that was read so far makes sense. */
struct reader {
    const json_t *object;
    bool ok;
};

static uint64_t read_time(struct reader *in, const char *name, bool must_be)
{
    const json_t *value = json_object_get(in->object, name);
    uint64_t ns = 0;
    if (json_is_string(value) && date_parse(json_string_value(value), &ns))
        return ns;
    in->ok = in->ok && !must_be && (!value || json_is_null(value));
    return 0;
}

static uint32_t read_name(struct reader *in, const char *name, struct names *names, bool must_be)
{
    const json_t *value = json_object_get(in->object, name);
    if (json_is_string(value) && json_string_length(value) > 0)
        return names_number(names, json_string_value(value));
    in->ok = in->ok && !must_be && (!value || json_is_null(value) || json_is_string(value));
    return 0;
}

/* From 0 to max; below 0: it is not known. */
static double read_number(struct reader *in, const char *name, double max)
{
    const json_t *value = json_object_get(in->object, name);
    if (!value || json_is_null(value))
        return -1;
    double number = json_number_value(value);
    if (json_is_number(value) && number >= 0 && number <= max)
        return number;
    in->ok = false;
    return -1;
}

static uint32_t read_count(struct reader *in, const char *name)
{
    double number = read_number(in, name, UINT32_MAX - 1.0);
    return number < 0 ? PAST_UNKNOWN : (uint32_t)llround(number);
}

static uint64_t read_bytes(struct reader *in)
{
    double number = read_number(in, "bytes", BYTES_MAX);
    return number < 0 ? 0 : (uint64_t)number;
}

static uint8_t read_class(struct reader *in)
{
    const char *text = json_string_value(json_object_get(in->object, "class"));
    for (int i = 0; text && i < CLASS__COUNT; i++)
        if (strcmp(class_text((enum class)i), text) == 0)
            return (uint8_t)i;
    in->ok = in->ok && !text; /* one that is not known is a defect; none is normal */
    return CLASS_NORMAL;
}

/* Names, or objects with a name. */
static uint64_t read_devices(struct reader *in, struct names *names)
{
    const json_t *list = json_object_get(in->object, "devices");
    uint64_t mask = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *name =
            json_string_value(json_is_object(item) ? json_object_get(item, "name") : item);
        uint32_t number = name ? names_number(names, name) : 0;
        if (number)
            mask |= UINT64_C(1) << (number > PAST_DEVICES_MAX ? PAST_DEVICES_MAX - 1 : number - 1);
    }
    return mask;
}

static void *room_for(struct past *r, enum past_kind kind, void *items, size_t size)
{
    if (r->counts[kind] < r->rooms[kind])
        return items;
    r->rooms[kind] = r->rooms[kind] ? 2 * r->rooms[kind] : 1024;
    return alloc_grow(items, r->rooms[kind], size);
}

static void take_request(struct past *r, struct reader *in)
{
    struct past_request q = {
        .at_ns = read_time(in, "arrived", true),
        .seq = r->counts[PAST_REQUESTS],
        .model = read_name(in, "model", &r->models, true),
        .key = read_name(in, "key", &r->keys, false),
        .waited_ms = read_count(in, "waited_ms"),
        .load_ms = read_count(in, "load_ms"),
        .first_byte_ms = read_count(in, "first_byte_ms"),
        .total_ms = read_count(in, "total_ms"),
        .input = read_count(in, "input_tokens"),
        .output = read_count(in, "output_tokens"),
        .cached = read_count(in, "cached_tokens"),
        .class = read_class(in),
    };
    double status = read_number(in, "status", STATUS_MAX);
    q.status = status < 0 ? 0 : (uint16_t)status;
    if (!in->ok)
        return;
    r->requests = room_for(r, PAST_REQUESTS, r->requests, sizeof(q));
    r->requests[r->counts[PAST_REQUESTS]++] = q;
}

static uint8_t read_kind(struct reader *in)
{
    static const char *const kinds[] = {"load", "unload", "move", "suspend", "resume"};
    _Static_assert(countof(kinds) == SWAP__KINDS, "a word a kind");
    const char *text = json_string_value(json_object_get(in->object, "kind"));
    for (uint8_t i = 0; text && i < SWAP__KINDS; i++)
        if (strcmp(kinds[i], text) == 0)
            return i;
    in->ok = false;
    return 0;
}

static void take_swap(struct past *r, struct reader *in)
{
    double seconds = read_number(in, "seconds", SECONDS_MAX);
    struct past_swap s = {
        .at_ns = read_time(in, "at", true),
        .took_ns = seconds < 0 ? 0 : (uint64_t)llround(seconds * 1000) * NS_PER_MS,
        .bytes = read_bytes(in),
        .devices = read_devices(in, &r->devices),
        .seq = r->counts[PAST_SWAPS],
        .model = read_name(in, "model", &r->models, true),
        .for_model = read_name(in, "for_model", &r->models, false),
        .for_lease = read_name(in, "for_lease", &r->lease_refs, false),
        .kind = read_kind(in),
        .ok = !json_is_false(json_object_get(in->object, "ok")),
    };
    if (!in->ok)
        return;
    r->swaps = room_for(r, PAST_SWAPS, r->swaps, sizeof(s));
    r->swaps[r->counts[PAST_SWAPS]++] = s;
}

static void take_lease(struct past *r, struct reader *in)
{
    const char *how = json_string_value(json_object_get(in->object, "how"));
    struct past_lease l = {
        .asked_ns = read_time(in, "asked", true),
        .granted_ns = read_time(in, "granted", false),
        .ended_ns = read_time(in, "ended", false),
        .bytes = read_bytes(in),
        .devices = read_devices(in, &r->devices),
        .name = read_name(in, "name", &r->lease_names, false),
        .class = read_class(in),
        .revoked = how && strstr(how, "revoked"),
    };
    const char *id = json_object_get(in->object, "lease") ? "lease" : "id";
    l.ref = read_name(in, id, &r->lease_refs, false);
    if (!l.name) /* one that has no name of its own is known by its id */
        l.name = read_name(in, id, &r->lease_names, true);
    if (!in->ok)
        return;
    r->leases = room_for(r, PAST_LEASES, r->leases, sizeof(l));
    r->leases[r->counts[PAST_LEASES]++] = l;
}

bool past_take(struct past *r, enum past_kind kind, const json_t *object)
{
    static void (*const takes[])(struct past *, struct reader *) = {
        [PAST_REQUESTS] = take_request, [PAST_SWAPS] = take_swap, [PAST_LEASES] = take_lease};
    struct reader in = {object, json_is_object(object)};
    if (in.ok)
        takes[kind](r, &in);
    r->damaged[kind] += !in.ok;
    return in.ok;
}

static bool is_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n", line[i]) || !line[i])
            return false;
    return true;
}

int past_read_file(struct past *r, enum past_kind kind, const char *path, struct err *e)
{
    auto_free char *line = NULL;
    size_t size = 0;
    ssize_t n;
    FILE *file = fopen(path, "re");
    if (!file)
        return err_set(e, "%.300s: %s", path, strerror(errno));
    while ((n = getline(&line, &size, file)) >= 0) {
        if (is_blank(line, (size_t)n))
            continue;
        json_t *object = json_loadb(line, (size_t)n, 0, NULL);
        (void)past_take(r, kind, object);
        json_decref(object);
    }
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    return failed ? err_set(e, "%.300s: %s", path, strerror(failed)) : 0;
}
