/* JSON is looked through by the scanner that requests are looked through by. It takes objects only,
 * and says where values stand; so each text is scanned as the one member of an object, and the
 * bytes of what is wanted are copied while they pass. */
#include "server/proxy/tap.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "http/head.h"
#include "http/json.h"

/* Numbers that are larger are no counts: all up to here are exact in a double. */
#define COUNT_MAX 9007199254740992.0

#define WRAP "{\"a\":"
#define IN JSON_NAME("a")
#define LAST                                                                                       \
    {                                                                                              \
        .name = "-1", .name_len = 2, .index = JSON_LAST                                            \
    }

/* ---- what is looked for ---- */

enum object {
    OBJECT_USAGE,
    OBJECT_TIMINGS,
    OBJECT_METRICS,
    OBJECT_LAST_TIMINGS,   /* /infill: a list of answers */
    OBJECT_RESPONSE_USAGE, /* in events of a stream only, from here */
    OBJECT_MESSAGE_USAGE,
    OBJECT__COUNT
};
#define OBJECTS_IN_JSON OBJECT_RESPONSE_USAGE

static const struct {
    struct json_step path[3];
    uint32_t steps;
} objects[OBJECT__COUNT] = {
    [OBJECT_USAGE] = {{IN, JSON_NAME("usage")}, 2},
    [OBJECT_TIMINGS] = {{IN, JSON_NAME("timings")}, 2},
    [OBJECT_METRICS] = {{IN, JSON_NAME("metrics")}, 2},
    [OBJECT_LAST_TIMINGS] = {{IN, LAST, JSON_NAME("timings")}, 3},
    [OBJECT_RESPONSE_USAGE] = {{IN, JSON_NAME("response"), JSON_NAME("usage")}, 3},
    [OBJECT_MESSAGE_USAGE] = {{IN, JSON_NAME("message"), JSON_NAME("usage")}, 3},
};

enum number {
    NUMBER_PROMPT_TOKENS, /* of usage */
    NUMBER_INPUT_TOKENS,
    NUMBER_COMPLETION_TOKENS,
    NUMBER_OUTPUT_TOKENS,
    NUMBER_CACHE_READ,
    NUMBER_INPUT_CACHED,
    NUMBER_PROMPT_CACHED,
    NUMBER_PROMPT_N, /* of timings */
    NUMBER_PREDICTED_N,
    NUMBER_PROMPT_SPEED,
    NUMBER_PREDICTED_SPEED,
    NUMBER_PROMPT_MS,
    NUMBER_PREDICTED_MS,
    NUMBER_CACHE_N,
    NUMBER_DRAFT_N,
    NUMBER_DRAFT_ACCEPTED,
    NUMBER_SPECULATED, /* of metrics */
    NUMBER_SPECULATED_ACCEPTED,
    NUMBER_FIRST_TOKEN_MS,
    NUMBER_BETWEEN_TOKENS_MS,
    NUMBER__COUNT
};

static const struct {
    struct json_step path[2];
    uint32_t steps;
} numbers[NUMBER__COUNT] = {
    [NUMBER_PROMPT_TOKENS] = {{JSON_NAME("prompt_tokens")}, 1},
    [NUMBER_INPUT_TOKENS] = {{JSON_NAME("input_tokens")}, 1},
    [NUMBER_COMPLETION_TOKENS] = {{JSON_NAME("completion_tokens")}, 1},
    [NUMBER_OUTPUT_TOKENS] = {{JSON_NAME("output_tokens")}, 1},
    [NUMBER_CACHE_READ] = {{JSON_NAME("cache_read_input_tokens")}, 1},
    [NUMBER_INPUT_CACHED] = {{JSON_NAME("input_tokens_details"), JSON_NAME("cached_tokens")}, 2},
    [NUMBER_PROMPT_CACHED] = {{JSON_NAME("prompt_tokens_details"), JSON_NAME("cached_tokens")}, 2},
    [NUMBER_PROMPT_N] = {{JSON_NAME("prompt_n")}, 1},
    [NUMBER_PREDICTED_N] = {{JSON_NAME("predicted_n")}, 1},
    [NUMBER_PROMPT_SPEED] = {{JSON_NAME("prompt_per_second")}, 1},
    [NUMBER_PREDICTED_SPEED] = {{JSON_NAME("predicted_per_second")}, 1},
    [NUMBER_PROMPT_MS] = {{JSON_NAME("prompt_ms")}, 1},
    [NUMBER_PREDICTED_MS] = {{JSON_NAME("predicted_ms")}, 1},
    [NUMBER_CACHE_N] = {{JSON_NAME("cache_n")}, 1},
    [NUMBER_DRAFT_N] = {{JSON_NAME("draft_n")}, 1},
    [NUMBER_DRAFT_ACCEPTED] = {{JSON_NAME("draft_n_accepted")}, 1},
    [NUMBER_SPECULATED] = {{JSON_NAME("speculative_decoding"), JSON_NAME("num_draft_tokens")}, 2},
    [NUMBER_SPECULATED_ACCEPTED] = {{JSON_NAME("speculative_decoding"),
                                     JSON_NAME("num_accepted_draft_tokens")},
                                    2},
    [NUMBER_FIRST_TOKEN_MS] = {{JSON_NAME("time_to_first_token_ms")}, 1},
    [NUMBER_BETWEEN_TOKENS_MS] = {{JSON_NAME("mean_itl_ms")}, 1},
};

/* -1: not there. */
struct numbers {
    double value[NUMBER__COUNT];
};

/* ---- one text ---- */

struct text {
    struct json_scan scan;
    struct json_want wants[OBJECT__COUNT];
    struct buf bytes[OBJECT__COUNT]; /* of the values that were found */
    uint64_t at[OBJECT__COUNT];      /* where the value stands whose bytes these are */
    uint32_t wanted;                 /* of the objects */
    bool broken;                     /* it is no JSON */
    struct {                         /* how it all began, for the next text that wants as many */
        struct json_scan scan;
        struct json_want wants[OBJECT__COUNT];
        uint32_t wanted; /* 0: none has begun */
    } first;
};

enum line { LINE_NAME, LINE_DATA, LINE_SKIPPED };

struct tap {
    unsigned status;
    bool failed, encoded, stream, whole; /* whole: JSON that is not a stream */
    enum line line;
    uint32_t named; /* characters of "data:" that a line has begun with */
    struct buf error;
    struct tap_spare *spare;
    struct text *text; /* owned; of a stream only within a line: most of its life is between two */
    struct numbers found;
    bool has_timings, has_metrics, understood;
};

static void scan_piece(struct text *t, const char *data, size_t n)
{
    uint64_t before = t->scan.offset;
    if (t->broken || json_scan_feed(&t->scan, data, n) < 0) {
        t->broken = true;
        return;
    }
    for (uint32_t i = 0; i < t->wanted; i++) {
        const struct json_want *w = &t->wants[i];
        if (w->off != t->at[i])
            buf_clear(&t->bytes[i]);
        t->at[i] = w->off;
        if (w->type != JSON_TYPE_OBJECT)
            continue;
        uint64_t from = w->off > before ? w->off : before;
        uint64_t to = w->len ? w->off + w->len : t->scan.offset;
        if (to > from)
            buf_append(&t->bytes[i], data + (from - before), (size_t)(to - from));
    }
}

static void begin_first(struct text *t)
{
    for (uint32_t i = 0; i < t->wanted; i++)
        t->wants[i] = (struct json_want){.path = objects[i].path, .steps = objects[i].steps};
    json_scan_init(&t->scan, t->wants, t->wanted);
    scan_piece(t, WRAP, sizeof(WRAP) - 1);
    t->first.scan = t->scan;
    memcpy(t->first.wants, t->wants, sizeof(t->wants));
    t->first.wanted = t->wanted;
}

/* The spare one keeps the memory of what it read before. */
static struct text *text_new(struct tap_spare *spare, uint32_t wanted)
{
    struct text *t = spare->text ? spare->text : alloc_zeroed(1, sizeof(*t));
    spare->text = NULL;
    t->wanted = wanted;
    t->broken = false;
    for (uint32_t i = 0; i < wanted; i++) {
        t->bytes[i].max = TAP_OBJECT_MAX;
        t->at[i] = 0;
        buf_clear(&t->bytes[i]);
    }
    if (t->first.wanted == wanted) {
        t->scan = t->first.scan;
        memcpy(t->wants, t->first.wants, wanted * sizeof(t->wants[0]));
    } else {
        begin_first(t);
    }
    return t;
}

static void text_free(struct text *t)
{
    for (uint32_t i = 0; t && i < OBJECT__COUNT; i++)
        buf_fini(&t->bytes[i]);
    free(t);
}

static void text_put(struct tap_spare *spare, struct text *t)
{
    if (spare->text)
        text_free(t);
    else
        spare->text = t;
}

void tap_spare_fini(struct tap_spare *spare)
{
    text_free(spare->text);
    spare->text = NULL;
}

/* Whether it was JSON. */
static bool text_end(struct text *t)
{
    scan_piece(t, "}", 1);
    return !t->broken && json_scan_end(&t->scan) == 0;
}

/* ---- numbers ---- */

static const struct numbers no_numbers = {
    .value = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}};
_Static_assert(NUMBER__COUNT == 20, "no_numbers");

/* Those from `from` up to `to`, of an object that may have them. */
static void read_numbers(const struct buf *text, enum number from, enum number to,
                         struct numbers *ret)
{
    struct json_scan scan;
    struct json_want wants[NUMBER__COUNT];
    uint32_t count = to - from;
    for (uint32_t i = 0; i < count; i++) {
        wants[i] =
            (struct json_want){.path = numbers[from + i].path, .steps = numbers[from + i].steps};
        ret->value[from + i] = -1;
    }
    json_scan_init(&scan, wants, count);
    if (json_scan_feed(&scan, text->data, text->len) < 0 || json_scan_end(&scan) < 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (wants[i].type != JSON_TYPE_NUMBER)
            continue;
        double value = strtod(text->data + wants[i].off, NULL);
        if (value >= 0 && value <= COUNT_MAX)
            ret->value[from + i] = value;
    }
}

/* What is said later replaces what was, unless it is 0: the first event of a stream has the prompt,
 * the last one the rest. */
static void merge_usage(const struct buf *text, struct numbers *found)
{
    struct numbers n;
    read_numbers(text, NUMBER_PROMPT_TOKENS, NUMBER_PROMPT_N, &n);
    for (uint32_t i = NUMBER_PROMPT_TOKENS; i < NUMBER_PROMPT_N; i++)
        if (n.value[i] > 0 || (n.value[i] >= 0 && found->value[i] < 0))
            found->value[i] = n.value[i];
}

static void note_object(struct tap *t, enum object which)
{
    const struct buf *text = &t->text->bytes[which];
    if (t->text->wants[which].type != JSON_TYPE_OBJECT || text->overflow || text->len == 0)
        return;
    t->understood = true;
    switch (which) {
    case OBJECT_USAGE:
    case OBJECT_RESPONSE_USAGE:
    case OBJECT_MESSAGE_USAGE:
        merge_usage(text, &t->found);
        break;
    case OBJECT_TIMINGS:
    case OBJECT_LAST_TIMINGS:
        read_numbers(text, NUMBER_PROMPT_N, NUMBER_SPECULATED, &t->found);
        t->has_timings = true;
        break;
    case OBJECT_METRICS:
        read_numbers(text, NUMBER_SPECULATED, NUMBER__COUNT, &t->found);
        t->has_metrics = true;
        break;
    case OBJECT__COUNT:
        never("object");
    }
}

static void note_text(struct tap *t)
{
    if (text_end(t->text)) {
        for (uint32_t i = 0; i < t->text->wanted; i++)
            note_object(t, (enum object)i);
        t->understood |= t->whole;
    }
    text_put(t->spare, t->text);
    t->text = NULL;
}

/* ---- lines of a stream (WHATWG HTML, 9.2.6) ---- */

static void end_line(struct tap *t)
{
    if (t->line == LINE_DATA && t->text)
        note_text(t);
    t->line = LINE_NAME;
    t->named = 0;
}

static void begin_line(struct tap *t, char c)
{
    static const char name[] = "data:";
    if (c != name[t->named])
        t->line = LINE_SKIPPED;
    else if (++t->named == sizeof(name) - 1)
        t->line = LINE_DATA;
}

/* The first byte of a line feed or a carriage return, or the end. */
static const char *find_line_end(const char *data, const char *end)
{
    const char *stop = memchr(data, '\n', (size_t)(end - data));
    const char *cr = memchr(data, '\r', (size_t)((stop ? stop : end) - data));
    return cr ? cr : stop ? stop : end;
}

/* Whether the value that begins behind end, within a line that begins at from or later, has the
 * name of an object that is looked for. */
static bool is_named(const char *from, const char *end)
{
    static const char *const names[] = {"usage", "timings", "metrics"};
    while (end > from && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == ':'))
        end--;
    if (end == from || end[-1] != '"')
        return false;
    for (size_t i = 0; i < countof(names); i++) {
        size_t n = strlen(names[i]);
        if ((size_t)(end - 1 - from) > n && memcmp(end - 1 - n, names[i], n) == 0)
            return true;
    }
    return false;
}

/* The u of the first escape by which a name may be spelled, or end. */
static const char *find_escape(const char *data, const char *end)
{
    while ((data = memchr(data, '\\', (size_t)(end - data))))
        if (++data < end && *data == 'u')
            return data;
    return end;
}

/* The first place at which an object that is looked for may begin; or escape, which is the first
 * from data on. Most events of a stream have none. */
static const char *find_object(const char *data, const char *escape)
{
    const char *stop = data;
    while ((stop = memchr(stop, '{', (size_t)(escape - stop)))) {
        if (is_named(data, stop))
            return stop;
        stop++;
    }
    return escape;
}

/* Passes over the whole lines from a line's beginning that have no such place. */
static const char *skip_lines(const char *data, const char *object)
{
    const char *last = memrchr(data, '\n', (size_t)(object - data));
    return last ? last + 1 : data;
}

static void feed_lines(struct tap *t, const char *data, size_t n)
{
    const char *end = data + n, *object = NULL, *escape = NULL;
    while (data < end) {
        if (t->line == LINE_NAME && t->named == 0) {
            /* Each is looked for from where the last one was: all of it once, not for each line. */
            if (!escape || escape < data)
                escape = find_escape(data, end);
            if (!object || object < data)
                object = find_object(data, escape);
            data = skip_lines(data, object);
            if (data == end)
                break;
        }
        if (*data == '\n' || *data == '\r') {
            end_line(t);
            data++;
            continue;
        }
        if (t->line == LINE_NAME) {
            begin_line(t, *data++);
            continue;
        }
        const char *stop = find_line_end(data, end);
        if (t->line == LINE_DATA && !t->text)
            t->text = text_new(t->spare, OBJECT__COUNT);
        if (t->line == LINE_DATA)
            scan_piece(t->text, data, (size_t)(stop - data));
        data = stop;
    }
}

/* ---- the whole ---- */

static bool has_word(const struct tap_answer *a, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= a->type_len; i++)
        if (strncasecmp(a->type + i, word, n) == 0)
            return true;
    return false;
}

struct tap *tap_new(const struct tap_answer *answer, struct tap_spare *spare)
{
    struct tap *t = alloc_zeroed(1, sizeof(*t));
    t->spare = spare;
    t->status = answer->status;
    t->failed = answer->status != 200;
    t->encoded = answer->encoded;
    t->stream = !t->failed && !t->encoded && has_word(answer, "text/event-stream");
    t->whole = !t->failed && !t->encoded && !t->stream;
    t->found = no_numbers;
    buf_init(&t->error, TAP_ERROR_MAX);
    t->text = t->whole ? text_new(spare, OBJECTS_IN_JSON) : NULL;
    return t;
}

void tap_free(struct tap *t)
{
    if (!t)
        return;
    if (t->text)
        text_put(t->spare, t->text);
    buf_fini(&t->error);
    free(t);
}

void tap_feed(struct tap *t, const char *data, size_t n)
{
    if (t->encoded)
        return;
    if (t->failed)
        buf_append(&t->error, data, n);
    else if (t->stream)
        feed_lines(t, data, n);
    else
        scan_piece(t->text, data, n);
}

static int64_t first_of(const struct numbers *n, enum number a, enum number b, enum number c)
{
    const enum number in_order[] = {a, b, c};
    for (size_t i = 0; i < countof(in_order); i++)
        if (n->value[in_order[i]] >= 0)
            return (int64_t)n->value[in_order[i]];
    return -1;
}

static int64_t at_least_0(int64_t count)
{
    return count > 0 ? count : 0;
}

static void take_draft(const struct numbers *n, enum number drafted, enum number accepted,
                       struct tap_counts *c)
{
    if (n->value[drafted] < 0 || n->value[accepted] < 0)
        return;
    c->drafted = (int64_t)n->value[drafted];
    c->draft_accepted = (int64_t)n->value[accepted];
}

/* llama.cpp counts what it worked on itself, so that it is believed. */
static void take_timings(const struct numbers *n, struct tap_counts *c)
{
    c->input = at_least_0((int64_t)n->value[NUMBER_PROMPT_N]);
    c->output = at_least_0((int64_t)n->value[NUMBER_PREDICTED_N]);
    c->prompt_per_second = n->value[NUMBER_PROMPT_SPEED];
    c->output_per_second = n->value[NUMBER_PREDICTED_SPEED];
    if (n->value[NUMBER_CACHE_N] >= 0)
        c->cached = (int64_t)n->value[NUMBER_CACHE_N];
    take_draft(n, NUMBER_DRAFT_N, NUMBER_DRAFT_ACCEPTED, c);
    double ms = 0;
    ms += n->value[NUMBER_PROMPT_MS] > 0 ? n->value[NUMBER_PROMPT_MS] : 0;
    ms += n->value[NUMBER_PREDICTED_MS] > 0 ? n->value[NUMBER_PREDICTED_MS] : 0;
    c->measured_ms = (uint64_t)ms;
}

/* No speed is beyond all numbers, which JSON cannot say. */
static void take_speed(double count, double ms, double *ret)
{
    double speed = ms > 0 ? count * 1000 / ms : -1;
    if (speed >= 0 && speed <= COUNT_MAX)
        *ret = speed;
}

static void take_metrics(const struct numbers *n, struct tap_counts *c)
{
    double first = n->value[NUMBER_FIRST_TOKEN_MS], between = n->value[NUMBER_BETWEEN_TOKENS_MS];
    double fresh = (double)(c->input - at_least_0(c->cached));
    take_draft(n, NUMBER_SPECULATED, NUMBER_SPECULATED_ACCEPTED, c);
    if (fresh > 0)
        take_speed(fresh, first, &c->prompt_per_second);
    take_speed(1, between, &c->output_per_second);
}

static void sum_up(const struct tap *t, struct tap_counts *c)
{
    *c = (struct tap_counts){0};
    if (!t->understood)
        return;
    c->drafted = c->draft_accepted = -1;
    c->prompt_per_second = c->output_per_second = -1;
    c->input = at_least_0(
        first_of(&t->found, NUMBER_PROMPT_TOKENS, NUMBER_INPUT_TOKENS, NUMBER_INPUT_TOKENS));
    c->output = at_least_0(
        first_of(&t->found, NUMBER_COMPLETION_TOKENS, NUMBER_OUTPUT_TOKENS, NUMBER_OUTPUT_TOKENS));
    c->cached = first_of(&t->found, NUMBER_CACHE_READ, NUMBER_INPUT_CACHED, NUMBER_PROMPT_CACHED);
    if (t->has_timings)
        take_timings(&t->found, c);
    if (t->has_metrics)
        take_metrics(&t->found, c);
}

/* ---- why it failed ---- */

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

/* Cut between two characters of UTF-8. */
static void put_message(const char *text, uint32_t len, struct buf *out)
{
    size_t n = strlen(text);
    if (len <= TAP_MESSAGE_MAX) {
        buf_text(out, text);
        return;
    }
    n = n < TAP_MESSAGE_MAX ? n : TAP_MESSAGE_MAX;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    buf_append(out, text, n);
    buf_text(out, "...");
}

static void put_error(const struct tap *t, struct buf *out)
{
    static const struct json_step paths[][2] = {
        {JSON_NAME("error"), JSON_NAME("message")},
        {JSON_NAME("error")},
        {JSON_NAME("message")},
        {JSON_NAME("detail")},
    };
    char texts[countof(paths)][TAP_MESSAGE_MAX + 8];
    struct json_want wants[countof(paths)];
    struct json_scan scan;
    for (size_t i = 0; i < countof(paths); i++)
        wants[i] = (struct json_want){.path = paths[i],
                                      .steps = i == 0 ? 2 : 1,
                                      .text = texts[i],
                                      .text_size = sizeof(texts[i])};
    json_scan_init(&scan, wants, countof(paths));
    bool valid = !t->error.overflow && json_scan_feed(&scan, t->error.data, t->error.len) == 0 &&
                 json_scan_end(&scan) == 0;
    for (size_t i = 0; valid && i < countof(paths); i++) {
        if (wants[i].type != JSON_TYPE_STRING || is_blank(texts[i]))
            continue;
        put_message(texts[i], wants[i].text_len, out);
        return;
    }
    buf_printf(out, "%u %s", t->status, http_reason((int)t->status));
}

void tap_end(struct tap *t, struct tap_counts *ret, struct buf *error)
{
    if (t->stream)
        end_line(t);
    else if (t->whole)
        note_text(t);
    sum_up(t, ret);
    if (t->encoded)
        buf_text(error, "the answer is encoded, so it was not read");
    else if (t->failed)
        put_error(t, error);
}
