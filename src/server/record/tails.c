#include "server/record/tails.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/server.h"

#define PIECE_BYTES (16 * 1024)
/* Between a change and the look at it: what is printed meanwhile comes in one go. */
#define SETTLE_MS 20
#define POLL_MS 100
/* Between two looks at how large the files are. */
#define SIZES_MS 1000
/* So much of what came while a file was copied is copied too. */
#define REST_BYTES_MAX (1024 * 1024)

struct tail {
    struct link link;
    char *path;       /* owned */
    int64_t at;       /* what is before has been handed on, or is of no interest */
    uint32_t writers; /* servers that may write more: two, while one succeeds the other */
};

/* Bytes at the end of a piece that begin a character (RFC 3629) without ending it. */
static size_t unfinished(const char *data, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)data[n - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t whole = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return whole > back ? back : 0;
    }
    return 0;
}

static void hand_on(struct server *s, struct tail *t, int fd, int64_t end)
{
    char data[PIECE_BYTES];
    while (t->at < end) {
        ssize_t n = pread(fd, data, sizeof(data), t->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        size_t rest = t->writers ? unfinished(data, (size_t)n) : 0, whole = (size_t)n - rest;
        if (whole == 0)
            return;
        t->at += (int64_t)whole;
        logs_printed(s, data, whole);
    }
}

/* told: somebody has followed all the time, and is told of what was too much. */
static void skip(struct server *s, struct tail *t, int64_t end, bool told)
{
    char text[64];
    int64_t from = end - LOGS_BYTES_MAX;
    if (t->at >= from)
        return;
    int n =
        snprintf(text, sizeof(text), "\n[%lld bytes were left out]\n", (long long)(from - t->at));
    t->at = from;
    if (told)
        logs_printed(s, text, (size_t)n);
}

static void read_tail(struct server *s, struct tail *t, bool told)
{
    struct stat st;
    int fd = open(t->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size > t->at) {
        skip(s, t, st.st_size, told);
        hand_on(s, t, fd, st.st_size);
    }
    close(fd);
}

static void drop(struct tails *tails, struct tail *t)
{
    list_remove(&tails->items, &t->link);
    free(t->path);
    free(t);
}

static void read_all(struct server *s, bool told)
{
    struct link *pos, *next;
    list_each_safe(pos, next, &s->tails.items) {
        struct tail *t = list_entry(pos, struct tail, link);
        read_tail(s, t, told);
        if (!t->writers)
            drop(&s->tails, t);
    }
}

static void on_timer(uv_timer_t *timer)
{
    read_all(timer->data, true);
}

static void on_changed(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct server *s = event->data;
    (void)name;
    (void)events;
    (void)status;
    if (!uv_is_active((uv_handle_t *)&s->tails.timer))
        uv_timer_start(&s->tails.timer, on_timer, SETTLE_MS, 0);
}

void tails_init(struct server *s)
{
    struct tails *t = &s->tails;
    list_init(&t->items);
    uv_timer_init(s->loop, &t->timer);
    uv_fs_event_init(s->loop, &t->changed);
    uv_timer_init(s->loop, &t->sizes);
    t->timer.data = s;
    t->sizes.data = s;
    t->changed.data = s;
}

static struct tail *find(struct tails *tails, const char *path)
{
    struct link *pos;
    list_each(pos, &tails->items) {
        struct tail *t = list_entry(pos, struct tail, link);
        if (strcmp(t->path, path) == 0)
            return t;
    }
    return NULL;
}

/* ---- files that have become too large ---- */

/* What has been printed since the copy was begun. */
static void copy_rest(struct server *s, int from_fd, const char *to, int64_t size)
{
    struct stat st;
    int fd = open(to, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && size - st.st_size <= REST_BYTES_MAX)
        for (int64_t at = st.st_size; at < size;) {
            ssize_t n = pread(from_fd, s->scratch, SERVER_SCRATCH_BYTES, at);
            if (n <= 0 || write(fd, s->scratch, (size_t)n) != n)
                break;
            at += n;
        }
    if (fd >= 0)
        close(fd);
}

static void begin_anew(struct server *s, const char *path, const char *aside, bool copied)
{
    struct stat st;
    struct tail *t = find(&s->tails, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    /* Another start of the model may have put it aside meanwhile. */
    if (fstat(fd, &st) == 0 && st.st_ino == s->tails.inode) {
        if (t && s->tails.wanted)
            read_tail(s, t, true);
        if (copied)
            copy_rest(s, fd, aside, st.st_size);
        if (ftruncate(fd, 0) == 0 && t)
            t->at = 0;
    }
    close(fd);
}

/* A disk that has no room for the copy needs it all the more that the file is cut. */
static void on_copied(uv_fs_t *copy)
{
    struct tails *tails = container_of(copy, struct tails, copy);
    struct server *s = tails->sizes.data;
    char *path = tails->turning, *aside = alloc_printf("%s.1", path);
    int rc = (int)copy->result;
    tails->turning = NULL;
    uv_fs_req_cleanup(copy);
    if (rc < 0) {
        log_warn(NULL, "%s is too large and begun anew; it could not be kept: %s", path,
                 uv_strerror(rc));
        unlink(aside);
    }
    begin_anew(s, path, aside, rc == 0);
    free(aside);
    free(path);
}

static void turn_over(struct server *s, const struct tail *t, uint64_t inode)
{
    struct tails *tails = &s->tails;
    char *aside = alloc_printf("%s.1", t->path);
    if (uv_fs_copyfile(s->loop, &tails->copy, t->path, aside, 0, on_copied) == 0)
        tails->turning = alloc_text(t->path);
    tails->inode = inode;
    free(aside);
}

static void on_sizes(uv_timer_t *timer)
{
    struct server *s = timer->data;
    uint64_t max = s->roster.current->config->log_file_bytes_max;
    struct link *pos;
    s->tails.largest = 0;
    list_each(pos, &s->tails.items) {
        const struct tail *t = list_entry(pos, const struct tail, link);
        struct stat st;
        if (!t->writers || stat(t->path, &st) < 0)
            continue;
        uint64_t size = (uint64_t)st.st_size;
        s->tails.largest = size > s->tails.largest ? size : s->tails.largest;
        if (size > max && !s->tails.turning)
            turn_over(s, t, st.st_ino);
    }
    if (s->tails.items.count == 0)
        uv_timer_stop(timer);
}

void tails_begin(struct server *s, const char *path, int64_t from)
{
    struct tail *t = find(&s->tails, path);
    if (!t) {
        t = alloc_zeroed(1, sizeof(*t));
        t->path = alloc_text(path);
        t->at = from;
        list_push(&s->tails.items, &t->link);
    }
    t->writers++;
    if (t->at > from) /* the file was put aside */
        t->at = from;
    if (s->tails.running && !uv_is_active((uv_handle_t *)&s->tails.sizes))
        uv_timer_start(&s->tails.sizes, on_sizes, SIZES_MS, SIZES_MS);
}

void tails_end(struct server *s, const char *path)
{
    struct tail *t = find(&s->tails, path);
    if (!t)
        return;
    if (--t->writers > 0 || s->tails.wanted == 0)
        return;
    read_tail(s, t, true);
    drop(&s->tails, t);
}

static void begin(struct server *s)
{
    struct tails *t = &s->tails;
    char *folder = alloc_printf("%s/logs", s->state_dir);
    t->polls = uv_fs_event_start(&t->changed, on_changed, folder, 0) < 0;
    if (t->polls)
        uv_timer_start(&t->timer, on_timer, POLL_MS, POLL_MS);
    free(folder);
    read_all(s, false);
}

int tails_start(struct server *s, struct err *err)
{
    (void)err;
    s->tails.running = true;
    if (s->tails.items.count) /* of models that were taken over */
        uv_timer_start(&s->tails.sizes, on_sizes, SIZES_MS, SIZES_MS);
    if (s->tails.wanted)
        begin(s);
    return 0;
}

void tails_want(struct server *s)
{
    if (s->tails.wanted++ == 0 && s->tails.running)
        begin(s);
}

void tails_unwant(struct server *s)
{
    if (--s->tails.wanted > 0 || !s->tails.running)
        return;
    uv_fs_event_stop(&s->tails.changed);
    uv_timer_stop(&s->tails.timer);
}

void tails_close(struct server *s)
{
    s->tails.running = false;
    uv_close((uv_handle_t *)&s->tails.changed, NULL);
    uv_close((uv_handle_t *)&s->tails.timer, NULL);
    uv_close((uv_handle_t *)&s->tails.sizes, NULL);
}

void tails_fini(struct server *s)
{
    struct link *pos, *next;
    list_each_safe(pos, next, &s->tails.items)
        drop(&s->tails, list_entry(pos, struct tail, link));
}
