/* `wharf top` without a terminal: shares of a bar, lines of a screen, and what keys mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/top/bars.h"
#include "cli/top/layout.h"
#include "cli/top/sections.h"

static const char status_text[] =
    "{\"version\":\"1.2.3\",\"mode\":\"idle\",\"mode_reached\":true,\"loaded\":1,\"models\":3,"
    "\"in_flight\":2,\"waiting\":1,\"state\":\"serving\",\"degraded\":null,"
    "\"devices\":[{\"name\":\"gpu\",\"present\":true,\"total_bytes\":17179869184,"
    "\"used_bytes\":10737418240,\"own_bytes\":8589934592,\"leased_bytes\":0,"
    "\"settling_bytes\":1073741824,\"foreign_bytes\":2147483648,\"reserved_bytes\":1073741824,"
    "\"utilisation_percent\":37},"
    "{\"name\":\"gone\",\"present\":false,\"total_bytes\":null,\"degraded\":\"it was lost\"}],"
    "\"model_list\":["
    "{\"id\":\"a\",\"state\":\"loaded\",\"devices\":[\"gpu\"],\"footprint_bytes\":8589934592,"
    "\"in_flight\":0,\"waiting\":0,\"pinned\":true,\"placements\":[\"gpu\",\"cpu\"],"
    "\"idle_unload_s\":90,\"last_load_s\":2.5,\"aliases\":[\"first\"],\"operation\":null},"
    "{\"id\":\"b\",\"state\":\"loading\",\"devices\":[],\"in_flight\":0,\"waiting\":3,"
    "\"operation\":{\"what\":\"loading\",\"since_s\":3,\"bytes\":512,\"expected_bytes\":1024,"
    "\"expected_s\":null}},"
    "{\"id\":\"c\",\"state\":\"unloaded\",\"devices\":[],\"in_flight\":2,\"waiting\":0,"
    "\"operation\":null}]}";
static const char queue_text[] =
    "{\"leases\":[],\"queue\":[{\"model\":\"b\",\"class\":\"normal\",\"position\":1,"
    "\"since_s\":4,\"estimate_s\":10,\"for\":\"room\"}]}";
static const char mode_text[] = "{\"mode\":\"idle\",\"modes\":{\"work\":{\"a\":\"loaded\"}}}";

static void know(struct top_known *k)
{
    *k = (struct top_known){.at_ns = NS_PER_S};
    k->status = json_loads(status_text, 0, NULL);
    k->queue = json_loads(queue_text, 0, NULL);
    k->mode = json_loads(mode_text, 0, NULL);
    assert_true(k->status && k->queue && k->mode);
}

/* ---- bars ---- */

static void test_parts(void **state)
{
    (void)state;
    static const struct {
        enum top_part_kind kind;
        const char *label;
        uint64_t gib;
    } want[] = {{TOP_PART_MODEL, "a", 8},
                {TOP_PART_SETTLING, "settling", 1},
                {TOP_PART_FOREIGN, "foreign", 2},
                {TOP_PART_RESERVED, "reserve", 1},
                {TOP_PART_FREE, "free", 4}};
    struct top_known k;
    struct top_bar bar;
    know(&k);
    top_bar_of(k.status, k.queue, json_array_get(json_object_get(k.status, "devices"), 0), &bar);
    assert_int_equal(bar.count, countof(want));
    for (size_t i = 0; i < countof(want); i++) {
        assert_int_equal(bar.parts[i].kind, want[i].kind);
        assert_string_equal(bar.parts[i].label, want[i].label);
        assert_int_equal(bar.parts[i].bytes, want[i].gib * GIB);
    }
    top_known_fini(&k);
}

/* All columns are given, to each its share within one, and one to the smallest. */
static void test_shares(void **state)
{
    (void)state;
    static const uint64_t worlds[][5] = {
        {1, 0, 0, 0, 0}, {1, 1, 1, 0, 0}, {1000000, 1, 1, 1, 1}, {3, 5, 7, 11, 13}};
    for (size_t w = 0; w < countof(worlds); w++) {
        struct top_bar bar = {.total_bytes = 1};
        uint64_t sum = 0;
        for (; bar.count < 5 && worlds[w][bar.count]; bar.count++) {
            bar.parts[bar.count].bytes = worlds[w][bar.count];
            sum += worlds[w][bar.count];
        }
        for (uint32_t width = 5; width < 150; width++) {
            uint32_t columns[TOP_PARTS_MAX], given = 0;
            top_bar_share(&bar, width, columns);
            for (uint32_t i = 0; i < bar.count; i++) {
                double share = (double)bar.parts[i].bytes / (double)sum * width;
                double off = share - columns[i];
                assert_true(columns[i] >= 1);
                assert_true(off < 1 + (double)bar.count && off > -2);
                given += columns[i];
            }
            assert_int_equal(given, width);
        }
    }
}

/* ---- the screen ---- */

static char *screen_of(const struct top_known *k, const struct top_view *v, uint32_t width,
                       uint32_t height, uint64_t now_ns)
{
    struct top_cells cells;
    struct buf out = {0};
    top_cells_init(&cells, width, height, false);
    top_layout(k, v, "127.0.0.1:1", now_ns, &cells);
    top_cells_print(&cells, &out);
    top_cells_fini(&cells);
    return buf_take(&out);
}

static void test_screen(void **state)
{
    (void)state;
    struct top_known k;
    struct top_view v;
    know(&k);
    top_view_init(&v);
    top_view_settle(&v, &k);
    auto_free char *text = screen_of(&k, &v, 80, 24, NS_PER_S);
    static const char head[] =
        "wharf 1.2.3   mode idle   1 of 3 loaded   2 running   1 waiting          serving\n"
        "DEVICES\n";
    assert_int_equal(strncmp(text, head, strlen(head)), 0);
    assert_non_null(strstr(text, "\ngpu            | a ####"));
    assert_non_null(strstr(text, "| 10GiB of 16GiB  37%\n"));
    assert_non_null(strstr(
        text, "\n               a 8GiB  settling 1GiB  foreign 2GiB  reserve 1GiB  free 4GiB\n"));
    assert_non_null(strstr(text, "\ngone           absent: it was lost\n"));
    assert_non_null(strstr(text, "\nMODEL  STATE            PLACE  SIZE  RUN  WAIT  IDLE        "
                                 "LOAD\n"
                                 "a      loaded (pinned)  gpu    8GiB  0    0     1m30s left  2s\n"
                                 "b      loading 50%      -      -     0    3     -           -\n"
                                 "c      unloaded         -      -     2    0     -           -\n"
                                 "\n"
                                 "QUEUE  CLASS   PLACE  AGE  ESTIMATE  WAITS FOR\n"
                                 "b      normal  1      4s   10s       room\n"));
    top_view_fini(&v);
    top_known_fini(&k);
}

/* Time goes on between two answers, and stands still once there are none. */
static void test_time_goes_on(void **state)
{
    (void)state;
    struct top_known k;
    struct top_view v;
    know(&k);
    top_view_init(&v);
    auto_free char *later = screen_of(&k, &v, 80, 24, 11 * NS_PER_S);
    assert_non_null(strstr(later, "1m20s left"));
    assert_non_null(strstr(later, "b      normal  1      14s  0s        room\n"));
    k.trouble = alloc_text("nobody there");
    auto_free char *lost = screen_of(&k, &v, 80, 24, 11 * NS_PER_S);
    assert_non_null(strstr(lost, "1m30s left"));
    assert_non_null(strstr(lost, "no daemon, trying again: nobody there\n"));
    assert_non_null(strstr(lost, " 127.0.0.1:1\n"));
    top_view_fini(&v);
    top_known_fini(&k);
}

/* Whatever the size and what lies over it, no line is wider or missing. */
static void test_every_size(void **state)
{
    (void)state;
    struct top_known k, nothing = {.at_ns = 0};
    know(&k);
    for (uint32_t height = 1; height < 70; height += 3) {
        for (uint32_t width = 1; width < 220; width += 7) {
            for (uint32_t popup = 0; popup <= TOP_FILTER; popup++) {
                struct top_view v;
                top_view_init(&v);
                v.popup = (enum top_popup)popup;
                v.asked_id = alloc_text("a");
                v.choices = json_pack("[s, s]", "one", "two");
                auto_free char *text = screen_of(&k, &v, width, height, 0);
                auto_free char *empty = screen_of(&nothing, &v, width, height, 0);
                size_t lines = 0;
                for (const char *p = text; *p; p += strcspn(p, "\n") + 1, lines++)
                    assert_true(strcspn(p, "\n") <= width);
                assert_int_equal(lines, height);
                top_view_fini(&v);
            }
        }
    }
    top_known_fini(&k);
}

static void test_first_shown(void **state)
{
    (void)state;
    static const size_t cases[][4] = {/* selected, count, fit, first */
                                      {0, 3, 5, 0},  {2, 3, 3, 0},  {0, 10, 4, 0},
                                      {5, 10, 4, 3}, {9, 10, 4, 6}, {9, 10, 0, 0}};
    for (size_t i = 0; i < countof(cases); i++)
        assert_int_equal(top_first_shown(cases[i][0], cases[i][1], cases[i][2]), cases[i][3]);
}

/* ---- keys ---- */

static struct top_order press(struct top_view *v, const struct top_known *k, const char *keys)
{
    struct top_order o = {.kind = TOP_ORDER_NONE};
    for (; *keys; keys++)
        o = top_view_key(v, k, (uint32_t)*keys);
    return o;
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        enum top_order_kind kind;
        enum model_verb verb;
        bool is_forced;
        const char *id, *name;
    } cases[] = {
        {"q", TOP_ORDER_QUIT, MODEL_DO_LOAD, false, NULL, NULL},
        {"l", TOP_ORDER_MODEL, MODEL_DO_LOAD, false, "a", NULL},
        {"jl", TOP_ORDER_MODEL, MODEL_DO_LOAD, false, "b", NULL},
        {"jjkkl", TOP_ORDER_MODEL, MODEL_DO_LOAD, false, "a", NULL},
        {"s", TOP_ORDER_MODEL, MODEL_DO_SUSPEND, false, "a", NULL},
        {"w", TOP_ORDER_MODEL, MODEL_DO_RESUME, false, "a", NULL},
        {"p", TOP_ORDER_MODEL, MODEL_DO_UNPIN, false, "a", NULL},
        {"jp", TOP_ORDER_MODEL, MODEL_DO_PIN, false, "b", NULL},
        {"u", TOP_ORDER_MODEL, MODEL_DO_UNLOAD, false, "a", NULL},
        /* It would refuse three that wait. */
        {"ju", TOP_ORDER_NONE, MODEL_DO_UNLOAD, false, NULL, NULL},
        {"juy", TOP_ORDER_MODEL, MODEL_DO_UNLOAD, false, "b", NULL},
        {"junl", TOP_ORDER_MODEL, MODEL_DO_LOAD, false, "b", NULL},
        /* Two run there: they end only where it is stopped at once. */
        {"jju", TOP_ORDER_MODEL, MODEL_DO_UNLOAD, false, "c", NULL},
        {"jjU", TOP_ORDER_NONE, MODEL_DO_UNLOAD, true, NULL, NULL},
        {"jjUy", TOP_ORDER_MODEL, MODEL_DO_UNLOAD, true, "c", NULL},
        /* Where to, and which. */
        {"m", TOP_ORDER_NONE, MODEL_DO_MOVE, false, NULL, NULL},
        {"m2", TOP_ORDER_MODEL, MODEL_DO_MOVE, false, "a", "cpu"},
        {"mj\n", TOP_ORDER_MODEL, MODEL_DO_MOVE, false, "a", "cpu"},
        {"m\x1bl", TOP_ORDER_MODEL, MODEL_DO_LOAD, false, "a", NULL},
        {"M2", TOP_ORDER_MODE, MODEL_DO_LOAD, false, NULL, "work"},
        {"M\n", TOP_ORDER_MODE, MODEL_DO_LOAD, false, NULL, "idle"},
        /* What is shown is what is meant; an alias is a name too. */
        {"/C\nl", TOP_ORDER_MODEL, MODEL_DO_LOAD, false, "c", NULL},
        {"j/first\nl", TOP_ORDER_MODEL, MODEL_DO_LOAD, false, "a", NULL},
        {"/zz\nl", TOP_ORDER_NONE, MODEL_DO_LOAD, false, NULL, NULL},
        {"/zz\x1bl", TOP_ORDER_MODEL, MODEL_DO_LOAD, false, "a", NULL},
        /* In the queue, who is waited for; among the devices nobody. */
        {"\tl", TOP_ORDER_MODEL, MODEL_DO_LOAD, false, "b", NULL},
        {"\t\tl", TOP_ORDER_NONE, MODEL_DO_LOAD, false, NULL, NULL},
        {"?l", TOP_ORDER_NONE, MODEL_DO_LOAD, false, NULL, NULL},
        {"?xl", TOP_ORDER_MODEL, MODEL_DO_LOAD, false, "a", NULL},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct top_known k;
        struct top_view v;
        know(&k);
        top_view_init(&v);
        top_view_settle(&v, &k);
        struct top_order o = press(&v, &k, cases[i].keys);
        bool is_right = o.kind == cases[i].kind;
        if (is_right && o.kind == TOP_ORDER_MODEL)
            is_right = o.op.verb == cases[i].verb && o.op.is_forced == cases[i].is_forced &&
                       strcmp(o.op.id, cases[i].id) == 0 && !o.op.place == !cases[i].name &&
                       (!o.op.place || strcmp(o.op.place, cases[i].name) == 0);
        if (is_right && o.kind == TOP_ORDER_MODE)
            is_right = strcmp(o.mode, cases[i].name) == 0;
        if (!is_right)
            fail_msg("'%s': order %d, verb %d, id %s", cases[i].keys, (int)o.kind, (int)o.op.verb,
                     o.op.id ? o.op.id : "-");
        top_view_fini(&v);
        top_known_fini(&k);
    }
}

/* ---- progress ---- */

static void test_progress(void **state)
{
    (void)state;
    static const struct {
        const char *operation;
        int permille;
    } cases[] = {
        {"{\"since_s\":1,\"expected_s\":null,\"bytes\":null,\"expected_bytes\":null}", -1},
        {"{\"since_s\":1,\"expected_s\":4,\"bytes\":null,\"expected_bytes\":null}", 250},
        {"{\"since_s\":9,\"expected_s\":4,\"bytes\":0,\"expected_bytes\":8}", 990},
        {"{\"since_s\":1,\"expected_s\":4,\"bytes\":6,\"expected_bytes\":8}", 750},
        /* They are all there at once, and it goes on. */
        {"{\"since_s\":1,\"expected_s\":4,\"bytes\":8,\"expected_bytes\":8}", 250},
        {"{\"since_s\":1,\"expected_s\":null,\"bytes\":8,\"expected_bytes\":8}", 990},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        json_t *operation = json_loads(cases[i].operation, 0, NULL);
        if (progress_permille(operation) != cases[i].permille)
            fail_msg("case %zu: %d", i, progress_permille(operation));
        json_decref(operation);
    }
    struct buf out = {0};
    progress_bar(&out, 550, 10, false);
    assert_string_equal(out.data, "#####.....");
    buf_clear(&out);
    progress_bar(&out, 550, 10, true);
    assert_int_equal(text_width(out.data), 10);
    assert_non_null(strstr(out.data, "\xe2\x96\x8c"));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),      cmocka_unit_test(test_shares),
        cmocka_unit_test(test_screen),     cmocka_unit_test(test_time_goes_on),
        cmocka_unit_test(test_every_size), cmocka_unit_test(test_first_shown),
        cmocka_unit_test(test_keys),       cmocka_unit_test(test_progress),
    };
    /* Ellipses are three dots then, wherever the tests run. */
    setenv("LC_ALL", "C", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
