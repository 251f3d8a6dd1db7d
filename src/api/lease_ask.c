/* What a lease is asked for, out of the JSON of a request. */
#include <jansson.h>
#include <string.h>

#include "api/json.h"
#include "base/pure/units.h"
#include "config/nearest.h"

#define DURATION_NS_MAX (UINT64_C(366) * 24 * 3600 * NS_PER_S)
#define GRACE_NS (30 * NS_PER_S)

/* A member that is there and not null, or NULL. */
static const json_t *member(const json_t *lease, const char *name)
{
    const json_t *value = json_object_get(lease, name);
    return json_is_null(value) ? NULL : value;
}

static bool fail(struct exchange *ex, struct buf *detail)
{
    api_fail_body(ex, detail->data);
    buf_fini(detail);
    return false;
}

/* ---- names ---- */

/* "no gate is called "x"; gates: a, b". */
static bool fail_name(struct exchange *ex, const char *what, const char *given,
                      const char *(*name_at)(const struct config *c, uint32_t i), uint32_t count)
{
    const struct config *c = ex->server->roster.current->config;
    struct nearest near = nearest_to(given);
    struct buf detail = {0};
    buf_printf(&detail, "no %s is called ", what);
    buf_json_text(&detail, given);
    for (uint32_t i = 0; i < count; i++)
        nearest_offer(&near, name_at(c, i));
    if (near.best)
        buf_printf(&detail, "; the nearest name is %s", near.best);
    buf_printf(&detail, count ? "; there are: " : "; there are none");
    for (uint32_t i = 0; i < count; i++)
        buf_printf(&detail, "%s%s", i ? ", " : "", name_at(c, i));
    return fail(ex, &detail);
}

static const char *gate_at(const struct config *c, uint32_t i)
{
    return c->gates[i].id;
}

static const char *gpu_at(const struct config *c, uint32_t i)
{
    return c->gpus[i].name;
}

static bool take_gate(struct exchange *ex, const char *name, struct core_lease_ask *ask)
{
    const struct config *c = ex->server->roster.current->config;
    uint32_t slot = roster_find_gate(&ex->server->roster, name);
    if (slot == CORE_SLOT_NONE)
        return fail_name(ex, "gate", name, gate_at, c->gate_count);
    for (uint32_t k = 0; k < ask->gate_count; k++)
        if (ask->gates[k] == slot)
            return true; /* named twice: one slot is enough */
    ask->gates[ask->gate_count++] = slot;
    return true;
}

static bool take_device(struct exchange *ex, const char *name, struct core_lease_ask *ask)
{
    const struct config *c = ex->server->roster.current->config;
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        bool is_uuid = c->gpus[d].uuid && *c->gpus[d].uuid && strcmp(c->gpus[d].uuid, name) == 0;
        if (!is_uuid && strcmp(c->gpus[d].name, name) != 0)
            continue;
        ask->device_mask |= 1U << d;
        return true;
    }
    return fail_name(ex, "device", name, gpu_at, c->gpu_count);
}

static bool read_names(struct exchange *ex, const json_t *lease, const char *what, size_t max,
                       struct core_lease_ask *ask,
                       bool (*take)(struct exchange *ex, const char *name,
                                    struct core_lease_ask *ask))
{
    const json_t *list = member(lease, what);
    bool sound = !list || (json_is_array(list) && json_array_size(list) <= max);
    for (size_t i = 0; sound && i < json_array_size(list); i++)
        sound = json_is_string(json_array_get(list, i));
    if (!sound) {
        struct buf detail = {0};
        buf_printf(&detail, "\"%s\" must be a list of %zu names at most", what, max);
        return fail(ex, &detail);
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!take(ex, json_string_value(json_array_get(list, i)), ask))
            return false;
    return true;
}

/* ---- numbers ---- */

/* As in `vram` of the configuration, or a number of bytes. */
static bool read_bytes(struct exchange *ex, const json_t *lease, struct core_lease_ask *ask)
{
    const json_t *vram = member(lease, "vram");
    if (json_is_integer(vram) && json_integer_value(vram) >= 0)
        ask->bytes = (uint64_t)json_integer_value(vram);
    else if (vram &&
             !(json_is_string(vram) && units_parse_bytes(json_string_value(vram), &ask->bytes))) {
        api_fail_body(ex, "\"vram\" must be a size such as \"6GiB\", or a number of bytes");
        return false;
    }
    return true;
}

static bool read_devices(struct exchange *ex, const json_t *lease, struct core_lease_ask *ask)
{
    const json_t *gpus = member(lease, "gpus");
    const struct config *c = ex->server->roster.current->config;
    uint32_t count = c->gpu_count < CORE_DEVICES_MAX ? c->gpu_count : CORE_DEVICES_MAX;
    if (gpus && (!json_is_integer(gpus) || json_integer_value(gpus) < 1 ||
                 json_integer_value(gpus) > CORE_DEVICES_MAX)) {
        api_fail_body(ex, "\"gpus\" must be a number from 1 to 8");
        return false;
    }
    if (!read_names(ex, lease, "devices", CORE_DEVICES_MAX, ask, take_device))
        return false;
    if (!ask->bytes) {
        ask->device_mask = 0;
        return true;
    }
    ask->device_count = gpus ? (uint32_t)json_integer_value(gpus) : 1;
    if (!ask->device_mask)
        ask->device_mask = (1U << count) - 1;
    return true;
}

/* A text such as "10m", or a number of seconds; *ret stays when there is none. */
static bool read_duration(struct exchange *ex, const json_t *lease, const char *name,
                          uint64_t ns_min, uint64_t *ret)
{
    const json_t *value = member(lease, name);
    uint64_t ns = 0;
    double seconds = json_number_value(value);
    bool sound = false;
    if (!value)
        return true;
    if (json_is_string(value)) {
        sound = units_parse_duration(json_string_value(value), NS_PER_S, &ns);
    } else if (json_is_number(value) && seconds >= 0 &&
               seconds <= (double)DURATION_NS_MAX / (double)NS_PER_S) {
        sound = true;
        ns = (uint64_t)(seconds * (double)NS_PER_S);
    }
    if (sound && ns >= ns_min && ns <= DURATION_NS_MAX) {
        *ret = ns;
        return true;
    }
    struct buf detail = {0};
    buf_printf(&detail,
               "\"%s\" must be a time such as \"10m\", or a number of seconds, from %s to a year",
               name, ns_min ? "1" : "0");
    return fail(ex, &detail);
}

static bool read_times(struct exchange *ex, const json_t *lease, struct core_lease_ask *ask)
{
    const json_t *revocable = member(lease, "revocable");
    if (revocable && !json_is_boolean(revocable)) {
        api_fail_body(ex, "\"revocable\" must be true or false");
        return false;
    }
    ask->revocable = json_is_true(revocable);
    return read_duration(ex, lease, "wait", 0, &ask->wait_ns_max) &&
           read_duration(ex, lease, "ttl", NS_PER_S, &ask->ttl_ns) &&
           read_duration(ex, lease, "run", NS_PER_S, &ask->run_ns_max) &&
           read_duration(ex, lease, "grace", 0, &ask->grace_ns);
}

bool api_read_lease(struct exchange *ex, const json_t *lease, struct core_lease_ask *ret)
{
    struct core_lease_ask ask = {
        .class = CLASS_BACKGROUND, .wait_ns_max = UINT64_MAX, .grace_ns = GRACE_NS};
    static const char *const members[] = {"name", "vram", "gpus", "devices",   "gates", "class",
                                          "wait", "ttl",  "run",  "revocable", "grace", "pid"};
    bool has_class = member(lease, "class") != NULL;
    if (!api_check_members(ex, lease, "a lease", members, countof(members)) ||
        (has_class && !api_read_class(ex, lease, &ask.class)) || !read_bytes(ex, lease, &ask) ||
        !read_devices(ex, lease, &ask) ||
        !read_names(ex, lease, "gates", CORE_LEASE_GATES_MAX, &ask, take_gate) ||
        !read_times(ex, lease, &ask))
        return false;
    if (!ask.bytes && !ask.gate_count) {
        api_fail_body(ex, "a lease asks for \"vram\", \"gates\", or both");
        return false;
    }
    *ret = ask;
    return true;
}
