/* What the core's notices say as events: where a model was and is, what became of the devices'
 * memory, why it went wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/tell/notices.h"
#include "server_world.h"

static const char config[] =
    "gpus: [{sim: {name: left, memory: 4GiB}}, {sim: {name: right, memory: 4GiB}}]\n"
    "routing: {router: {use: fit}}\n"
    "models: {m: {cmd: 'x ${PORT}', maxLoadRetries: 2, devices: {cuda: {vram: 1GiB}, cpu: {}}}}\n";

static void step_config(void *arg, const struct core_config *core)
{
    struct server *s = arg;
    runner_event(&s->runner, (struct event){.type = EVENT_CONFIG, .config = core});
}

static struct server *begin(void)
{
    struct server *s = server_world_new(config);
    roster_configure(&s->roster, step_config, s);
    return s;
}

static void tell(struct server *s, enum notice notice, uint32_t placement, uint32_t devices)
{
    notices_publish(s, &(struct effect){.type = EFFECT_NOTICE,
                                        .notice = notice,
                                        .reason = REASON_COMMAND,
                                        .model = 0,
                                        .other = CORE_SLOT_NONE,
                                        .placement = placement,
                                        .devices = devices,
                                        .device = devices & 1   ? 0
                                                  : devices & 2 ? 1
                                                                : CORE_SLOT_NONE,
                                        .bytes = devices ? GIB : 0});
}

/* What a notice without a place is: the core gives none to what has gone. */
static void tell_bare(struct server *s, enum notice notice)
{
    tell(s, notice, CORE_SLOT_NONE, 0);
}

/* The details of the newest event, which is of that type. */
static void expect(const struct server *s, const char *type, const char *details)
{
    const struct feed_item *item = &s->events.items[(s->events.next - 1) % FEED_ITEMS_MAX];
    assert_string_equal(item->type, type);
    const char *said = strstr(item->text, "\"details\":");
    assert_non_null(said);
    said += strlen("\"details\":");
    if (strncmp(said, details, strlen(details)) != 0 || strcmp(said + strlen(details), "}") != 0)
        fail_msg("%s says\n%s}\nnot\n%s", type, said, details);
}

#define WHY "\"model\":\"m\",\"reason\":\"commanded\""
#define ON_LEFT "\"placement\":\"cuda\",\"device\":\"left\",\"devices\":[\"left\"]"
#define BYTES ",\"bytes\":1073741824"
#define UNREAD(device) "{\"device\":\"" device "\",\"before_bytes\":null,\"after_bytes\":null}"
#define VRAM_LEFT ",\"vram\":[" UNREAD("left") "]"

static void test_moves(void **state)
{
    (void)state;
    struct server *s = begin();
    tell(s, NOTICE_MODEL_LOADING, 0, 1);
    expect(s, "model_loading", "{" WHY "," ON_LEFT BYTES "}");
    tell(s, NOTICE_MODEL_LOADED, 0, 1);
    expect(s, "model_loaded", "{" WHY "," ON_LEFT BYTES VRAM_LEFT "}");
    tell(s, NOTICE_MOVING, 1, 0);
    expect(s, "moving", "{" WHY ",\"from\":\"cuda\",\"to\":\"cpu\"}");
    tell(s, NOTICE_DEVICE_CHANGED, 1, 0);
    expect(s, "device_changed", "{" WHY ",\"from\":\"cuda\",\"to\":\"cpu\"" VRAM_LEFT "}");
    tell(s, NOTICE_MOVING, 0, 2);
    expect(s, "moving",
           "{" WHY ",\"from\":\"cpu\",\"to\":\"cuda\",\"device\":\"right\","
           "\"devices\":[\"right\"]" BYTES "}");
    /* It did not come there, and tries again. */
    tell_bare(s, NOTICE_OP_FAILED);
    expect(s, "op_failed", "{\"model\":\"m\",\"what\":\"move\",\"reason\":\"commanded\"}");
    tell(s, NOTICE_MOVING, 0, 2);
    tell(s, NOTICE_DEVICE_CHANGED, 0, 2);
    expect(s, "device_changed",
           "{" WHY ",\"from\":\"cpu\",\"to\":\"cuda\",\"device\":\"right\","
           "\"devices\":[\"right\"]" BYTES ",\"vram\":[" UNREAD("right") "]}");
    /* It ended by itself. */
    tell_bare(s, NOTICE_MODEL_UNLOADED);
    expect(s, "model_unloaded",
           "{" WHY
           ",\"placement\":\"cuda\",\"devices\":[\"right\"],\"vram\":[" UNREAD("right") "]}");
    server_world_free(s);
}

static void test_sleeps(void **state)
{
    (void)state;
    struct server *s = begin();
    tell(s, NOTICE_MODEL_LOADED, 0, 1); /* it was there before the daemon */
    expect(s, "model_loaded", "{" WHY "," ON_LEFT BYTES VRAM_LEFT "}");
    tell(s, NOTICE_SUSPENDING, 0, 1);
    expect(s, "suspending", "{" WHY "," ON_LEFT BYTES "}");
    tell(s, NOTICE_SUSPENDED, 0, 1);
    expect(s, "suspended", "{" WHY "," ON_LEFT BYTES VRAM_LEFT "}");
    tell(s, NOTICE_RESUMING, 0, 1);
    expect(s, "resuming", "{" WHY "," ON_LEFT BYTES "}");
    tell_bare(s, NOTICE_OP_FAILED);
    expect(s, "op_failed", "{\"model\":\"m\",\"what\":\"resume\",\"reason\":\"commanded\"}");
    tell(s, NOTICE_RESUMING, 0, 1);
    tell(s, NOTICE_RESUMED, 0, 1);
    expect(s, "resumed", "{" WHY "," ON_LEFT BYTES VRAM_LEFT "}");
    tell_bare(s, NOTICE_STUCK);
    expect(s, "stuck", "{" WHY ",\"placement\":\"cuda\",\"devices\":[\"left\"]}");
    server_world_free(s);
}

/* What went wrong with an op is said with it, and not with the next one. */
static void test_errors(void **state)
{
    (void)state;
    struct server *s = begin();
    struct roster_entry *e = &s->roster.entries[0];
    tell(s, NOTICE_MODEL_LOADING, 0, 1);
    e->last_error = alloc_text("no such file");
    tell_bare(s, NOTICE_LOAD_FAILED);
    expect(s, "load_failed",
           "{" WHY ",\"placement\":\"cuda\",\"devices\":[\"left\"],\"error\":\"no such file\"}");
    tell(s, NOTICE_OOM, 0, 1);
    expect(s, "oom", "{" WHY "," ON_LEFT ",\"had_bytes\":1073741824" BYTES "}");
    tell(s, NOTICE_MODEL_LOADED, 0, 1);
    tell(s, NOTICE_SUSPENDING, 0, 1);
    tell_bare(s, NOTICE_OP_FAILED);
    expect(s, "op_failed", "{\"model\":\"m\",\"what\":\"suspend\",\"reason\":\"commanded\"}");
    tell(s, NOTICE_MOVING, 1, 0);
    e->last_error = alloc_text("it lies");
    tell_bare(s, NOTICE_OP_FAILED);
    expect(s, "op_failed",
           "{\"model\":\"m\",\"what\":\"move\",\"reason\":\"commanded\","
           "\"error\":\"it lies\"}");
    server_world_free(s);
}

static void test_leases(void **state)
{
    (void)state;
    struct server *s = begin();
    struct effect e = {.type = EFFECT_NOTICE,
                       .notice = NOTICE_LEASE_GRANTED,
                       .model = CORE_SLOT_NONE,
                       .other = CORE_SLOT_NONE,
                       .placement = CORE_SLOT_NONE,
                       .device = 1,
                       .devices = 3,
                       .bytes = GIB,
                       .duration_ns = 1500 * NS_PER_MS};
    notices_publish(s, &e);
    expect(s, "lease_granted", "{\"devices\":[\"left\",\"right\"]" BYTES ",\"seconds\":1.500}");
    e = (struct effect){.type = EFFECT_NOTICE,
                        .notice = NOTICE_LEASE_REVOKED,
                        .reason = REASON_EVICTED,
                        .model = CORE_SLOT_NONE,
                        .other = 0,
                        .placement = CORE_SLOT_NONE,
                        .device = CORE_SLOT_NONE};
    notices_publish(s, &e);
    assert_true(server_world_told(s, "lease_revoked", "\"for_model\":\"m\""));
    e.notice = NOTICE_LEASE_ENDED;
    e.other = CORE_SLOT_NONE;
    notices_publish(s, &e);
    assert_true(server_world_told(s, "lease_ended", "\"reason\":"));
    e.notice = NOTICE_STARVING;
    e.reason = REASON_NONE;
    e.duration_ns = 300 * NS_PER_S;
    notices_publish(s, &e);
    expect(s, "starving", "{\"seconds\":300.000}");
    server_world_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_moves), cmocka_unit_test(test_sleeps),
                                       cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_leases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
