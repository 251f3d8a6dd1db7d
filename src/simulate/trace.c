#include "simulate/trace.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "simulate/trace_row.h"

static const struct {
    const char *name;
    enum trace_column column;
} columns[] = {
    {"time", TRACE_TIME},
    {"timestamp", TRACE_TIMESTAMP},
    {"model", TRACE_MODEL},
    {"class", TRACE_CLASS},
    {"key", TRACE_KEY},
    {"prompt_tokens", TRACE_PROMPT},
    {"ContextTokens", TRACE_PROMPT},
    {"input_length", TRACE_PROMPT},
    {"output_tokens", TRACE_OUTPUT},
    {"GeneratedTokens", TRACE_OUTPUT},
    {"output_length", TRACE_OUTPUT},
    {"seconds", TRACE_SECONDS},
};

#define TOKENS_MAX 1000000000000

void trace_context_fini(struct trace_context *ctx)
{
    names_fini(&ctx->keys);
}

enum trace_column trace_column_find(const char *name)
{
    for (size_t i = 0; i < countof(columns); i++)
        if (strcasecmp(columns[i].name, name) == 0)
            return columns[i].column;
    return TRACE__COLUMNS;
}

static bool has(const char *cell)
{
    return cell && *cell;
}

static int parse_time(struct trace_file *f, const char *const *cells, uint64_t *ret, struct err *e)
{
    bool is_stamp = !has(cells[TRACE_TIME]);
    const char *text = is_stamp ? cells[TRACE_TIMESTAMP] : cells[TRACE_TIME];
    enum trace_clock clock = TRACE_CLOCK_DATES;
    if (!has(text))
        return err_set(e, "it does not say when: give it a time");
    if (!trace_parse_date(text, ret)) {
        clock = TRACE_CLOCK_NUMBERS;
        if (!units_parse_duration(text, is_stamp ? NS_PER_MS : NS_PER_S, ret))
            return err_set(e, "'%.60s' is neither a date nor a number of %s", text,
                           is_stamp ? "milliseconds" : "seconds");
    }
    if (f->ctx->clock != TRACE_CLOCK_NONE && f->ctx->clock != clock)
        return err_set(e, "'%.60s': dates and numbers cannot be merged by time", text);
    f->ctx->clock = clock;
    return 0;
}

static int parse_tokens(const char *text, uint64_t *ret, struct err *e)
{
    *ret = 0;
    if (!has(text))
        return 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9')
            return err_set(e, "'%.60s' is not a number of tokens", text);
        *ret = *ret * 10 + (uint64_t)(*p - '0');
        if (*ret > TOKENS_MAX)
            return err_set(e, "'%.60s' tokens are too many", text);
    }
    return 0;
}

static int parse_length(const struct trace_file *f, const char *const *cells, struct work_row *row,
                        struct err *e)
{
    uint64_t prompt, output;
    if (has(cells[TRACE_SECONDS])) {
        if (!units_parse_duration(cells[TRACE_SECONDS], NS_PER_S, &row->serve_ns))
            return err_set(e, "'%.60s' is not a number of seconds", cells[TRACE_SECONDS]);
        return 0;
    }
    if (!has(cells[TRACE_PROMPT]) && !has(cells[TRACE_OUTPUT]))
        return err_set(e, "it does not say how long it took: give it tokens or seconds");
    if (parse_tokens(cells[TRACE_PROMPT], &prompt, e) < 0 ||
        parse_tokens(cells[TRACE_OUTPUT], &output, e) < 0)
        return -1;
    row->serve_ns = work_serve_ns(&f->work->speed, prompt, output);
    row->prompt = work_tokens(prompt);
    row->output = work_tokens(output);
    return 0;
}

static int parse_model(const struct config *config, const char *text, uint32_t *ret, struct err *e)
{
    const char *nearest;
    if (!has(text)) {
        *ret = WORK_DRAWN;
        return 0;
    }
    const struct config_model *m = config_find_model(config, text);
    if (!m && config_nearest_models(config, text, &nearest, 1))
        return err_set(e, "no model '%.80s'; did you mean '%.80s'?", text, nearest);
    if (!m)
        return err_set(e, "no model '%.80s' in the configuration", text);
    *ret = (uint32_t)(m - config->models);
    return 0;
}

int trace_row_add(struct trace_file *f, const char *const cells[TRACE__COLUMNS], struct err *e)
{
    struct work_row row = {.class = WORK_MODELS_CLASS};
    if (parse_time(f, cells, &row.at_ns, e) < 0 || parse_length(f, cells, &row, e) < 0 ||
        parse_model(f->ctx->config, cells[TRACE_MODEL], &row.model, e) < 0 ||
        (has(cells[TRACE_CLASS]) && work_parse_class(cells[TRACE_CLASS], &row.class, e) < 0))
        return -1;
    if (f->work->count == WORK_ROWS_MAX)
        return err_set(e, "more than %d rows", WORK_ROWS_MAX);
    if (has(cells[TRACE_KEY]))
        row.key = names_number(&f->ctx->keys, cells[TRACE_KEY]);
    *workload_add(f->work) = row;
    return 0;
}

/* The first character that is no blank tells the formats apart; it is read again. */
static bool is_jsonl(FILE *stream)
{
    int c;
    do
        c = getc(stream);
    while (c != EOF && isspace(c));
    rewind(stream);
    return c == '{';
}

int trace_read(const char *path, struct trace_context *ctx, struct workload *w, struct err *e)
{
    struct trace_file f = {
        .stream = fopen(path, "re"), .path = path, .ctx = ctx, .work = w, .line = 0};
    if (!f.stream)
        return err_set(e, "%.300s: %s", path, strerror(errno));
    int rc = is_jsonl(f.stream) ? trace_jsonl_read(&f, e) : trace_csv_read(&f, e);
    if (ferror(f.stream))
        rc = err_set(e, "it cannot be read");
    if (rc < 0)
        err_wrap(e, "%.300s:%u", path, f.line);
    fclose(f.stream);
    return rc;
}
