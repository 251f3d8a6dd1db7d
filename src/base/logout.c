#include "base/logout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pure/check.h"

/* A terminal that says that it takes something takes that much. */
#define TERMINAL_PIECE 256
#define KEPT_BYTES_MAX (64 * 1024)
#define FINISH_TURN_MS 5

static struct logout outputs[2] = {{.fd = STDOUT_FILENO, .own_fd = -1},
                                   {.fd = STDERR_FILENO, .own_fd = -1}};

static bool are_same(void)
{
    struct stat a, b;
    return fstat(STDOUT_FILENO, &a) == 0 && fstat(STDERR_FILENO, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

struct logout *logout_of(int fd)
{
    static struct logout *of_stderr; /* they are what they are from the start to the end */
    must(fd == STDOUT_FILENO || fd == STDERR_FILENO);
    if (!of_stderr)
        of_stderr = &outputs[!are_same()];
    return fd == STDERR_FILENO ? of_stderr : &outputs[0];
}

void logout_init(struct logout *o, int fd)
{
    *o = (struct logout){.fd = fd, .own_fd = -1};
}

void logout_fini(struct logout *o)
{
    if (o->own_fd >= 0)
        close(o->own_fd);
    buf_fini(&o->waiting);
    logout_init(o, o->fd);
}

/* A file is not opened anew: it would be written from its beginning on. Where /proc does not lead
 * to the pipe or terminal, or it belongs to another user, the shared one is asked before each
 * write. */
static void look(struct logout *o)
{
    struct stat st;
    char path[32];
    if (o->kind != LOGOUT_UNKNOWN)
        return;
    o->kind = LOGOUT_FILE;
    if (fstat(o->fd, &st) < 0)
        return;
    if (S_ISSOCK(st.st_mode))
        o->kind = LOGOUT_SOCKET;
    else if (S_ISFIFO(st.st_mode))
        o->kind = LOGOUT_PIPE;
    else if (isatty(o->fd))
        o->kind = LOGOUT_TERMINAL;
    if (o->kind != LOGOUT_PIPE && o->kind != LOGOUT_TERMINAL)
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
    o->own_fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

bool logout_is_terminal(struct logout *o)
{
    look(o);
    return o->kind == LOGOUT_TERMINAL;
}

static ssize_t write_asking(struct logout *o, const char *data, size_t n)
{
    size_t piece = o->kind == LOGOUT_PIPE ? PIPE_BUF : TERMINAL_PIECE;
    struct pollfd p = {.fd = o->fd, .events = POLLOUT};
    if (poll(&p, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(o->fd, data, n < piece ? n : piece);
}

static ssize_t write_some(struct logout *o, const char *data, size_t n)
{
    if (o->kind == LOGOUT_SOCKET)
        return send(o->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (o->kind == LOGOUT_FILE)
        return write(o->fd, data, n);
    return o->own_fd >= 0 ? write(o->own_fd, data, n) : write_asking(o, data, n);
}

/* As much as goes out now. False: what is left never will, since nobody reads, or the disk is
 * full. */
static bool write_now(struct logout *o, const char *data, size_t n, size_t *ret_done)
{
    size_t done = 0;
    bool ok = true;
    while (done < n && ok) {
        ssize_t k = write_some(o, data + done, n - done);
        if (k > 0) {
            done += (size_t)k;
            o->inside = data[done - 1] != '\n';
        }
        if (k > 0 || (k < 0 && errno == EINTR))
            continue;
        if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        ok = false;
    }
    *ret_done = done;
    return ok;
}

static size_t waiting_bytes(const struct logout *o)
{
    return o->waiting.len - o->at;
}

/* These lines are lost. One of which a part has gone out is ended before the next. */
static void lose(struct logout *o, const char *data, size_t n)
{
    o->torn = o->inside;
    for (size_t i = 0; i < n; i++)
        o->dropped += data[i] == '\n' || i + 1 == n;
}

static bool mend(struct logout *o)
{
    size_t done = 0;
    if (o->torn && write_now(o, "\n", 1, &done) && done)
        o->torn = false;
    return !o->torn;
}

void logout_flush(struct logout *o)
{
    size_t done;
    if (waiting_bytes(o) == 0)
        return;
    if (!write_now(o, o->waiting.data + o->at, waiting_bytes(o), &done)) {
        lose(o, o->waiting.data + o->at + done, waiting_bytes(o) - done);
        done = waiting_bytes(o);
    }
    o->at += done;
    /* What has gone is moved out of the way seldom: a slow reader takes it in small pieces. */
    if (o->at * 2 < o->waiting.len)
        return;
    buf_consume(&o->waiting, o->at);
    o->at = 0;
    if (o->waiting.len == 0 && o->waiting.cap > KEPT_BYTES_MAX)
        buf_fini(&o->waiting);
}

bool logout_write(struct logout *o, const char *data, size_t n)
{
    size_t done = 0;
    look(o);
    logout_flush(o);
    bool waits = waiting_bytes(o) > 0;
    if (waiting_bytes(o) + n > LOG_WAITING_BYTES_MAX || (!waits && !mend(o))) {
        o->dropped++;
        return false;
    }
    bool ok = waits || write_now(o, data, n, &done);
    o->waiting.max = 2 * LOG_WAITING_BYTES_MAX; /* where there is no memory, it overflows */
    if (ok && done < n) {
        o->waiting.overflow = false;
        buf_append(&o->waiting, data + done, n - done);
        ok = !o->waiting.overflow;
    }
    if (!ok) {
        lose(o, data + done, n - done);
        o->torn &= !waits; /* else the line that has begun is one that waits */
    }
    return ok;
}

size_t logout_waiting(const struct logout *o)
{
    return waiting_bytes(o);
}

/* A pipe may be writable without room for a whole line: between two tries a moment passes. */
void logout_finish(struct logout *o, int ms_max)
{
    const struct timespec turn = {.tv_nsec = FINISH_TURN_MS * 1000 * 1000};
    logout_flush(o);
    for (int ms = 0; waiting_bytes(o) && ms < ms_max; ms += FINISH_TURN_MS) {
        nanosleep(&turn, NULL);
        logout_flush(o);
    }
}

void logout_forget(struct logout *o)
{
    buf_clear(&o->waiting);
    o->at = 0;
}
