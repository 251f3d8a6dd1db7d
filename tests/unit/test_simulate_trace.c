/* Traces: the formats as they are found, dates, and what is wrong with a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "simulate/trace.h"
#include "simulate/trace_row.h"

#define DATE_NS UINT64_C(1700158546680590000) /* 2023-11-16 18:15:46.68059 UTC */

static const char config_text[] = "models:\n"
                                  "  a: {cmd: x, proxy: 'http://h:1', aliases: [small]}\n"
                                  "  b: {cmd: x, proxy: 'http://h:1'}\n";

struct fixture {
    struct config *config;
    struct trace_context ctx;
    struct workload work;
    char path[32];
};

static int set_up(void **state)
{
    struct fixture *f = alloc_zeroed(1, sizeof(*f));
    struct config_report report = {.errors = 0};
    f->config = config_load_text("c", config_text, strlen(config_text), &report);
    config_report_fini(&report);
    f->ctx.config = f->config;
    f->work.speed = (struct work_speed){1500, 50};
    strcpy(f->path, "/tmp/wharf-trace-XXXXXX");
    int fd = mkstemp(f->path);
    *state = f;
    return fd < 0 || close(fd) || !f->config ? -1 : 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trace_context_fini(&f->ctx);
    workload_fini(&f->work);
    config_free(f->config);
    int rc = unlink(f->path);
    free(f);
    return rc;
}

static int read_bytes(struct fixture *f, const char *text, size_t n, struct err *e)
{
    FILE *out = fopen(f->path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
    return trace_read(f->path, &f->ctx, &f->work, e);
}

static void read_text(struct fixture *f, const char *text)
{
    struct err e = {.set = false};
    if (read_bytes(f, text, strlen(text), &e) < 0)
        fail_msg("%s: %s", text, e.text);
}

static void expect_row(const struct fixture *f, uint32_t i, struct work_row want)
{
    assert_true(i < f->work.count);
    const struct work_row *row = &f->work.rows[i];
    assert_int_equal(row->at_ns, want.at_ns);
    assert_int_equal(row->serve_ns, want.serve_ns);
    assert_int_equal(row->model, want.model);
    assert_int_equal(row->key, want.key);
    assert_int_equal(row->class, want.class);
}

static void test_azure(void **state)
{
    struct fixture *f = *state;
    read_text(f, "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                 "2023-11-16 18:15:46.6805900,374,44\r\n"
                 "2023-11-16 18:15:50.9951690,1500,100\r\n");
    assert_int_equal(f->work.count, 2);
    assert_int_equal(f->work.rows[0].prompt, 374);
    assert_int_equal(f->work.rows[0].output, 44);
    /* 374/1500 s and 44/50 s */
    expect_row(f, 0,
               (struct work_row){.at_ns = DATE_NS,
                                 .serve_ns = 249333333 + 880000000,
                                 .model = WORK_DRAWN,
                                 .key = 0,
                                 .class = WORK_MODELS_CLASS});
    expect_row(f, 1,
               (struct work_row){.at_ns = DATE_NS + UINT64_C(4314579000),
                                 .serve_ns = 3 * NS_PER_S,
                                 .model = WORK_DRAWN,
                                 .key = 0,
                                 .class = WORK_MODELS_CLASS});
}

static void test_mooncake(void **state)
{
    struct fixture *f = *state;
    read_text(f, "{\"timestamp\": 0, \"input_length\": 3000, \"output_length\": 500, \"hash_ids\": "
                 "[0, 1]}\n"
                 "\n"
                 "{\"timestamp\": 27482, \"input_length\": 0, \"output_length\": 1}");
    assert_int_equal(f->work.count, 2);
    expect_row(f, 0,
               (struct work_row){.at_ns = 0,
                                 .serve_ns = 12 * NS_PER_S,
                                 .model = WORK_DRAWN,
                                 .key = 0,
                                 .class = WORK_MODELS_CLASS});
    expect_row(f, 1,
               (struct work_row){.at_ns = UINT64_C(27482000000),
                                 .serve_ns = 20 * NS_PER_MS,
                                 .model = WORK_DRAWN,
                                 .key = 0,
                                 .class = WORK_MODELS_CLASS});
}

static void test_own_csv(void **state)
{
    struct fixture *f = *state;
    read_text(f, "\xef\xbb\xbfmodel,time,class,key,note,prompt_tokens,output_tokens,seconds\n"
                 "small,0.5,background,ann,\"a, \"\"b\"\"\",1500,0,\n"
                 "\n"
                 "b,2,,bob,,1500,50,7.5\n"
                 ",1m1s,foreground,ann,,,50,\n");
    assert_int_equal(f->work.count, 3);
    expect_row(f, 0,
               (struct work_row){.at_ns = NS_PER_S / 2,
                                 .serve_ns = NS_PER_S,
                                 .model = 0,
                                 .key = 1,
                                 .class = CLASS_BACKGROUND});
    expect_row(f, 1,
               (struct work_row){.at_ns = 2 * NS_PER_S,
                                 .serve_ns = 7500 * NS_PER_MS,
                                 .model = 1,
                                 .key = 2,
                                 .class = WORK_MODELS_CLASS});
    expect_row(f, 2,
               (struct work_row){.at_ns = 61 * NS_PER_S,
                                 .serve_ns = NS_PER_S,
                                 .model = WORK_DRAWN,
                                 .key = 1,
                                 .class = CLASS_FOREGROUND});
}

static void test_own_jsonl(void **state)
{
    struct fixture *f = *state;
    read_text(f,
              " {\"time\": 1.25, \"model\": \"b\", \"seconds\": 2, \"key\": 17, \"class\": null}\n"
              "{\"time\": \"0.5\", \"output_tokens\": 50, \"other\": {\"x\": 1}}\n");
    expect_row(f, 0,
               (struct work_row){.at_ns = 1250 * NS_PER_MS,
                                 .serve_ns = 2 * NS_PER_S,
                                 .model = 1,
                                 .key = 1,
                                 .class = WORK_MODELS_CLASS});
    expect_row(f, 1,
               (struct work_row){.at_ns = 500 * NS_PER_MS,
                                 .serve_ns = NS_PER_S,
                                 .model = WORK_DRAWN,
                                 .key = 0,
                                 .class = WORK_MODELS_CLASS});
}

static const struct {
    const char *text;
    uint64_t ns; /* 0: not a date */
} dates[] = {
    {"1970-01-01 00:00:01", NS_PER_S},
    {"2023-11-16 18:15:46.6805900", DATE_NS},
    {"2023-11-16T18:15:46.68059Z", DATE_NS},
    {"2023-11-16T20:15:46.68059+02:00", DATE_NS},
    {"2023-11-16T12:45:46.680590000999-05:30", DATE_NS},
    {"2000-02-29 00:00:00", UINT64_C(951782400) * NS_PER_S},
    {"2000-03-01 00:00:00", UINT64_C(951868800) * NS_PER_S},
    {"2100-03-01 00:00:00", UINT64_C(4107542400) * NS_PER_S},
    {"2023-13-16 18:15:46", 0},
    {"2023-11-16", 0},
    {"2023-11-16 18:15", 0},
    {"2023-11-16 24:15:46", 0},
    {"2023-11-16 18:15:46.", 0},
    {"2023-11-16 18:15:46 ", 0},
    {"2023-11-16 18:15:46+0200", 0},
    {"2023-11-16 18:15:46+02:0", 0},
    {"1969-12-31 23:59:59", 0},
    {"23-11-16 18:15:46", 0},
    {"1700158546", 0},
    {"", 0},
};

static void test_dates(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(dates); i++) {
        uint64_t ns = 0;
        bool is_date = trace_parse_date(dates[i].text, &ns);
        if (is_date != (dates[i].ns > 0) || ns != dates[i].ns)
            fail_msg("%s: %llu, not %llu", dates[i].text, (unsigned long long)ns,
                     (unsigned long long)dates[i].ns);
    }
}

#define HEAD "time,model,class,seconds\n"

static const struct {
    const char *text;
    int line;
    const char *words;
} bad[] = {
    {"", 0, "the file is empty"},
    {"model,seconds\na,1\n", 1, "'time' or 'timestamp'"},
    {"time,time\n", 1, "a second column for 'time'"},
    {"prompt_tokens,time,input_length\n", 1, "a second column for 'input_length'"},
    {HEAD "1,a,normal,1\n2,a,normal\n", 3, "3 fields where 4 are named"},
    {HEAD "soon,a,normal,1\n", 2, "'soon' is neither a date nor a number of seconds"},
    {HEAD ",a,normal,1\n", 2, "does not say when"},
    {HEAD "1,a,normal,\n", 2, "does not say how long"},
    {HEAD "1,a,normal,-1\n", 2, "'-1' is not a number of seconds"},
    {HEAD "1,smal,normal,1\n", 2, "no model 'smal'; did you mean 'small'?"},
    {HEAD "1,zzzzzzzz,normal,1\n", 2, "no model 'zzzzzzzz' in the configuration"},
    {HEAD "1,a,urgent,1\n", 2, "no class 'urgent'"},
    {HEAD "1,\"a,normal,1\n", 2, "a quote is not closed"},
    {HEAD "1,\"a\"b,normal,1\n", 2, "text behind a closing quote"},
    {HEAD "1,a,normal,1\n2023-11-16 18:15:46,a,normal,1\n", 3, "dates and numbers"},
    {"time,prompt_tokens\n1,1.5\n", 2, "'1.5' is not a number of tokens"},
    {"time,prompt_tokens\n1,99999999999999999999\n", 2, "are too many"},
    {"{\"time\": 1, \"seconds\": 1}\n{\"time\": 1\n", 2, "not JSON"},
    {"{\"time\": 1, \"seconds\": 1}\n[]\n", 2, "not a JSON object"},
    {"{\"time\": [1], \"seconds\": 1}\n", 1, "'time' is neither a text nor a number"},
    {"{\"seconds\": 1}\n", 1, "does not say when"},
    {"{\"timestamp\": \"soon\", \"seconds\": 1}\n", 1, "number of milliseconds"},
};

static void test_bad_lines(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < countof(bad); i++) {
        struct err e = {.set = false};
        char place[64];
        f->ctx.clock = TRACE_CLOCK_NONE;
        snprintf(place, sizeof(place), "%s:%d: ", f->path, bad[i].line);
        if (read_bytes(f, bad[i].text, strlen(bad[i].text), &e) == 0)
            fail_msg("taken: %s", bad[i].text);
        if (strncmp(e.text, place, strlen(place)) != 0 || !strstr(e.text, bad[i].words))
            fail_msg("'%s' says '%s', not '%s…%s'", bad[i].text, e.text, place, bad[i].words);
    }
    struct err e = {.set = false};
    assert_int_equal(read_bytes(f, "time,seconds\n1,\0002\n", 18, &e), -1);
    assert_non_null(strstr(e.text, ":2: a NUL byte"));
    assert_int_equal(trace_read("/nowhere/at-all.csv", &f->ctx, &f->work, &e), -1);
    assert_string_equal(e.text, "/nowhere/at-all.csv: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_azure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mooncake, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_csv, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_jsonl, set_up, tear_down),
        cmocka_unit_test(test_dates),
        cmocka_unit_test_setup_teardown(test_bad_lines, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("simulate_trace", tests, NULL, NULL);
}
