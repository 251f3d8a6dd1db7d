#include "server/proxy/body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/errors.h"

void body_init(struct body *b, struct body_budget *budget)
{
    *b = (struct body){.budget = budget, .fd = -1};
}

void body_fini(struct body *b)
{
    if (!b->budget)
        return;
    for (uint32_t i = 0; i < b->edit_count; i++)
        free(b->edits[i].text);
    free(b->edits);
    free(b->memory);
    b->budget->memory_bytes -= b->memory_cap;
    if (b->fd >= 0) {
        b->budget->spooled_bytes -= b->size - b->memory_len;
        close(b->fd);
        b->budget->files--;
    }
    *b = (struct body){0};
}

/* Room in memory for n more bytes; the size that is announced is taken in one piece. */
static bool grow_memory(struct body *b, size_t n, uint64_t expected)
{
    size_t want = b->memory_len + n;
    if (want <= b->memory_cap)
        return true;
    if (expected > want && expected <= BODY_MEMORY_MAX)
        want = (size_t)expected;
    else if (want < 2 * (size_t)b->memory_cap)
        want = 2 * (size_t)b->memory_cap;
    if (want > BODY_MEMORY_MAX)
        want = BODY_MEMORY_MAX;
    if (want < b->memory_len + n ||
        b->budget->memory_bytes + want - b->memory_cap > BODY_MEMORY_TOTAL)
        return false;
    char *memory = alloc_try(b->memory, want, 1);
    if (!memory)
        return false;
    b->memory = memory;
    b->budget->memory_bytes += want - b->memory_cap;
    b->memory_cap = (uint32_t)want;
    return true;
}

/* A connection more than this is worth more than a body. */
static bool has_descriptor(const struct body_budget *u)
{
    uint64_t used = u->files + (u->streams ? *u->streams : 0);
    return u->descriptors_max == 0 || used < u->descriptors_max;
}

static int open_spool(const struct body_budget *budget)
{
    int fd = open(budget->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        char *path = alloc_printf("%s/spool.XXXXXX", budget->folder);
        fd = mkostemp(path, O_CLOEXEC);
        int error = errno;
        if (fd >= 0)
            unlink(path);
        free(path);
        errno = error;
    }
    return fd;
}

static int write_all(int fd, const char *data, size_t n, uint64_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t rc = pwrite(fd, data + done, n - done, (off_t)(at + done));
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            return rc < 0 ? -errno : -ENOSPC;
        done += (size_t)rc;
    }
    return 0;
}

bool body_try_spool(const struct body_budget *budget)
{
    static const char nothing[BODY_MEMORY_MAX];
    int fd = open_spool(budget);
    bool works = fd >= 0 && write_all(fd, nothing, sizeof(nothing), 0) == 0;
    if (fd >= 0)
        close(fd);
    return works;
}

static int fail_spool(struct body_budget *budget, int error)
{
    log_warn(NULL, "cannot spool a body in %s: %s", budget->folder, strerror(error));
    if (budget->on_trouble)
        budget->on_trouble(budget->arg, strerror(error));
    return -ERR_BODY_NO_ROOM;
}

static int begin_spool(struct body *b)
{
    if (!has_descriptor(b->budget))
        return -ERR_BODY_NO_ROOM;
    b->fd = open_spool(b->budget);
    if (b->fd < 0) {
        b->budget->file_error = errno;
        /* Want of descriptors is told as such, and is not the disk's. */
        return errno == EMFILE || errno == ENFILE ? -ERR_BODY_NO_ROOM
                                                  : fail_spool(b->budget, errno);
    }
    b->budget->files++;
    return 0;
}

/* Written through the page cache, which takes a copy and does not wait for the disk. */
static int spool(struct body *b, const char *data, size_t n)
{
    if (b->budget->spooled_bytes + n > b->budget->spooled_max)
        return -ERR_BODY_NO_ROOM;
    if (b->fd < 0 && begin_spool(b) < 0)
        return -ERR_BODY_NO_ROOM;
    int rc = write_all(b->fd, data, n, b->size - b->memory_len);
    if (rc < 0)
        return fail_spool(b->budget, -rc);
    b->size += n;
    b->budget->spooled_bytes += n;
    return 0;
}

int body_append(struct body *b, const char *data, size_t n, uint64_t expected)
{
    if (n > b->budget->body_max || b->size > b->budget->body_max - n)
        return -ERR_BODY_TOO_LARGE;
    if (b->fd < 0) {
        size_t part = n;
        if (part > BODY_MEMORY_MAX - b->memory_len)
            part = BODY_MEMORY_MAX - b->memory_len;
        if (part && grow_memory(b, part, expected)) {
            memcpy(b->memory + b->memory_len, data, part);
            b->memory_len += (uint32_t)part;
            b->size += part;
            data += part;
            n -= part;
        }
    }
    return n ? spool(b, data, n) : 0;
}

/* Where an edit belongs: behind those that begin before it, and behind what is inserted there. */
static uint32_t place_of(const struct body *b, uint64_t off)
{
    uint32_t i = b->edit_count;
    while (i > 0 &&
           (b->edits[i - 1].off > off || (b->edits[i - 1].off == off && b->edits[i - 1].len > 0)))
        i--;
    return i;
}

void body_edit(struct body *b, uint64_t off, uint64_t len, const char *text, size_t text_len)
{
    uint32_t at = place_of(b, off);
    must(off <= b->size && len <= b->size - off);
    must(at == 0 || b->edits[at - 1].off + b->edits[at - 1].len <= off);
    must(at == b->edit_count || off + len <= b->edits[at].off);
    if (b->edit_count == b->edit_cap) {
        b->edit_cap = b->edit_cap ? 2 * b->edit_cap : 4;
        b->edits = alloc_grow(b->edits, b->edit_cap, sizeof(*b->edits));
    }
    memmove(&b->edits[at + 1], &b->edits[at], (b->edit_count - at) * sizeof(*b->edits));
    b->edits[at] = (struct body_edit){
        .off = off, .len = len, .text = alloc_text_n(text, text_len), .text_len = text_len};
    b->edit_count++;
    for (uint32_t i = at; i < b->edit_count; i++) {
        const struct body_edit *last = i ? &b->edits[i - 1] : NULL;
        uint64_t from = last ? last->off + last->len : 0;
        b->edits[i].pos = (last ? last->pos + last->text_len : 0) + b->edits[i].off - from;
    }
}

uint64_t body_size(const struct body *b)
{
    if (b->edit_count == 0)
        return b->size;
    const struct body_edit *last = &b->edits[b->edit_count - 1];
    return last->pos + last->text_len + b->size - last->off - last->len;
}

/* Where body_peek puts what it finds. */
struct peek {
    char *scratch;
    size_t scratch_size;
    const char *data;
    size_t n;
};

/* Original bytes from off on, not beyond end. */
static int peek_original(const struct body *b, uint64_t off, uint64_t end, struct peek *p)
{
    if (off < b->memory_len) {
        uint64_t stop = end < b->memory_len ? end : b->memory_len;
        p->data = b->memory + off;
        p->n = (size_t)(stop - off);
        return 0;
    }
    size_t want = end - off < p->scratch_size ? (size_t)(end - off) : p->scratch_size;
    ssize_t rc;
    do
        rc = pread(b->fd, p->scratch, want, (off_t)(off - b->memory_len));
    while (rc < 0 && errno == EINTR);
    if (rc <= 0)
        return -ERR_BODY_NO_ROOM;
    p->data = p->scratch;
    p->n = (size_t)rc;
    return 0;
}

/* How many edits have a text that begins at the position or before it. */
static uint32_t edits_until(const struct body *b, uint64_t pos)
{
    uint32_t low = 0, high = b->edit_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (b->edits[middle].pos <= pos)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int peek(const struct body *b, uint64_t pos, struct peek *p)
{
    uint32_t before = edits_until(b, pos);
    uint64_t off = pos, stop = before < b->edit_count ? b->edits[before].off : b->size;
    if (before) {
        const struct body_edit *e = &b->edits[before - 1];
        if (pos < e->pos + e->text_len) {
            p->data = e->text + (pos - e->pos);
            p->n = (size_t)(e->pos + e->text_len - pos);
            return 0;
        }
        off = e->off + e->len + (pos - e->pos - e->text_len);
    }
    return off < stop ? peek_original(b, off, stop, p) : 0;
}

int body_peek(const struct body *b, uint64_t pos, char *scratch, size_t scratch_size,
              const char **ret_data, size_t *ret_n)
{
    struct peek p = {.scratch = scratch, .scratch_size = scratch_size};
    int rc = peek(b, pos, &p);
    if (rc < 0)
        return rc;
    *ret_data = p.data;
    *ret_n = p.n;
    return 0;
}
