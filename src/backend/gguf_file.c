#include "backend/gguf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

/* Most files say all in their first bytes; vocabularies take more. */
#define FIRST_READ_BYTES (256 * 1024)

static size_t read_all(int fd, char *data, size_t n)
{
    size_t at = 0;
    ssize_t got;
    while (at < n && (got = pread(fd, data + at, n - at, (off_t)at)) > 0)
        at += (size_t)got;
    return at;
}

int gguf_read_file(const char *path, struct gguf_model *ret_model, enum gguf_result *ret_result)
{
    struct stat st;
    enum gguf_result result = GGUF_CUT;
    auto_close int fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not hold us up */
    if (fd < 0 || fstat(fd, &st) != 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return EINVAL;
    for (size_t n = FIRST_READ_BYTES; result == GGUF_CUT && n <= GGUF_HEAD_BYTES_MAX; n *= 8) {
        char *data = alloc_zeroed(n, 1);
        size_t got = read_all(fd, data, n);
        result = gguf_read(data, got, ret_model);
        free(data);
        if (got < n)
            break;
    }
    *ret_result = result;
    return 0;
}
