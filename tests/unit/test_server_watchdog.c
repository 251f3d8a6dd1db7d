/* Those who wait for nothing: when that is told, what is tried, and whom it is said to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/leases/leases_priv.h"
#include "server_world.h"

#define LOOK_NS (5 * NS_PER_S)

/* Looks every five seconds; what is due, a letter a look. */
static void look(struct watchdog *w, uint64_t *now, const char *still, const char *wanted)
{
    static const char letters[] = {[WATCHDOG_WELL] = '.',
                                   [WATCHDOG_RETRY] = 't',
                                   [WATCHDOG_UNWELL] = 'u',
                                   [WATCHDOG_REFUSE] = 'r'};
    char got[64] = "";
    for (size_t i = 0; still[i]; i++) {
        *now += LOOK_NS;
        got[i] = letters[watchdog_look(w, still[i] == 's', *now)];
    }
    assert_string_equal(got, wanted);
}

static void test_times(void **state)
{
    (void)state;
    struct watchdog w = {.said = WATCHDOG_WELL};
    uint64_t now = NS_PER_S;
    w.looked_ns = now;
    look(&w, &now, "--ssssss-", "........."); /* 25 s are nothing */
    look(&w, &now, "sssssssssssss", "......t.....u");
    assert_int_equal(w.said, WATCHDOG_UNWELL);
    look(&w, &now, "ssssssssssss", "...........r");
    look(&w, &now, "ssssssssssssssssssssssss", "........................");
    look(&w, &now, "-ssssss", ".......");
    assert_int_equal(w.said, WATCHDOG_WELL);
    look(&w, &now, "ss", "t.");
}

static void test_time_in_which_the_daemon_stood_still(void **state)
{
    (void)state;
    struct watchdog w = {.said = WATCHDOG_WELL};
    uint64_t now = NS_PER_S;
    w.looked_ns = now;
    look(&w, &now, "ss", "..");
    now += 3600 * NS_PER_S;
    look(&w, &now, "ssssss", "....t.");
}

static struct lease *wait_for_gate(struct server *s, const char *id)
{
    struct lease *l = lease_new(s);
    struct core_lease_ask terms = {
        .class = CLASS_BACKGROUND, .wait_ns_max = UINT64_MAX, .gate_count = 1};
    terms.gates[0] = roster_find_gate(&s->roster, "mlx");
    snprintf(l->id, sizeof(l->id), "%s", id);
    l->name = alloc_text(id);
    lease_set_ask(l, &terms);
    runner_event(&s->runner, (struct event){.type = EVENT_LEASE_ASKED,
                                            .lease = {.tag = leases_tag(l), .ask = &l->ask}});
    return l;
}

static void step_config(void *arg, const struct core_config *core)
{
    struct server *s = arg;
    runner_event(&s->runner, (struct event){.type = EVENT_CONFIG, .config = core});
}

static void test_acts(void **state)
{
    (void)state;
    struct server *s = server_world_new("gates: {mlx: {limit: 1}}\nmodels: {}\n");
    uint32_t waiting, granted;
    roster_configure(&s->roster, step_config, s);
    runner_event(&s->runner, (struct event){.type = EVENT_BOOT_DONE});
    s->boot.over = true;
    wait_for_gate(s, "inside");
    wait_for_gate(s, "first");
    wait_for_gate(s, "second");
    leases_count(s, &waiting, &granted);
    assert_int_equal(waiting * 10 + granted, 21);
    assert_null(watchdog_unready(s));
    s->watchdog.since_ns = 1;
    s->watchdog.looked_ns = 31 * NS_PER_S;
    watchdog_act(s, WATCHDOG_RETRY);
    assert_true(
        server_world_told(s, "no_progress", "{\"requests\":0,\"leases\":2,\"seconds\":30}"));
    s->watchdog.said = WATCHDOG_UNWELL;
    assert_string_equal(watchdog_unready(s), "no progress");
    assert_true(watchdog_is_unwell(s));
    leases_count(s, &waiting, &granted);
    assert_int_equal(waiting, 2);
    watchdog_act(s, WATCHDOG_REFUSE);
    leases_count(s, &waiting, &granted);
    assert_int_equal(waiting * 10 + granted, 1); /* whoever has something keeps it */
    s->stopping = true;
    assert_string_equal(watchdog_unready(s), "stopping");
    server_world_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_time_in_which_the_daemon_stood_still),
        cmocka_unit_test(test_acts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
