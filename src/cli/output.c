#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/text.h"

/* The first failure to write to stdout; 0: none so far. */
static int write_errno;

void output_complain(const char *fmt, ...)
{
    struct buf raw = {0}, safe = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&raw, fmt, ap);
    va_end(ap);
    buf_text(&safe, "wharf: ");
    for (size_t at = 0; at < raw.len;) {
        const char *line = raw.data + at;
        size_t n = strcspn(line, "\n");
        buf_text(&safe, at == 0 ? "" : "    ");
        text_escape(&safe, TEXT_LINE, line, n, false);
        buf_char(&safe, '\n');
        at += n + 1;
    }
    fwrite(safe.data, 1, safe.len, stderr);
    buf_fini(&raw);
    buf_fini(&safe);
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

void output_json(const char *json, size_t n)
{
    struct buf safe = {0};
    text_escape(&safe, TEXT_JSON, json, n, false);
    while (safe.len > 0 && safe.data[safe.len - 1] == ' ')
        safe.len--;
    buf_char(&safe, '\n');
    output_safe(&safe);
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
