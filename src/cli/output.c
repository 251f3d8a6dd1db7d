#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/text.h"

/* The first failure to write to stdout; 0: none so far. */
static int write_errno;

static enum output_mode mode;

/* Of the failure that is told last: what was complained of first, and as what it is known. */
static struct {
    struct buf text, json;
    const char *code;
} failure;

void output_use(enum output_mode m)
{
    mode = m;
}

enum output_mode output_mode(void)
{
    return mode;
}

/* "wharf: text". */
static void say(const struct buf *raw)
{
    struct buf safe = {0};
    buf_text(&safe, "wharf: ");
    for (size_t at = 0; at < raw->len;) {
        const char *line = raw->data + at;
        size_t n = strcspn(line, "\n");
        buf_text(&safe, at == 0 ? "" : "    ");
        text_escape(&safe, TEXT_LINE, line, n, false);
        buf_char(&safe, '\n');
        at += n + 1;
    }
    fwrite(safe.data, 1, safe.len, stderr);
    buf_fini(&safe);
}

void output_complain(const char *fmt, ...)
{
    struct buf raw = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&raw, fmt, ap);
    va_end(ap);
    if (mode != OUTPUT_JSON_STDERR)
        say(&raw);
    if (failure.text.len == 0)
        buf_append(&failure.text, raw.data, raw.len);
    buf_fini(&raw);
}

void output_note(const char *fmt, ...)
{
    struct buf raw = {0}, json = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&raw, fmt, ap);
    va_end(ap);
    if (mode == OUTPUT_JSON_STDERR) {
        buf_text(&json, "{\"state\":\"note\",\"message\":");
        buf_json(&json, raw.data, raw.len);
        buf_char(&json, '}');
        output_json_line(json.data, json.len);
    } else {
        say(&raw);
    }
    buf_fini(&raw);
    buf_fini(&json);
}

void output_code(const char *code)
{
    failure.code = code;
}

void output_refusal(const char *json, size_t n)
{
    buf_clear(&failure.json);
    buf_append(&failure.json, json, n);
}

static void put_failure(struct buf *out, bool is_usage)
{
    const char *code = failure.code ? failure.code : is_usage ? "usage" : "failed";
    buf_printf(out, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    buf_json(out, failure.text.data, failure.text.len);
    buf_text(out, "}}");
}

void output_failure(bool is_usage)
{
    struct buf own = {0};
    const struct buf *json = failure.json.len ? &failure.json : &own;
    if (failure.text.len && mode != OUTPUT_TEXT) {
        put_failure(&own, is_usage);
        if (mode == OUTPUT_JSON)
            output_json(json->data, json->len);
        else
            output_json_line(json->data, json->len);
    }
    buf_fini(&own);
    buf_fini(&failure.text);
    buf_fini(&failure.json);
    failure.code = NULL;
}

void output_safe(const struct buf *text)
{
    bool is_written = text->len == 0 || fwrite(text->data, 1, text->len, stdout) == text->len;
    if ((!is_written || fflush(stdout) != 0) && write_errno == 0)
        write_errno = errno ? errno : EIO;
}

bool output_broken(void)
{
    return write_errno != 0;
}

static void put_line(struct buf *out, const char *json, size_t n)
{
    text_escape(out, TEXT_JSON, json, n, false);
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->len--;
    buf_char(out, '\n');
}

void output_json(const char *json, size_t n)
{
    struct buf safe = {0};
    put_line(&safe, json, n);
    output_safe(&safe);
    buf_fini(&safe);
}

void output_json_line(const char *json, size_t n)
{
    struct buf safe = {0};
    put_line(&safe, json, n);
    fwrite(safe.data, 1, safe.len, stderr);
    buf_fini(&safe);
}

int output_finish(void)
{
    if (fflush(stdout) != 0 && write_errno == 0)
        write_errno = errno ? errno : EIO;
    /* A reader that has left, as `head` does, wants no message. */
    if (write_errno != 0 && write_errno != EPIPE)
        output_complain("cannot write to stdout: %s", strerror(write_errno));
    return write_errno == 0 ? 0 : -1;
}
