/* Workloads: order, who asks for what, generators, and how fast time goes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "simulate/generate.h"
#include "simulate/names.h"
#include "simulate/sources.h"

#define MODELS 4

static const char config_text[] = "models:\n"
                                  "  a: {cmd: x, proxy: 'http://h:1'}\n"
                                  "  b: {cmd: x, proxy: 'http://h:1'}\n"
                                  "  c: {cmd: x, proxy: 'http://h:1'}\n"
                                  "  d: {cmd: x, proxy: 'http://h:1'}\n";

static struct config *config;

static int load_config(void **state)
{
    struct config_report report = {.errors = 0};
    (void)state;
    config = config_load_text("c", config_text, strlen(config_text), &report);
    config_report_fini(&report);
    return config ? 0 : -1;
}

static int free_config(void **state)
{
    (void)state;
    config_free(config);
    return 0;
}

static void test_service_time(void **state)
{
    (void)state;
    const struct work_speed speed = {1500, 50};
    assert_int_equal(work_serve_ns(&speed, 0, 0), 0);
    assert_int_equal(work_serve_ns(&speed, 1500, 50), 2 * NS_PER_S);
    assert_int_equal(work_serve_ns(&speed, 1, 1), 666666 + 20000000);
    assert_int_equal(work_serve_ns(&speed, 3000000000, 0), 2000000 * NS_PER_S);
}

static void test_sort_is_stable(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 40; count++) {
        struct workload w = {.count = 0};
        struct rng rng = {count};
        for (uint32_t i = 0; i < count; i++) {
            struct work_row *row = workload_add(&w);
            row->at_ns = rng_below(&rng, 10);
            row->key = i;
        }
        workload_sort(&w, 0);
        assert_int_equal(w.count, count);
        for (uint32_t i = 1; i < count; i++) {
            const struct work_row *a = &w.rows[i - 1], *b = &w.rows[i];
            assert_true(a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->key < b->key));
        }
        workload_fini(&w);
    }
}

static void add_rows(struct workload *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        workload_add(w)->at_ns = i * NS_PER_S;
}

/* With weights 1, 1/2, 1/3, 1/4 the shares are 12, 6, 4 and 3 of 25. */
static void test_independent_draw(void **state)
{
    (void)state;
    const uint32_t rows = 100000, parts[MODELS] = {12, 6, 4, 3};
    const struct work_assign assign = {.sticky = false};
    struct workload w = {.count = 0};
    struct draw_zipf zipf;
    struct rng rng = {1};
    uint32_t count[MODELS] = {0};
    add_rows(&w, rows);
    w.rows[7].model = 3;
    draw_zipf_init(&zipf, MODELS, 1);
    assert_int_equal(workload_assign(&w, 0, &assign, &zipf, 5, &rng), 5);
    assert_int_equal(w.rows[7].model, 3);
    for (uint32_t i = 0; i < rows; i++) {
        assert_true(w.rows[i].model < MODELS && w.rows[i].key == 0);
        count[w.rows[i].model]++;
    }
    for (uint32_t i = 0; i < MODELS; i++)
        assert_in_range(count[i], rows * parts[i] / 25 * 97 / 100,
                        rows * parts[i] / 25 * 103 / 100);
    draw_zipf_fini(&zipf);
    workload_fini(&w);
}

/* Each user keeps to a model with a chance of 0.9, and finds the same again with one of
 * (144+36+16+9)/625 else: 0.9 + 0.1 * 0.328 = 0.9328. */
static void test_sticky_draw(void **state)
{
    (void)state;
    const uint32_t rows = 100000;
    const struct work_assign assign = {.sticky = true, .users = 4, .keep = 0.9};
    struct workload w = {.count = 0};
    struct draw_zipf zipf;
    struct rng rng = {1};
    uint32_t kept = 0, last[7] = {0}, count[7] = {0};
    add_rows(&w, rows);
    for (uint32_t i = 0; i < rows; i += 10)
        w.rows[i].key = 2; /* somebody known, whose model is drawn */
    draw_zipf_init(&zipf, MODELS, 1);
    assert_int_equal(workload_assign(&w, 0, &assign, &zipf, 2, &rng), 6);
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t key = w.rows[i].key;
        assert_in_range(key, 2, 6);
        kept += count[key] && last[key] == w.rows[i].model;
        last[key] = w.rows[i].model;
        count[key]++;
    }
    assert_int_equal(count[2], rows / 10);
    for (uint32_t key = 3; key <= 6; key++)
        assert_in_range(count[key], 21800, 23200);
    assert_in_range(kept, rows * 0.928, rows * 0.938);
    draw_zipf_fini(&zipf);
    workload_fini(&w);
}

static void test_stretch(void **state)
{
    (void)state;
    struct workload w = {.count = 0};
    add_rows(&w, 11); /* over ten seconds */
    for (uint32_t i = 0; i < w.count; i++) {
        w.rows[i].at_ns += 100 * NS_PER_S;
        w.rows[i].serve_ns = 2 * NS_PER_S;
    }
    assert_true(fabs(workload_stretch_for(&w, 0.5) - 4.4) < 1e-9); /* 22 s of work over 44 s */
    workload_stretch(&w, 2.5, 100 * NS_PER_S);
    assert_int_equal(w.rows[0].at_ns, 0);
    assert_int_equal(w.rows[3].at_ns, 7500 * NS_PER_MS);
    w.count = 1;
    assert_true(workload_stretch_for(&w, 0.5) == 0);
    workload_fini(&w);
}

static struct workload generate(const char *spec, uint64_t seed)
{
    struct workload w;
    struct err e = {.set = false};
    struct sources s;
    sources_init(&s);
    s.generators[s.generator_count++] = spec;
    s.seed = seed;
    if (sources_read(&s, config, &w, &e) < 0)
        fail_msg("%s", e.text);
    return w;
}

static void test_poisson(void **state)
{
    (void)state;
    struct workload w = generate("poisson:rate=0.5,rows=20000,prompt=1500,output=50", 1);
    double serve = 0, squares = 0;
    assert_int_equal(w.count, 20000);
    assert_in_range(w.rows[w.count - 1].at_ns / NS_PER_S, 39200, 40800);
    for (uint32_t i = 1; i < w.count; i++) {
        double gap = (double)(w.rows[i].at_ns - w.rows[i - 1].at_ns) / 1e9;
        squares += gap * gap;
        serve += (double)w.rows[i].serve_ns / 1e9;
    }
    /* Exponential: the mean of the squares is twice the square of the mean, which is 2 s. */
    assert_true(fabs(squares / w.count - 8) < 0.4);
    assert_true(fabs(serve / w.count - 2) < 0.05);
    workload_fini(&w);
}

/* Rates follow the hours, and are the same on average. */
static void test_daily(void **state)
{
    static const char *const specs[] = {"poisson:rate=0.2,daily=1,for=10d,seconds=1",
                                        "bursty:rate=0.2,burst=1,daily=1,for=10d,seconds=1"};
    (void)state;
    for (size_t i = 0; i < countof(specs); i++) {
        struct workload w = generate(specs[i], 1);
        uint32_t hours[24] = {0};
        for (uint32_t k = 0; k < w.count; k++)
            hours[w.rows[k].at_ns / (3600 * NS_PER_S) % 24]++;
        /* 7200 in each hour of ten days on average: of 1 - cos, 0.011 of it in the first and the
         * last, and 1.989 in those beside noon. */
        assert_in_range(w.count, 170000, 176000);
        assert_in_range(hours[0], 40, 130);
        assert_in_range(hours[23], 40, 130);
        assert_in_range(hours[11], 13900, 14800);
        assert_in_range(hours[12], 13900, 14800);
        assert_in_range(hours[6], 7800, 9600);
        workload_fini(&w);
    }
}

static void test_leases(void **state)
{
    (void)state;
    struct workload w = generate(
        "lease:name=train,size=3GiB,period=6h,hold=90m,from=1h,for=1d,class=background", 1);
    assert_int_equal(w.count, 0);
    assert_int_equal(w.lease_count, 4);
    for (uint32_t i = 0; i < w.lease_count; i++) {
        const struct work_lease *l = &w.leases[i];
        assert_int_equal(l->at_ns, (3600 + i * UINT64_C(21600)) * NS_PER_S);
        assert_int_equal(l->hold_ns, 5400 * NS_PER_S);
        assert_int_equal(l->bytes, 3 * GIB);
        assert_int_equal(l->class, CLASS_BACKGROUND);
        assert_string_equal(w.keys.texts[l->name - 1], "train");
    }
    workload_fini(&w);
}

static void test_bursty(void **state)
{
    (void)state;
    struct workload w = generate("bursty:rate=0.1,burst=10,gap=2s,rows=20000,seconds=1", 1);
    uint32_t same = 0;
    assert_int_equal(w.count, 20000);
    assert_in_range(w.rows[w.count - 1].at_ns / NS_PER_S, 190000, 210000);
    for (uint32_t i = 1; i < w.count; i++) {
        assert_true(w.rows[i].at_ns >= w.rows[i - 1].at_ns);
        same += w.rows[i].model == w.rows[i - 1].model;
    }
    /* Nine in ten follow one of their own burst, some of which others have come between; of the
     * rest, a third finds its model by chance. */
    assert_in_range(same, 0.75 * w.count, 0.95 * w.count);
    workload_fini(&w);
}

static void test_every(void **state)
{
    (void)state;
    struct workload w = generate(
        "every:period=30s,from=10s,for=2m,model=b,class=background,seconds=4,lengths=fixed,"
        "key=k",
        1);
    assert_int_equal(w.count, 4);
    for (uint32_t i = 0; i < w.count; i++) {
        assert_int_equal(w.rows[i].at_ns, (10 + 30 * i) * NS_PER_S);
        assert_int_equal(w.rows[i].serve_ns, 4 * NS_PER_S);
        assert_int_equal(w.rows[i].model, 1);
        assert_int_equal(w.rows[i].class, CLASS_BACKGROUND);
        assert_int_equal(w.rows[i].key, 1);
    }
    workload_fini(&w);
}

static void test_closed(void **state)
{
    (void)state;
    struct workload w = generate("closed:clients=3,think=5s,for=1h,from=1m,zipf=0", 1);
    assert_int_equal(w.count, 0);
    assert_int_equal(w.loop_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(w.loops[i].think_ns, 5 * NS_PER_S);
        assert_int_equal(w.loops[i].from_ns, 60 * NS_PER_S);
        assert_int_equal(w.loops[i].until_ns, 3660 * NS_PER_S);
        assert_int_equal(w.loops[i].model, WORK_DRAWN);
        assert_int_equal(w.loops[i].key, i + 1);
        assert_true(i == 0 || w.loops[i].seed != w.loops[i - 1].seed);
    }
    assert_int_equal(w.zipfs[w.loops[0].zipf].count, MODELS);
    workload_fini(&w);
}

static void test_seeds(void **state)
{
    (void)state;
    struct workload a = generate("poisson:rate=1,rows=100", 7);
    struct workload b = generate("poisson:rate=1,rows=100", 7);
    struct workload c = generate("poisson:rate=1,rows=100", 8);
    assert_memory_equal(a.rows, b.rows, a.count * sizeof(*a.rows));
    assert_memory_not_equal(a.rows, c.rows, a.count * sizeof(*a.rows));
    workload_fini(&a);
    workload_fini(&b);
    workload_fini(&c);
}

static const struct {
    const char *spec, *words;
} bad[] = {
    {"poison:rate=1", "'poison' is neither poisson, bursty, every, closed nor lease"},
    {"poisson", "poisson needs a rate"},
    {"poisson:rate=0", "poisson needs a rate"},
    {"poisson:rate=fast", "rate: 'fast' is not a number"},
    {"poisson:rate=-1", "rate: '-1' is not a number"},
    {"poisson:rate=nan", "rate: 'nan' is not a number"},
    {"poisson:rate", "'rate' is not key=value"},
    {"poisson:rate=", "'rate=' is not key=value"},
    {"poisson:", "'' is not key=value"},
    {"poisson:rat=1", "no key 'rat'; did you mean 'rate'?"},
    {"poisson:rate=1,burst=2", "poisson has no key 'burst'"},
    {"poisson:rate=1,rows=0", "rows: '0' is not a number from 1"},
    {"poisson:rate=1,rows=50000001", "rows: '50000001' is not a number from 1"},
    {"poisson:rate=1,for=ever", "for: 'ever' is not a time"},
    {"poisson:rate=1,model=e", "no model 'e'"},
    {"poisson:rate=1,class=e", "no class 'e'"},
    {"poisson:rate=1,lengths=odd", "lengths: 'odd' is neither"},
    {"bursty:rate=1,burst=0.5", "burst has to be 1 or more"},
    {"every:for=1h", "every needs a period"},
    {"closed:clients=2", "closed needs `for`"},
    {"poisson:rate=1,daily=1.5", "daily is a share"},
    {"lease:size=1GiB,hold=1h", "lease needs a period"},
    {"lease:period=1h,hold=1h", "lease needs a size"},
    {"lease:period=1h,size=0,hold=1h", "size: '0' is not a size"},
    {"lease:period=1h,size=1GiB,hold=1h,model=a", "lease has no key 'model'"},
    {"every:period=1h,daily=1", "every has no key 'daily'"},
    {"closed:clients=100001,for=1h", "more than 100000 clients"},
    {"every:period=1h,for=0.5s,from=2s,rows=1,model=a,class=normal,rate=1",
     "every has no key 'rate'"},
};

static void test_bad_specs(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        struct workload w;
        struct err e = {.set = false};
        struct sources s;
        sources_init(&s);
        s.generators[s.generator_count++] = bad[i].spec;
        if (sources_read(&s, config, &w, &e) == 0)
            fail_msg("taken: %s", bad[i].spec);
        if (strncmp(e.text, bad[i].spec, strlen(bad[i].spec)) != 0 || !strstr(e.text, bad[i].words))
            fail_msg("'%s' says '%s', not '%s'", bad[i].spec, e.text, bad[i].words);
    }
}

static void test_assign_words(void **state)
{
    (void)state;
    static const char *const refused[] = {"",           "sticki",      "sticky:",       "sticky:4",
                                          "sticky:0:1", "sticky:4:2",  "sticky:4:-1",   "sticky:4:",
                                          "sticky:4:x", "sticky:+4:1", "independent:1", "stickyx"};
    struct sources s;
    struct err e;
    sources_init(&s);
    assert_false(s.assign.sticky);
    assert_int_equal(sources_parse_assign(&s, "sticky", &e), 0);
    assert_true(s.assign.sticky && s.assign.users == 4 && s.assign.keep == 0.9);
    assert_int_equal(sources_parse_assign(&s, "sticky:12:0.5", &e), 0);
    assert_true(s.assign.sticky && s.assign.users == 12 && s.assign.keep == 0.5);
    assert_int_equal(sources_parse_assign(&s, "independent", &e), 0);
    assert_false(s.assign.sticky);
    for (size_t i = 0; i < countof(refused); i++)
        if (sources_parse_assign(&s, refused[i], &e) == 0)
            fail_msg("taken: '%s'", refused[i]);
}

static void test_names(void **state)
{
    (void)state;
    struct names n = {.count = 0};
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 1; i <= 1000; i++) {
            auto_free char *text = alloc_printf("name %u", i);
            assert_int_equal(names_number(&n, text), i);
        }
    assert_int_equal(n.count, 1000);
    assert_string_equal(n.texts[41], "name 42");
    names_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_service_time),
                                       cmocka_unit_test(test_sort_is_stable),
                                       cmocka_unit_test(test_independent_draw),
                                       cmocka_unit_test(test_sticky_draw),
                                       cmocka_unit_test(test_stretch),
                                       cmocka_unit_test(test_poisson),
                                       cmocka_unit_test(test_daily),
                                       cmocka_unit_test(test_leases),
                                       cmocka_unit_test(test_bursty),
                                       cmocka_unit_test(test_every),
                                       cmocka_unit_test(test_closed),
                                       cmocka_unit_test(test_seeds),
                                       cmocka_unit_test(test_bad_specs),
                                       cmocka_unit_test(test_assign_words),
                                       cmocka_unit_test(test_names)};
    return cmocka_run_group_tests_name("simulate_workload", tests, load_config, free_config);
}
