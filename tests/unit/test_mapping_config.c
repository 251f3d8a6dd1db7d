/* A configuration in the core's words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "config_text.h"
#include "mapping/mapping.h"

#define GPUS "gpus: [{sim: {name: x, memory: 8GiB}}, {sim: {name: y, memory: 8GiB}}]\n"

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
    struct config *c = config_of(policies);
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
    struct config *c = config_of(policies);
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

static const struct core_model_policy *map_model(struct mapping *m, const struct config *c,
                                                 uint32_t model)
{
    struct mapping_devices devices;
    mapping_find_devices(c, &devices);
    mapping_init(m, c, &devices, NULL, c->model_count, true);
    return &m->models[model];
}

/* "device_mask/device_count/MiB of bytes/GiB of free_bytes_min=name", for each placement. */
static const struct {
    const char *rule, *text;
    const char *placements;
    bool movable, yields, suspends;
    uint32_t backend;
} residents[] = {
    {"a process", GPUS "models: {m: {cmd: 'x ${PORT}', vram: 1GiB}}", "3/1/1024/0=gpu ", false,
     false, false, 0},
    {"a worker",
     GPUS "models: {m: {backend: worker, devices: {cuda: {vram: 500MiB, minFree: 2GiB}, cpu: {}}}}",
     "3/1/500/2=cuda 0/0/0/0=cpu ", true, true, false, 0},
    {"one that stays where there is room",
     GPUS "models: {m: {backend: worker, yield: need, devices: {cpu: {}, cuda: {}}}}",
     "0/0/0/0=cpu 3/1/0/1=cuda ", true, false, false, 0},
    {"one on the host", GPUS "models: {m: {backend: worker}}", "0/0/0/0=cpu ", false, false, false,
     0},
    {"a process with variants",
     GPUS "models: {m: {cmd: 'x ${PORT}', devices: {y: {vram: 3GiB}, rocm: {vram: 3GiB, gpuCount: "
          "2}}}}",
     "2/1/3072/0=y 3/2/1536/0=rocm ", true, false, false, 0},
    {"wished GPUs",
     GPUS
     "models: {m: {backend: worker, devices: {cpu: {}, y: {vram: 1GiB}, cuda: {vram: 2GiB}}}}\n"
     "modes: {a: {m: x}, b: {m: y}, c: {m: 1}, d: {m: 0}}",
     "0/0/0/0=cpu 2/1/1024/1=y 3/1/2048/1=cuda 1/1/2048/1=x ", true, true, false, 0},
    {"GPUs that were not found are dropped",
     "gpus: [{}, {sim: {name: y, memory: 8GiB}}]\n"
     "models: {m: {backend: worker, devices: {left: {gpus: [0]}, y: {}, other: {}, cpu: {}}}}",
     "2/1/0/1=y 0/0/0/0=cpu ", true, true, false, 0},
    {"no GPU at all", "models: {m: {backend: worker, devices: {cuda: {vram: 1GiB}, cpu: {}}}}",
     "0/0/0/0=cpu ", false, false, false, 0},
    {"nowhere to go", "gpus: [{}]\nmodels: {m: {backend: worker, devices: {left: {vram: 1GiB}}}}",
     "255/9/1024/1=left ", false, false, false, 0},
    {"nowhere to go yet", "gpus: [{}]\nmodels: {m: {cmd: 'x ${PORT}', vram: 1GiB}}",
     "1/1/1024/0=gpu ", false, false, false, 0},
    {"sleep", GPUS "models: {m: {cmd: 'x ${PORT}', vram: 1GiB, suspend: vllm}}", "3/1/1024/0=gpu ",
     false, false, true, 0},
    {"sleep that does not work yet",
     GPUS "models: {m: {cmd: 'x ${PORT}', vram: 1GiB, suspend: cuda}}", "3/1/1024/0=gpu ", false,
     false, false, 0},
    {"endpoints",
     GPUS
     "models: {a: {backend: ollama}, m: {backend: ollama, endpoint: 'http://h:1', vram: 1GiB}}",
     "3/1/1024/0=gpu ", false, false, false, 2},
};

/* The model m is the last one. */
static void maps_residents(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(residents); i++) {
        struct config *c = config_of(residents[i].text);
        struct mapping m;
        struct buf text = {0};
        uint32_t model = c->model_count - 1;
        const struct core_model_policy *p = map_model(&m, c, model);
        buf_text(&text, "");
        for (uint32_t k = 0; k < p->placement_count; k++) {
            const struct core_placement *place = &p->placements[k];
            const char *name = mapping_placement_name(c, model, k);
            buf_printf(&text, "%u/%u/%llu/%llu=%s ", place->device_mask, place->device_count,
                       (unsigned long long)(place->bytes / MIB),
                       (unsigned long long)(place->free_bytes_min / GIB), name);
            assert_int_equal(mapping_placement_find(c, model, name), k);
        }
        if (strcmp(text.data, residents[i].placements) != 0)
            fail_msg("%s: %s instead of %s", residents[i].rule, text.data, residents[i].placements);
        assert_null(mapping_placement_name(c, model, p->placement_count));
        if (p->movable != residents[i].movable || p->yields != residents[i].yields ||
            p->suspends != residents[i].suspends || p->backend != residents[i].backend)
            fail_msg("%s: movable %d yields %d suspends %d backend %u", residents[i].rule,
                     p->movable, p->yields, p->suspends, p->backend);
        buf_fini(&text);
        mapping_fini(&m);
        config_free(c);
    }
}

/* Nothing can be moved where nothing is planned by bytes; but all can sleep. */
static void maps_residents_without_fit(void **state)
{
    struct config *c =
        config_of("models: {m: {cmd: 'x ${PORT}', suspend: vllm, devices: {cuda: {}, cpu: "
                  "{}}, yield: always}}\n" GPUS);
    struct mapping_devices devices;
    struct mapping m;
    (void)state;
    mapping_find_devices(c, &devices);
    mapping_init(&m, c, &devices, NULL, 1, false);
    assert_int_equal(m.models[0].placement_count, 0);
    assert_false(m.models[0].movable || m.models[0].yields);
    assert_true(m.models[0].suspends);
    mapping_fini(&m);
    config_free(c);
}

static void finds_placements(void **state)
{
    static const struct {
        const char *device;
        uint32_t placement;
    } cases[] = {{"cpu", 0},
                 {"y", 1},
                 {"1", 1},
                 {"cuda", 2},
                 {"x", 3},
                 {"0", 3},
                 {"2", CORE_SLOT_NONE},
                 {"z", CORE_SLOT_NONE},
                 {"", CORE_SLOT_NONE}};
    struct config *c =
        config_of(GPUS "models: {m: {backend: worker, devices: {cpu: {}, y: {}, cuda: {}}}}\n"
                       "modes: {a: {m: x}}");
    (void)state;
    for (size_t i = 0; i < countof(cases); i++)
        assert_int_equal(mapping_placement_find(c, 0, cases[i].device), cases[i].placement);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(mapping_placement_variant(c, 0, i), i);
    assert_int_equal(mapping_placement_variant(c, 0, 3), 2); /* a mode's, as a copy of cuda */
    config_free(c);
}

/* The devices are what the caller says, by whatever name. */
static void maps_by_the_devices_given(void **state)
{
    struct config *c =
        config_of("gpus: [{}, {}]\nmodels: {m: {backend: worker, devices: {a: {gpus: "
                  "[GPU-1234]}, b: {gpus: [RTX]}, cpu: {}}}}\n");
    struct mapping_devices devices = {
        .items = {{.name = "RTX", .uuid = "GPU-1", .present = true, .limit_permille = 900},
                  {.name = "GTX", .uuid = "GPU-1234", .present = true, .reserve_bytes = 7}},
        .count = 2};
    struct mapping m;
    (void)state;
    mapping_init(&m, c, &devices, NULL, 1, true);
    assert_int_equal(m.core.device_count, 2);
    assert_int_equal(m.devices[0].limit_permille, 900);
    assert_int_equal(m.devices[1].reserve_bytes, 7);
    assert_int_equal(m.models[0].placement_count, 3);
    assert_int_equal(m.models[0].placements[0].device_mask, 2);
    assert_int_equal(m.models[0].placements[1].device_mask, 1);
    mapping_fini(&m);
    devices.items[1].present = false;
    mapping_init(&m, c, &devices, NULL, 1, true);
    assert_int_equal(m.models[0].placement_count, 2);
    assert_int_equal(m.models[0].placements[0].device_mask, 1);
    mapping_fini(&m);
    /* Without that table none of them has been found. */
    assert_int_equal(mapping_dropped(c, 0), 3);
    config_free(c);
}

/* A wish for what is not there means any place. */
static void maps_wishes_for_variants(void **state)
{
    static const uint32_t placements[] = {0, 1, 2, CORE_SLOT_NONE, 0, 1};
    struct config *c = config_of(
        "gpus: [{}, {sim: {name: y, memory: 8GiB}}, {sim: {name: z, memory: 8GiB}}]\n"
        "models: {m: {backend: worker, devices: {left: {gpus: [0]}, y: {}, cpu: {}, cuda: {}}}}\n"
        "modes: {a: {m: y}, b: {m: cpu}, c: {m: cuda}, d: {m: left}, e: {m: 1}, f: {m: cpu}}");
    (void)state;
    assert_int_equal(mapping_dropped(c, 0), 1);
    for (size_t i = 0; i < countof(placements); i++) {
        struct core_wish *w = mapping_wishes(c, &c->modes[i], NULL);
        assert_int_equal(w[0].what, WISH_LOADED);
        assert_int_equal(w[0].placement, placements[i]);
        free(w);
    }
    config_free(c);
}

static void maps_a_matrix(void **state)
{
    struct config *c = config_of("matrix: {evict_costs: {b: 9}, sets: {s: 'a & (b | c)'}}\n"
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
        cmocka_unit_test(maps_residents),
        cmocka_unit_test(maps_residents_without_fit),
        cmocka_unit_test(finds_placements),
        cmocka_unit_test(maps_by_the_devices_given),
        cmocka_unit_test(maps_wishes_for_variants),
        cmocka_unit_test(maps_a_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
