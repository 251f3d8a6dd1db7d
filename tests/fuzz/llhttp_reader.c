/* Says where llhttp, the parser of Node.js, sees the ends of requests.
 *
 * Each line of the input is the bytes of a connection in hexadecimal; for each, one line comes out:
 * "METHOD TARGET END" of every request, END being the offset behind its last byte, and at last "ok"
 * or what is wrong, with tabs in between. */
#include <llhttp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define BYTES_MAX (1024 * 1024)

struct reading {
    char method[64], target[64 * 1024];
    bool ended; /* a request has, with the byte that was last given */
    bool begun;
};

static int extend(char *text, size_t size, const char *at, size_t n)
{
    size_t have = strlen(text);
    if (have + n >= size)
        return -1;
    memcpy(text + have, at, n);
    text[have + n] = '\0';
    return 0;
}

static int on_begin(llhttp_t *p)
{
    struct reading *r = p->data;
    r->method[0] = r->target[0] = '\0';
    r->begun = true;
    return 0;
}

static int on_method(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    return extend(r->method, sizeof(r->method), at, n);
}

static int on_target(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    return extend(r->target, sizeof(r->target), at, n);
}

static int on_end(llhttp_t *p)
{
    struct reading *r = p->data;
    r->ended = true;
    r->begun = false;
    return 0;
}

/* One byte at a time, so that the end of a request is where it was said. */
static void read_all(const char *data, size_t n)
{
    static struct reading r;
    llhttp_settings_t settings;
    llhttp_t p;
    int error = HPE_OK;
    memset(&r, 0, sizeof(r));
    llhttp_settings_init(&settings);
    settings.on_message_begin = on_begin;
    settings.on_method = on_method;
    settings.on_url = on_target;
    settings.on_message_complete = on_end;
    llhttp_init(&p, HTTP_REQUEST, &settings);
    p.data = &r;
    for (size_t i = 0; i < n && error == HPE_OK; i++) {
        error = (int)llhttp_execute(&p, data + i, 1);
        if (r.ended)
            printf("%s %s %zu\t", r.method, r.target, i + 1);
        r.ended = false;
        if (error == HPE_PAUSED_UPGRADE) { /* nobody switches here */
            llhttp_resume_after_upgrade(&p);
            error = HPE_OK;
        }
    }
    puts(error != HPE_OK ? llhttp_errno_name((llhttp_errno_t)error)
         : r.begun       ? "unfinished"
                         : "ok");
    fflush(stdout);
}

int main(void)
{
    static char data[BYTES_MAX];
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    static const char digits[] = "0123456789abcdef";
    while ((n = getline(&line, &size, stdin)) > 0) {
        size_t bytes = (size_t)n / 2;
        if (bytes > BYTES_MAX)
            return 1;
        for (size_t i = 0; i < bytes; i++) {
            const char *high = strchr(digits, line[2 * i]), *low = strchr(digits, line[2 * i + 1]);
            if (!high || !low)
                return 1;
            data[i] = (char)((high - digits) << 4 | (low - digits));
        }
        read_all(data, bytes);
    }
    free(line);
    return 0;
}
