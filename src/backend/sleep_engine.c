#include "backend/sleep_engine.h"

#include <string.h>

#include "base/buf.h"
#include "base/pure/check.h"
#include "http/json.h"

/* Sources: vLLM's sleep mode (parameters are read from the query alone; after level 2 the weights
 * have to be read again before the cache comes back), SGLang's memory saver, ComfyUI's and A1111's
 * web APIs, TabbyAPI's (an admin key as a bearer token is a key for everything; GET /v1/model is
 * answered 503, by older ones 400, with nothing loaded). */
#define VLLM                                                                                       \
    .word = "vllm", .asleep = {"/is_sleeping", {"is_sleeping"}, "true", {0}},                      \
    .needs = "vLLM knows it when it runs with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1"

static const struct sleep_engine engines[] = {
    {
        VLLM,
        .level = 1,
        .suspend = {{"POST", "/sleep?level=1", ""}},
        .resume = {{"POST", "/wake_up", ""}},
    },
    {
        VLLM,
        .level = 2,
        .suspend = {{"POST", "/sleep?level=2", ""}},
        .resume = {{"POST", "/wake_up?tags=weights", ""},
                   {"POST", "/collective_rpc", "{\"method\":\"reload_weights\"}"},
                   {"POST", "/wake_up?tags=kv_cache", ""}},
    },
    {
        .word = "sglang",
        .suspend = {{"POST", "/release_memory_occupation", "{}"}},
        .resume = {{"POST", "/resume_memory_occupation", "{}"}},
        .needs = "SGLang knows it when it runs with --enable-memory-saver",
    },
    {
        /* It only notes what is to be freed, and does so between two prompts; the next prompt loads
         * again. */
        .word = "comfyui",
        .idle = {"/queue", {"queue_running", "queue_pending"}, "[]", {0}},
        .suspend = {{"POST", "/free", "{\"unload_models\":true,\"free_memory\":true}"}},
    },
    {
        .word = "a1111",
        .suspend = {{"POST", "/sdapi/v1/unload-checkpoint", ""}},
        .resume = {{"POST", "/sdapi/v1/reload-checkpoint", ""}},
        .needs = "it knows it when it runs with --api",
    },
    {
        .word = "tabby",
        .suspend = {{"POST", "/v1/model/unload", ""}},
        .resume = {{"POST", "/v1/model/load", "{\"model_name\":${model}}"}},
        .asleep = {"/v1/model", {NULL}, NULL, {503, 400}},
        .prompt = true,
        .key = "Bearer ${key}",
    },
    {
        .word = "http",
        .suspend = {{"${suspend.method}", "${suspend.path}", "${suspend.body}"}},
        .resume = {{"${resume.method}", "${resume.path}", "${resume.body}"}},
        .asleep = {"${check.path}", {"${check.member}"}, "${check.value}", {0}},
    },
};

const struct sleep_engine *sleep_find(const char *word, uint32_t level)
{
    for (size_t i = 0; i < countof(engines); i++)
        if (strcmp(engines[i].word, word) == 0 && (!engines[i].level || engines[i].level == level))
            return &engines[i];
    return NULL;
}

static const char *value_of(const struct sleep_value *values, size_t count, const char *name,
                            size_t n)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(values[i].name) == n && strncmp(values[i].name, name, n) == 0)
            return values[i].text;
    return "";
}

void sleep_fill(struct buf *out, const char *text, const struct sleep_value *values, size_t count)
{
    const char *name, *end;
    while ((name = strstr(text, "${")) && (end = strchr(name, '}'))) {
        buf_append(out, text, (size_t)(name - text));
        buf_text(out, value_of(values, count, name + 2, (size_t)(end - name) - 2));
        text = end + 1;
    }
    buf_text(out, text);
}

/* ---- answers ---- */

#define VALUE_BYTES_MAX 128

/* The steps that the dots of a member's name lead through; 0: too many. */
static uint32_t split(const char *member, struct json_step steps[JSON_PATH_MAX])
{
    uint32_t count = 0;
    while (count < JSON_PATH_MAX) {
        size_t n = strcspn(member, ".");
        steps[count++] =
            (struct json_step){.name = member, .name_len = (uint32_t)n, .index = JSON_NO_INDEX};
        if (!member[n])
            return count;
        member += n + 1;
    }
    return 0;
}

/* The same but for blanks outside of strings. */
static bool is_json(const char *got, size_t n, const char *wanted)
{
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (!quoted && strchr(" \t\r\n", got[i]))
            continue;
        if (got[i] == '"' && (i == 0 || got[i - 1] != '\\'))
            quoted = !quoted;
        if (*wanted++ != got[i])
            return false;
    }
    return *wanted == '\0';
}

static enum sleep_says read_member(const char *member, const char *value, const char *body,
                                   size_t n)
{
    struct json_step steps[JSON_PATH_MAX];
    struct json_scan scan;
    char text[VALUE_BYTES_MAX];
    struct json_want want = {
        .path = steps, .steps = split(member, steps), .text = text, .text_size = sizeof(text)};
    if (!want.steps)
        return SLEEP_UNKNOWN;
    json_scan_init(&scan, &want, 1);
    if (json_scan_feed(&scan, body, n) < 0 || json_scan_end(&scan) < 0 ||
        want.type == JSON_TYPE_ABSENT)
        return SLEEP_UNKNOWN;
    bool same = want.type == JSON_TYPE_STRING ? strcmp(text, value) == 0 : false;
    return same || is_json(body + want.off, (size_t)want.len, value) ? SLEEP_YES : SLEEP_NO;
}

enum sleep_says sleep_read(const struct sleep_question *q, int status, const char *body, size_t n)
{
    if (!q->members[0]) {
        for (size_t i = 0; i < SLEEP_STATUSES_MAX; i++)
            if (q->statuses[i] == status)
                return SLEEP_YES;
        return status == 200 ? SLEEP_NO : SLEEP_UNKNOWN;
    }
    if (status != 200)
        return SLEEP_UNKNOWN;
    enum sleep_says all = SLEEP_YES;
    for (size_t i = 0; i < SLEEP_MEMBERS_MAX && q->members[i]; i++) {
        enum sleep_says one = read_member(q->members[i], q->value, body, n);
        if (one == SLEEP_UNKNOWN)
            return one;
        if (one == SLEEP_NO)
            all = one;
    }
    return all;
}
