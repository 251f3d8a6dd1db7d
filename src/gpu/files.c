#include "gpu/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

#define READ_BYTES (16 * 1024)

bool files_read(const char *root, const char *path, struct buf *out)
{
    char *name = alloc_printf("%s%s", root, path);
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : 1;
    free(name);
    buf_clear(out);
    while (n > 0 && out->len < FILES_BYTES_MAX) {
        n = read(fd, buf_reserve(out, READ_BYTES), READ_BYTES);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            buf_commit(out, (size_t)n);
    }
    if (fd >= 0)
        close(fd);
    buf_append(out, "", 0);
    return fd >= 0 && n >= 0;
}

bool files_field(const char *text, const char *name, char separator, char *out, size_t size)
{
    size_t n = strlen(name);
    out[0] = '\0';
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n'), *p = line + n;
        if (strncmp(line, name, n) == 0) {
            p += strspn(p, " \t");
            if (*p == separator) {
                p += 1 + strspn(p + 1, " \t\"");
                size_t len = p < end ? (size_t)(end - p) : 0;
                while (len && strchr(" \t\"\r", p[len - 1]))
                    len--;
                len = len < size ? len : size - 1;
                memcpy(out, p, len);
                out[len] = '\0';
                return true;
            }
        }
        line = *end ? end + 1 : end;
    }
    return false;
}
