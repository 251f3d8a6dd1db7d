/* A lease's life between the core and its holder: what is kept of it and when, what is left of it
 * after its end, and the slots of its gates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config_folder.h"
#include "server/leases/leases_priv.h"
#include "server_world.h"

static const char config[] = "gpus: [{sim: {name: left, memory: 4GiB}, limit: 1}]\n"
                             "routing: {router: {use: fit}}\n"
                             "gates: {mlx: {limit: 1}, tts: {limit: 1}}\n"
                             "models: {m: {cmd: 'x ${PORT}', vram: 1GiB}}\n";

static struct folder folder;

static void step_config(void *arg, const struct core_config *core)
{
    struct server *s = arg;
    runner_event(&s->runner, (struct event){.type = EVENT_CONFIG, .config = core});
}

/* A daemon with that state folder, up to where leases are given back. */
static struct server *begin(void)
{
    struct server *s = server_world_new(config);
    struct err err = {0};
    free(s->state_dir);
    s->state_dir = alloc_text(folder.path);
    auto_free char *path = alloc_printf("%s/records", folder.path);
    assert_int_equal(records_open(&s->records, path, NULL, &err), 0);
    roster_configure(&s->roster, step_config, s);
    runner_event(&s->runner, (struct event){.type = EVENT_DEVICE_FOUND,
                                            .found = {.device = 0, .total_bytes = 4 * GIB}});
    assert_int_equal(leases_restore(s, &err), 0);
    runner_event(&s->runner, (struct event){.type = EVENT_BOOT_DONE});
    return s;
}

/* One that nobody holds, as if its connection were being made. */
static struct lease *ask(struct server *s, const char *id, uint64_t bytes, const char *gate)
{
    struct lease *l = lease_new(s);
    struct core_lease_ask terms = {.class = CLASS_BACKGROUND,
                                   .bytes = bytes,
                                   .device_mask = bytes ? 1 : 0,
                                   .device_count = bytes ? 1 : 0,
                                   .wait_ns_max = UINT64_MAX};
    assert_non_null(l);
    if (gate) {
        terms.gates[0] = roster_find_gate(&s->roster, gate);
        terms.gate_count = 1;
        assert_int_not_equal(terms.gates[0], CORE_SLOT_NONE);
    }
    snprintf(l->id, sizeof(l->id), "%s", id);
    memset(l->token, 'f', LEASE_TOKEN_MAX - 1);
    l->name = alloc_text(id);
    lease_set_ask(l, &terms);
    runner_event(&s->runner, (struct event){.type = EVENT_LEASE_ASKED,
                                            .lease = {.tag = leases_tag(l), .ask = &l->ask}});
    return l;
}

static uint32_t kept(const struct server *s)
{
    uint32_t cursor = 0, count = 0;
    struct record r;
    while (records_next(&s->records, &cursor, &r))
        count++;
    return count;
}

static const struct lease *named(struct server *s, const char *name)
{
    const struct lease *l = NULL;
    while ((l = leases_next(s, l)))
        if (strcmp(leases_name(l), name) == 0)
            return l;
    return NULL;
}

static uint64_t leased(const struct server *s)
{
    struct core_device_view v;
    core_view_device(s->runner.core, 0, &v);
    return v.leased_bytes;
}

static uint64_t settling(const struct server *s)
{
    struct core_device_view v;
    core_view_device(s->runner.core, 0, &v);
    return v.settling_bytes;
}

static int make_folder(void **state)
{
    (void)state;
    folder = folder_new();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    folder_remove(&folder);
    return 0;
}

static void test_what_is_granted_is_kept(void **state)
{
    (void)state;
    struct server *s = begin();
    struct lease *a = ask(s, "a", 3 * GIB, "mlx");
    assert_int_equal(a->phase, PHASE_GRANTED);
    /* Before anybody could have been told. */
    assert_int_equal(kept(s), 1);
    struct lease *b = ask(s, "b", 2 * GIB, NULL), *c = ask(s, "c", 0, "mlx");
    assert_int_equal(b->phase, PHASE_WAITING);
    assert_int_equal(c->phase, PHASE_WAITING);
    assert_int_equal(kept(s), 1);
    assert_int_equal(lease_position(b), 1);
    assert_int_equal(lease_position(c), 1);
    assert_true(
        server_world_told(s, "lease_granted", "\"gates\":[\"mlx\"],\"devices\":[\"left\"]"));
    leases_end(c, "test");
    leases_end(b, "test");
    assert_null(named(s, "b"));
    assert_int_equal(kept(s), 1);
    server_world_free(s);
}

static void test_bytes_stay_until_its_processes_are_gone(void **state)
{
    (void)state;
    struct server *s = begin();
    struct lease *a = ask(s, "a", 3 * GIB, "mlx");
    leases_end(a, "test");
    assert_int_equal(a->phase, PHASE_REMAINS);
    assert_int_equal(settling(s), 3 * GIB); /* once */
    assert_int_equal(leased(s), 0);
    assert_int_equal(kept(s), 1);
    assert_null(leases_find(s, "a", 1));
    assert_true(server_world_told(s, "lease_ended", "\"lease\":\"a\""));
    /* Its slot is free, its memory is not. */
    assert_int_equal(ask(s, "b", 0, "mlx")->phase, PHASE_GRANTED);
    assert_int_equal(ask(s, "c", 3 * GIB, NULL)->phase, PHASE_WAITING);
    while (named(s, "a"))
        assert_true(uv_run(s->loop, UV_RUN_ONCE));
    assert_int_equal(kept(s), 1); /* b */
    /* What was there for its processes alone is nobody's news. */
    uint32_t ends = 0;
    for (uint64_t id = s->events.first; id < s->events.next; id++)
        ends += strcmp(s->events.items[id % FEED_ITEMS_MAX].type, "lease_ended") == 0;
    assert_int_equal(ends, 1);
    server_world_free(s);
}

static void test_the_next_daemon_has_it(void **state)
{
    (void)state;
    struct server *s = begin();
    ask(s, "a", 3 * GIB, "mlx");
    ask(s, "waits", 0, "mlx");
    server_world_free(s);
    s = begin();
    struct lease *a = leases_find(s, "a", 1);
    assert_non_null(a);
    assert_true(leases_is_granted(a));
    assert_null(leases_find(s, "waits", 5));
    assert_int_equal(leased(s), 3 * GIB);
    assert_int_equal(ask(s, "b", 0, "mlx")->phase, PHASE_WAITING);
    assert_int_equal(ask(s, "c", 2 * GIB, NULL)->phase, PHASE_WAITING);
    struct lease_view v;
    leases_look(s, a, &v);
    assert_int_equal(v.devices, 1);
    assert_false(v.held);
    assert_true(v.expires_ns > uv_hrtime());
    assert_true(leases_opens(a, "ffffffffffffffffffffffffffffffff", 32));
    assert_false(leases_opens(a, "ffffffffffffffffffffffffffffffff", 31));
    assert_false(leases_opens(a, "fffffffffffffffffffffffffffffffe", 32));
    leases_end(a, "test");
    server_world_free(s);
    /* It had ended, and its processes may still be there. */
    s = begin();
    assert_int_equal(named(s, "a")->phase, PHASE_REMAINS);
    assert_int_equal(leased(s), 3 * GIB);
    server_world_free(s);
}

static void test_too_many(void **state)
{
    (void)state;
    struct server *s = begin();
    for (int i = 0; i < LEASES_MAX; i++)
        assert_non_null(lease_new(s));
    assert_null(lease_new(s));
    server_world_free(s);
}

static void reload(struct server *s, const char *text)
{
    struct config_report report = {0};
    struct config *c = config_load_text("test", text, strlen(text), &report);
    config_report_fini(&report);
    assert_non_null(c);
    assert_true(roster_apply(&s->roster, c));
    roster_configure(&s->roster, step_config, s);
}

static void test_gates_keep_their_slots(void **state)
{
    (void)state;
    struct server *s = begin();
    struct lease *a = ask(s, "a", 0, "tts");
    uint32_t tts = a->ask.gates[0], mlx = roster_find_gate(&s->roster, "mlx");
    reload(s, "gates: {aaa: {limit: 3}, zzz: {}}\nmodels: {m: {cmd: 'x ${PORT}'}}\n");
    assert_int_equal(roster_find_gate(&s->roster, "tts"), CORE_SLOT_NONE);
    assert_string_equal(roster_gate(&s->roster, tts), "tts");
    assert_int_equal(s->roster.gates[tts].policy.limit, 1);
    /* The one that nobody stands at gave its slot away. */
    assert_int_equal(roster_find_gate(&s->roster, "aaa"), mlx);
    assert_int_not_equal(roster_find_gate(&s->roster, "zzz"), tts);
    assert_int_equal(s->roster.gates[mlx].policy.limit, 3);
    leases_end(a, "test");
    reload(s, "gates: {aaa: {limit: 3}, zzz: {}, new: {}}\nmodels: {m: {cmd: 'x ${PORT}'}}\n");
    assert_int_equal(roster_find_gate(&s->roster, "new"), tts);
    server_world_free(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_granted_is_kept), TEST(test_bytes_stay_until_its_processes_are_gone),
        TEST(test_the_next_daemon_has_it),  TEST(test_too_many),
        TEST(test_gates_keep_their_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
