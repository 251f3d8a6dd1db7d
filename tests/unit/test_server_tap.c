#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/pure/check.h"
#include "server/proxy/tap.h"

#include "http_input.h"

#define JSON "application/json"
#define SSE "text/event-stream; charset=utf-8"

/* expected: "in out cached drafted accepted prompt/s output/s ms" and, behind a bar, the error. */
struct row {
    const char *what;
    unsigned status;
    const char *type, *body, *expected;
};

#define TIMINGS                                                                                    \
    "\"timings\":{\"cache_n\":7,\"prompt_n\":11,\"prompt_ms\":20.5,\"prompt_per_second\":536.5,"   \
    "\"predicted_n\":3,\"predicted_ms\":30,\"predicted_per_second\":100,"                          \
    "\"draft_n\":9,\"draft_n_accepted\":4}"

static const struct row rows[] = {
    {"OpenAI chat", 200, JSON,
     "{\"choices\":[{\"usage\":{\"prompt_tokens\":99}}],\"usage\":{\"prompt_tokens\":12,"
     "\"completion_tokens\":5,\"total_tokens\":17,\"prompt_tokens_details\":{\"cached_tokens\":8}}"
     "}",
     "12 5 8 -1 -1 -1 -1 0"},
    {"OpenAI chat, no details", 200, JSON,
     "{\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":5,\"prompt_tokens_details\":null}}",
     "12 5 -1 -1 -1 -1 -1 0"},
    {"OpenAI responses", 200, JSON,
     "{\"usage\":{\"input_tokens\":4,\"output_tokens\":6,\"input_tokens_details\":"
     "{\"cached_tokens\":2}}}",
     "4 6 2 -1 -1 -1 -1 0"},
    {"Anthropic", 200, JSON,
     "{\"usage\":{\"input_tokens\":4,\"output_tokens\":6,\"cache_read_input_tokens\":0}}",
     "4 6 0 -1 -1 -1 -1 0"},
    {"usage in an object of a plain body does not count", 200, JSON,
     "{\"response\":{\"usage\":{\"input_tokens\":4}}}", "0 0 -1 -1 -1 -1 -1 0"},
    {"llama.cpp timings win", 200, JSON,
     "{\"usage\":{\"prompt_tokens\":18,\"completion_tokens\":5}," TIMINGS "}",
     "11 3 7 9 4 536.5 100 50"},
    {"timings without draft", 200, JSON,
     "{\"timings\":{\"prompt_n\":1,\"predicted_n\":2,\"prompt_per_second\":3,"
     "\"predicted_per_second\":4.25,\"draft_n\":3}}",
     "1 2 -1 -1 -1 3 4.25 0"},
    {"infill", 200, JSON, "[{\"timings\":{\"prompt_n\":99}}, {" TIMINGS "}]",
     "11 3 7 9 4 536.5 100 50"},
    {"infill, none in the last", 200, JSON, "[{" TIMINGS "}, {\"x\":1}]", "0 0 -1 -1 -1 -1 -1 0"},
    {"vLLM", 200, JSON,
     "{\"usage\":{\"prompt_tokens\":110,\"completion_tokens\":5,\"prompt_tokens_details\":"
     "{\"cached_tokens\":10}},\"metrics\":{\"time_to_first_token_ms\":500,\"mean_itl_ms\":20,"
     "\"speculative_decoding\":{\"num_draft_tokens\":6,\"num_accepted_draft_tokens\":5}}}",
     "110 5 10 6 5 200 50 0"},
    {"vLLM, no time at all", 200, JSON,
     "{\"usage\":{\"prompt_tokens\":110,\"completion_tokens\":5},"
     "\"metrics\":{\"time_to_first_token_ms\":1e-320,\"mean_itl_ms\":1e-320}}",
     "110 5 -1 -1 -1 -1 -1 0"},
    {"escaped names", 200, JSON, "{\"us\\u0061ge\":{\"prompt_t\\u006fkens\":3}}",
     "3 0 -1 -1 -1 -1 -1 0"},
    {"no counts", 200, JSON, "{\"data\":[]}", "0 0 -1 -1 -1 -1 -1 0"},
    {"values that are none", 200, JSON,
     "{\"usage\":{\"prompt_tokens\":\"3\",\"completion_tokens\":-4},\"timings\":null}",
     "0 0 -1 -1 -1 -1 -1 0"},
    {"not JSON", 200, "image/png", "\x89PNG{\"usage\":{\"prompt_tokens\":3}}", "0 0 0 0 0 0 0 0"},
    {"cut", 200, JSON, "{\"usage\":{\"prompt_tokens\":3}", "0 0 0 0 0 0 0 0"},
    {"empty", 200, JSON, "", "0 0 0 0 0 0 0 0"},
    {"stream, usage last", 200, SSE,
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\\nb\"}}],\"usage\":null}\n\n"
     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3}}\n\n"
     "data: [DONE]\n\n",
     "2 3 -1 -1 -1 -1 -1 0"},
    {"stream, timings", 200, SSE, "data:{" TIMINGS "}\r\n\r\ndata: [DONE]\r\n\r\n",
     "11 3 7 9 4 536.5 100 50"},
    {"stream, Anthropic", 200, SSE,
     "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":"
     "{\"input_tokens\":25,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n"
     ": ping\n\nevent: message_delta\ndata: "
     "{\"usage\":{\"input_tokens\":0,\"output_tokens\":15}}\n\n",
     "25 15 5 -1 -1 -1 -1 0"},
    {"stream, responses", 200, SSE,
     "event: response.completed\ndata: {\"response\":{\"output\":[{\"usage\":9}],\"usage\":"
     "{\"input_tokens\":36,\"output_tokens\":87,\"input_tokens_details\":{\"cached_tokens\":1}}}}"
     "\n\n",
     "36 87 1 -1 -1 -1 -1 0"},
    {"stream, what is broken is passed over", 200, SSE,
     "data: {\"usage\":{\"prompt_tokens\":9}\ndata: {\"usage\":{\"prompt_tokens\":2}}\nid: "
     "{\"usage\":"
     "{\"prompt_tokens\":5}}\ndata: x\n",
     "2 0 -1 -1 -1 -1 -1 0"},
    {"stream, escaped names behind other events", 200, SSE,
     "data: {\"x\":{}}\n\ndata: {\"c\":\"\\n\"}\n\ndata: "
     "{\"us\\u0061ge\":{\"prompt_tokens\":2}}\n\n",
     "2 0 -1 -1 -1 -1 -1 0"},
    {"stream, blanks around the colon", 200, SSE,
     "data: {\"y\":{}}\ndata: {\"usage\" \t: \t{\"prompt_tokens\":2}}\n", "2 0 -1 -1 -1 -1 -1 0"},
    {"stream, lines that end in carriage returns", 200, SSE,
     "data: {\"x\":{}}\rdata: {\"usage\":{\"prompt_tokens\":2}}\rdata: {}\r",
     "2 0 -1 -1 -1 -1 -1 0"},
    {"stream, names that only end so", 200, SSE,
     "data: {\"my_usage\":{\"prompt_tokens\":9}}\ndata: {\"a\":\"usage\\\":{\"}\n",
     "0 0 0 0 0 0 0 0"},
    {"stream without counts", 200, SSE, "data: {\"x\":1}\n\ndata: [DONE]\n\n", "0 0 0 0 0 0 0 0"},
    {"stream that ends in a line", 200, SSE, "data: {\"usage\":{\"prompt_tokens\":2}}",
     "2 0 -1 -1 -1 -1 -1 0"},
    {"error, OpenAI", 400, JSON, "{\"error\":{\"message\":\"too \\u00e9 long\"}}",
     "0 0 0 0 0 0 0 0|too \xc3\xa9 long"},
    {"error, a text", 503, JSON, "{\"error\":\"busy\",\"message\":\"not this\"}",
     "0 0 0 0 0 0 0 0|busy"},
    {"error, message", 500, JSON, "{\"error\":\"  \",\"message\":\"m\"}", "0 0 0 0 0 0 0 0|m"},
    {"error, detail", 422, JSON, "{\"detail\":\"d\"}", "0 0 0 0 0 0 0 0|d"},
    {"error, list of details", 422, JSON, "{\"detail\":[{\"msg\":\"d\"}]}",
     "0 0 0 0 0 0 0 0|422 Unprocessable Content"},
    {"error, no JSON", 502, "text/html", "<h1>no</h1>", "0 0 0 0 0 0 0 0|502 Bad Gateway"},
    {"error without a body", 404, "", "", "0 0 0 0 0 0 0 0|404 Not Found"},
};

/* A tap, and what it has read when it is over. */
struct reading {
    struct tap_spare spare;
    struct tap *tap;
    struct tap_counts counts;
    struct buf error;
};

static void begin(struct reading *r, struct tap_answer answer)
{
    *r = (struct reading){0};
    r->tap = tap_new(&answer, &r->spare);
}

static void end(struct reading *r)
{
    tap_end(r->tap, &r->counts, &r->error);
}

static void fini(struct reading *r)
{
    tap_free(r->tap);
    tap_spare_fini(&r->spare);
    buf_fini(&r->error);
}

static struct tap_answer answer_of(const struct row *r)
{
    return (struct tap_answer){.status = r->status, .type = r->type, .type_len = strlen(r->type)};
}

/* What a tap says of the pieces body[0..cut), [cut..then), [then..n). */
static const char *taste(const struct row *r, size_t cut, size_t then)
{
    static char out[1024];
    size_t n = strlen(r->body);
    struct reading got;
    begin(&got, answer_of(r));
    tap_feed(got.tap, input_put(INPUT_AT_END, r->body, cut), cut);
    tap_feed(got.tap, input_put(INPUT_AT_START, r->body + cut, then - cut), then - cut);
    tap_feed(got.tap, input_put(INPUT_AT_END, r->body + then, n - then), n - then);
    end(&got);
    const struct tap_counts *c = &got.counts;
    snprintf(out, sizeof(out), "%lld %lld %lld %lld %lld %.10g %.10g %llu%s%s", (long long)c->input,
             (long long)c->output, (long long)c->cached, (long long)c->drafted,
             (long long)c->draft_accepted, c->prompt_per_second, c->output_per_second,
             (unsigned long long)c->measured_ms, got.error.len ? "|" : "",
             got.error.len ? got.error.data : "");
    fini(&got);
    return out;
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        const struct row *r = &rows[i];
        size_t n = strlen(r->body);
        for (size_t cut = 0; cut <= n; cut++) {
            size_t thens[] = {cut, cut < n ? cut + 1 : n, n};
            for (size_t k = 0; k < countof(thens); k++) {
                const char *got = taste(r, cut, thens[k]);
                if (strcmp(got, r->expected) != 0)
                    fail_msg("%s, cut at %zu and %zu: got \"%s\", want \"%s\"", r->what, cut,
                             thens[k], got, r->expected);
            }
        }
    }
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        const struct row *r = &rows[i];
        struct reading got;
        begin(&got, answer_of(r));
        for (size_t k = 0; r->body[k]; k++)
            tap_feed(got.tap, input_put(INPUT_AT_END, r->body + k, 1), 1);
        end(&got);
        long long want = -2;
        assert_int_equal(sscanf(r->expected, "%lld", &want), 1);
        if (got.counts.input != want)
            fail_msg("%s: got %lld, want %lld", r->what, (long long)got.counts.input, want);
        fini(&got);
    }
}

/* An object beyond the bound is passed over; those beside it are not. */
static void test_bounds(void **state)
{
    (void)state;
    struct reading got;
    struct buf body = {0};
    buf_text(&body, "{\"usage\":{\"pad\":\"");
    for (int i = 0; i < TAP_OBJECT_MAX; i++)
        buf_char(&body, 'x');
    buf_text(&body, "\",\"prompt_tokens\":5},\"timings\":{\"predicted_n\":6}}");
    begin(&got, (struct tap_answer){.status = 200, .type = JSON, .type_len = strlen(JSON)});
    tap_feed(got.tap, body.data, body.len);
    end(&got);
    assert_int_equal(got.counts.input, 0);
    assert_int_equal(got.counts.output, 6);
    fini(&got);
    buf_fini(&body);
}

static void test_long_errors_are_cut(void **state)
{
    (void)state;
    struct reading got;
    struct buf body = {0};
    buf_text(&body, "{\"message\":\"");
    for (int i = 0; i < TAP_MESSAGE_MAX - 1; i++)
        buf_char(&body, 'x');
    buf_text(&body, "\xc3\xa9\"}");
    begin(&got, (struct tap_answer){.status = 500});
    tap_feed(got.tap, body.data, body.len);
    end(&got);
    assert_int_equal(got.error.len, TAP_MESSAGE_MAX - 1 + 3);
    assert_string_equal(got.error.data + TAP_MESSAGE_MAX - 2, "x...");
    fini(&got);
    buf_fini(&body);
}

static void test_encoded(void **state)
{
    (void)state;
    struct reading got;
    begin(&got, (struct tap_answer){.status = 200, .encoded = true});
    tap_feed(got.tap, "\x1f\x8b", 2);
    end(&got);
    assert_int_equal(got.counts.cached, 0);
    assert_string_equal(got.error.data, "the answer is encoded, so it was not read");
    fini(&got);
}

/* In processor time: what it takes to feed so many lines at once. */
static clock_t cost_of(const char *line, size_t lines)
{
    struct buf text = {0};
    struct reading got;
    begin(&got, (struct tap_answer){.status = 200, .type = SSE, .type_len = strlen(SSE)});
    for (size_t i = 0; i < lines; i++)
        buf_text(&text, line);
    clock_t from = clock();
    tap_feed(got.tap, text.data, text.len);
    clock_t cost = clock() - from;
    fini(&got);
    buf_fini(&text);
    return cost;
}

/* What is looked for line by line is not looked for to the end of the text each time. */
static void test_the_cost_grows_with_the_length(void **state)
{
    static const char line[] = "\"usage\":{\\n\\n\\n\\n\\n\\n\\n\\n\n";
    (void)state;
    clock_t few = 0, many = cost_of(line, 16 * 1024);
    for (int i = 0; i < 16; i++)
        few += cost_of(line, 1024);
    if (many > 4 * few + CLOCKS_PER_SEC / 20)
        fail_msg("16384 lines at once took %ld, 1024 sixteen times %ld", (long)many, (long)few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_bounds),  cmocka_unit_test(test_long_errors_are_cut),
        cmocka_unit_test(test_encoded), cmocka_unit_test(test_the_cost_grows_with_the_length)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
