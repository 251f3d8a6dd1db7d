/* A configuration in the core's words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "mapping/mapping.h"

static struct config *load(const char *text)
{
    struct config_report report = {0};
    struct config *c = config_load_text("test", text, strlen(text), &report);
    if (!c)
        fail_msg("%s", report.text.data);
    config_report_fini(&report);
    return c;
}

static const char policies[] =
    "gpus: [{sim: {name: x, memory: 8GiB}, reserve: 1GiB, limit: 0.5, sample: 2s},"
    "  {sim: {name: y, memory: 8GiB}}]\n"
    "classes: {foreground: {maxWait: 1s}, normal: {maxWait: 2s}, background: {maxWait: never}}\n"
    "host: {suspendBudget: 3GiB}\n"
    "gates: {mlx: {limit: 2, maxWait: 5s}, disk: {limit: 1}}\n"
    "routing: {scheduler: {use: fair, settings: {fair: {minResident: 3s, maxServe: 4s}}}}\n"
    "modes: {left: {b: x}, right: {b: y, a: unloaded}, any: {b: loaded}}\n"
    "models:\n"
    "  a: {cmd: 'x ${PORT}', vram: 5GiB, gpuCount: 2, pin: true, maxLoadRetries: 3, maxQueue: 7}\n"
    "  b: {cmd: 'x ${PORT}', vram: auto, gpus: [y, x]}\n"
    "  c: {cmd: 'x ${PORT}', vram: 0}\n";

static void maps_policies(void **state)
{
    struct config *c = load(policies);
    const uint32_t slots[] = {4, 1, 2};
    struct mapping_devices devices;
    struct mapping m;
    (void)state;
    mapping_find_devices(c, &devices);
    mapping_init(&m, c, &devices, slots, 5, true);
    assert_int_equal(m.core.sched, SCHEDULER_FAIR);
    assert_int_equal(m.core.plan, PLAN_FIT);
    assert_int_equal(m.core.fair.wait_ns_max[CLASS_FOREGROUND], 1 * NS_PER_S);
    assert_int_equal(m.core.fair.wait_ns_max[CLASS_NORMAL], 2 * NS_PER_S);
    assert_int_equal(m.core.fair.wait_ns_max[CLASS_BACKGROUND], 0);
    assert_int_equal(m.core.fair.min_resident_ns, 3 * NS_PER_S);
    assert_int_equal(m.core.fair.serve_ns_max, 4 * NS_PER_S);
    assert_int_equal(m.core.suspend_bytes_max, 3 * GIB);
    assert_int_equal(m.core.device_count, 2);
    assert_int_equal(m.devices[0].reserve_bytes, GIB);
    assert_int_equal(m.devices[0].limit_permille, 500);
    assert_int_equal(m.devices[0].stale_ns, 10 * NS_PER_S);
    assert_int_equal(m.core.gate_count, 2);
    assert_int_equal(m.gates[1].limit, 2);
    assert_int_equal(m.gates[1].wait_ns_max[CLASS_BACKGROUND], 5 * NS_PER_S);
    assert_int_equal(m.core.model_count, 5);
    assert_false(m.models[0].present || m.models[3].present);
    const struct core_model_policy *a = &m.models[4], *b = &m.models[1];
    assert_true(a->pinned);
    assert_int_equal(a->load_retries_max, 3);
    assert_int_equal(a->queue_max, 7);
    assert_int_equal(a->placement_count, 1);
    assert_int_equal(a->placements[0].device_count, 2);
    assert_int_equal(a->placements[0].bytes, GIB * 5 / 2);
    assert_int_equal(b->placement_count, 3);
    assert_int_equal(b->placements[0].device_mask, 3);
    assert_int_equal(b->placements[1].device_mask, 1);
    assert_int_equal(b->placements[2].device_mask, 2);
    assert_int_equal(b->placements[0].bytes, 0);
    assert_int_equal(m.models[2].placement_count, 0);
    mapping_fini(&m);
    config_free(c);
}

/* The modes are any, idle, left, right. */
static void maps_wishes(void **state)
{
    struct config *c = load(policies);
    const uint32_t slots[] = {4, 1, 2};
    const uint32_t placements[] = {CORE_SLOT_NONE, 0, 1};
    (void)state;
    assert_int_equal(c->mode_count, 4);
    for (uint32_t i = 0; i < 3; i++) {
        struct core_wish *w = mapping_wishes(c, &c->modes[i], slots);
        assert_int_equal(c->modes[i].wish_count, i != 1);
        if (i != 1) {
            assert_int_equal(w[0].model, 1);
            assert_int_equal(w[0].what, WISH_LOADED);
            assert_int_equal(w[0].placement, placements[i]);
        }
        free(w);
    }
    struct core_wish *w = mapping_wishes(c, &c->modes[3], NULL);
    assert_int_equal(w[0].model, 1);
    assert_int_equal(w[0].placement, 2);
    assert_int_equal(w[1].model, 0);
    assert_int_equal(w[1].what, WISH_UNLOADED);
    assert_int_equal(w[1].placement, CORE_SLOT_NONE);
    free(w);
    config_free(c);
}

static void maps_a_matrix(void **state)
{
    struct config *c = load("matrix: {evict_costs: {b: 9}, sets: {s: 'a & (b | c)'}}\n"
                            "routing: {scheduler: {use: serial}}\n"
                            "models: {a: {cmd: 'x ${PORT}'}, b: {cmd: 'x ${PORT}'},"
                            "  c: {cmd: 'x ${PORT}'}}\n");
    const uint32_t slots[] = {2, 1, 0};
    struct mapping_devices devices;
    struct mapping m;
    (void)state;
    mapping_find_devices(c, &devices);
    mapping_init(&m, c, &devices, slots, 3, false);
    assert_int_equal(m.core.sched, SCHEDULER_SERIAL);
    assert_int_equal(m.core.plan, PLAN_MATRIX);
    assert_int_equal(m.core.matrix.set_count, 2);
    assert_int_equal(m.core.matrix.ends[0], 2);
    assert_int_equal(m.core.matrix.ends[1], 4);
    const uint32_t members[] = {2, 1, 2, 0};
    assert_memory_equal(m.core.matrix.members, members, sizeof(members));
    assert_int_equal(m.models[1].evict_cost, 9);
    assert_int_equal(m.models[1].placement_count, 0);
    mapping_fini(&m);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_policies),
        cmocka_unit_test(maps_wishes),
        cmocka_unit_test(maps_a_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
