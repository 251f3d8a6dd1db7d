#include "server/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define MAGIC "wharf records 1\n"

/* The file's first place. */
struct file_head {
    char magic[16];
    char boot[RECORDS_BOOT_BYTES];
};

struct place {
    uint64_t sequence; /* 0: never written */
    uint64_t checksum; /* of all that follows, and the sequence */
    uint32_t kind, len;
    uint64_t reserved;
    char data[RECORD_BYTES_MAX];
};
_Static_assert(sizeof(struct place) == RECORD_PLACE_BYTES, "a page");
_Static_assert(sizeof(struct file_head) <= RECORD_PLACE_BYTES, "it fits");

/* No daemon lives to write as often, so that the next number is always there. */
#define SEQUENCE_MAX (UINT64_MAX / 2)

/* A file begins with room for so many, and doubles. */
#define RECORDS_FIRST 64

static size_t file_bytes(uint32_t slots)
{
    return (size_t)(1 + 2 * slots) * RECORD_PLACE_BYTES;
}

static struct place *place_at(const struct records *r, uint32_t slot, unsigned which)
{
    return (struct place *)(r->image + (1 + 2 * (size_t)slot + which) * RECORD_PLACE_BYTES);
}

#define HASH_BEGIN UINT64_C(14695981039346656037)
/* Of a name's hash in a field. */
#define HASH_DIGITS 16

/* FNV-1a (draft-eastlake-fnv): it is to notice what was half written, not what somebody made up. */
static uint64_t hash(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    return h;
}

static uint64_t checksum_of(const struct place *p)
{
    uint64_t h = HASH_BEGIN;
    h = hash(h, &p->sequence, sizeof(p->sequence));
    h = hash(h, &p->kind, sizeof(p->kind));
    h = hash(h, &p->len, sizeof(p->len));
    return hash(h, p->data, p->len);
}

static bool is_whole(const struct place *p)
{
    return p->sequence && p->sequence <= SEQUENCE_MAX && p->len <= sizeof(p->data) &&
           p->checksum == checksum_of(p);
}

/* The one that holds; NULL: neither does. */
static struct place *newest(const struct records *r, uint32_t slot)
{
    struct place *a = place_at(r, slot, 0), *b = place_at(r, slot, 1);
    bool is_a = is_whole(a), is_b = is_whole(b);
    if (is_a && is_b)
        return a->sequence > b->sequence ? a : b;
    return is_a ? a : is_b ? b : NULL;
}

/* ---- the file ---- */

/* Whole pages, so that the kernel need not read any first. */
static int write_pages(const struct records *r, const void *from, size_t n)
{
    off_t at = (off_t)((const char *)from - r->image);
    for (size_t done = 0; done < n;) {
        ssize_t rc = pwrite(r->fd, (const char *)from + done, n - done, at + (off_t)done);
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            return rc < 0 ? errno : ENOSPC;
        done += (size_t)rc;
    }
    return 0;
}

static void set_behind(struct records *r, uint32_t slot, bool is)
{
    r->behind_count += is - r->behind[slot];
    r->behind[slot] = is;
}

/* A place that the file has yet to get is written over: the other is all that the file knows. */
static void write_place(struct records *r, uint32_t slot, enum record_kind kind, const void *data,
                        uint32_t len)
{
    struct place *now = newest(r, slot);
    struct place *to = now == place_at(r, slot, 0) ? place_at(r, slot, 1) : place_at(r, slot, 0);
    if (now && r->behind[slot])
        to = now;
    to->sequence = now ? now->sequence + 1 : 1;
    to->kind = (uint32_t)kind;
    to->len = len;
    if (len)
        memcpy(to->data, data, len);
    to->checksum = checksum_of(to);
    if (r->fd < 0 || r->behind[slot] || slot >= r->file_slots) {
        set_behind(r, slot, true);
        return;
    }
    int error = write_pages(r, to, sizeof(*to));
    set_behind(r, slot, error != 0);
    if (error && r->on_trouble)
        r->on_trouble(r->arg, strerror(error));
}

static void read_boot(const char *boot, char ret[RECORDS_BOOT_BYTES])
{
    memset(ret, 0, RECORDS_BOOT_BYTES);
    if (boot) {
        snprintf(ret, RECORDS_BOOT_BYTES, "%s", boot);
        return;
    }
    FILE *f = fopen(BOOT_ID, "re");
    if (f && fscanf(f, "%39[0-9a-f-]", ret) != 1)
        ret[0] = '\0';
    if (f)
        fclose(f);
}

/* With all its space: what has a slot must not come to want it later. */
static int reserve(struct records *r, struct err *err)
{
    int rc = posix_fallocate(r->fd, 0, (off_t)file_bytes(r->slots));
    if (rc != 0)
        return err_set(err, "cannot make %s %zu bytes long: %s", r->path, file_bytes(r->slots),
                       strerror(rc));
    r->file_slots = r->slots;
    return 0;
}

static void grow_image(struct records *r, uint32_t slots)
{
    size_t had = r->image ? file_bytes(r->slots) : 0;
    r->image = alloc_grow(r->image, file_bytes(slots), 1);
    memset(r->image + had, 0, file_bytes(slots) - had);
    r->slots = slots;
}

static int read_file(struct records *r, struct err *err)
{
    struct stat st;
    uint32_t slots = RECORDS_FIRST;
    r->fd = open(r->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r->fd < 0)
        return err_set(err, "cannot open %s: %s", r->path, strerror(errno));
    if (fstat(r->fd, &st) < 0)
        return err_set(err, "cannot look at %s: %s", r->path, strerror(errno));
    while (slots < RECORDS_MAX && file_bytes(slots) < (size_t)st.st_size)
        slots *= 2;
    grow_image(r, slots);
    for (size_t done = 0; done < file_bytes(slots);) {
        ssize_t n = pread(r->fd, r->image + done, file_bytes(slots) - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, "cannot read %s: %s", r->path, strerror(errno));
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return reserve(r, err);
}

static void forget(struct records *r, uint32_t slot)
{
    for (unsigned which = 0; which < 2; which++)
        place_at(r, slot, which)->sequence = 0;
}

/* Of another boot, or no such file: nothing in it counts. */
static void begin_anew(struct records *r)
{
    struct file_head *head = (struct file_head *)r->image;
    for (uint32_t i = 0; i < r->slots; i++) {
        if (place_at(r, i, 0)->sequence == 0 && place_at(r, i, 1)->sequence == 0)
            continue;
        forget(r, i);
        set_behind(r, i, true);
    }
    memcpy(head->boot, r->boot, RECORDS_BOOT_BYTES);
    memcpy(head->magic, MAGIC, sizeof(head->magic));
    r->head_behind = true;
}

/* Nothing is known of what a file that cannot be read has. */
static void go_without(struct records *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    free(r->image);
    r->image = NULL;
    grow_image(r, RECORDS_FIRST);
    begin_anew(r);
}

/* Its head last, and until then none: what is not yet written over would count. */
static int write_behind(struct records *r)
{
    static const char nothing[RECORD_PLACE_BYTES];
    int error = 0;
    if (r->head_behind && pwrite(r->fd, nothing, sizeof(nothing), 0) != sizeof(nothing))
        error = errno ? errno : ENOSPC;
    for (uint32_t i = 0; i < r->slots && !error; i++) {
        if (!r->behind[i])
            continue;
        error = write_pages(r, place_at(r, i, 0), 2 * RECORD_PLACE_BYTES);
        set_behind(r, i, error != 0);
    }
    if (!error && r->head_behind)
        error = write_pages(r, r->image, RECORD_PLACE_BYTES);
    r->head_behind &= error != 0;
    return error;
}

/* Whatever is in it, it is to be as the image. */
static int take_file(struct records *r, struct err *err)
{
    r->fd = open(r->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r->fd < 0)
        return err_set(err, "cannot open %s: %s", r->path, strerror(errno));
    r->file_slots = 0;
    return 0;
}

bool records_kept(const struct records *r)
{
    return r->image && r->fd >= 0 && r->behind_count == 0 && !r->head_behind;
}

int records_mend(struct records *r, struct err *err)
{
    if (!r->image || records_kept(r))
        return 0;
    if ((r->fd < 0 && take_file(r, err) < 0) || (r->file_slots < r->slots && reserve(r, err) < 0))
        return -1;
    int error = write_behind(r);
    return error ? err_set(err, "cannot write %s: %s", r->path, strerror(error)) : 0;
}

int records_open(struct records *r, const char *path, const char *boot, struct err *err)
{
    *r = (struct records){.fd = -1, .path = alloc_text(path)};
    r->used = alloc_zeroed(RECORDS_MAX, sizeof(*r->used));
    r->behind = alloc_zeroed(RECORDS_MAX, sizeof(*r->behind));
    read_boot(boot, r->boot);
    if (read_file(r, err) < 0) {
        go_without(r);
        return -1;
    }
    const struct file_head *head = (const struct file_head *)r->image;
    bool ours = memcmp(head->magic, MAGIC, sizeof(head->magic)) == 0 && *r->boot &&
                memcmp(head->boot, r->boot, RECORDS_BOOT_BYTES) == 0;
    if (!ours)
        begin_anew(r);
    for (uint32_t i = 0; i < r->slots; i++) {
        const struct place *p = newest(r, i);
        r->used[i] = p && p->kind != RECORD_FREE;
    }
    return records_mend(r, err);
}

void records_close(struct records *r)
{
    if (r->image && r->fd >= 0)
        close(r->fd);
    free(r->image);
    free(r->path);
    free(r->used);
    free(r->behind);
    *r = (struct records){.image = NULL};
}

/* What the file has no room for waits until it has. */
static void grow(struct records *r)
{
    struct err err = {0};
    grow_image(r, r->slots * 2);
    if (r->fd >= 0 && reserve(r, &err) < 0 && r->on_trouble)
        r->on_trouble(r->arg, err.text);
}

int records_put(struct records *r, uint32_t *slot, enum record_kind kind, const void *data,
                uint32_t len)
{
    must(len <= RECORD_BYTES_MAX && kind != RECORD_FREE);
    if (!r->image)
        return -1;
    uint32_t to = *slot;
    for (uint32_t i = r->unused; to == RECORDS_NONE && i < RECORDS_MAX; i++)
        if (!r->used[i])
            to = i;
    if (to == RECORDS_NONE)
        return -1;
    if (to >= r->slots)
        grow(r);
    if (*slot == RECORDS_NONE)
        r->unused = to + 1;
    write_place(r, to, kind, data, len);
    r->used[to] = true;
    *slot = to;
    return 0;
}

void records_drop(struct records *r, uint32_t *slot)
{
    if (!r->image || *slot == RECORDS_NONE)
        return;
    must(*slot < r->slots && r->used[*slot]);
    write_place(r, *slot, RECORD_FREE, NULL, 0);
    r->used[*slot] = false;
    if (*slot < r->unused)
        r->unused = *slot;
    *slot = RECORDS_NONE;
}

bool records_next(const struct records *r, uint32_t *cursor, struct record *ret)
{
    for (; r->image && *cursor < r->slots; (*cursor)++) {
        if (!r->used[*cursor])
            continue;
        const struct place *p = newest(r, *cursor);
        must(p != NULL);
        *ret = (struct record){
            .slot = *cursor, .kind = (enum record_kind)p->kind, .data = p->data, .len = p->len};
        (*cursor)++;
        return true;
    }
    return false;
}

/* ---- names in records ---- */

void record_put_name(char *out, size_t out_size, const char *name)
{
    size_t n = strlen(name);
    must(out_size > HASH_DIGITS + 1 && out_size <= RECORD_NAME_BYTES_MAX);
    if (n < out_size)
        memcpy(out, name, n + 1);
    else
        snprintf(out, out_size, "%.*s#%016llx", (int)(out_size - HASH_DIGITS - 2), name,
                 (unsigned long long)hash(HASH_BEGIN, name, n));
}

bool record_has_name(const char *field, size_t field_size, const char *name)
{
    char filled[RECORD_NAME_BYTES_MAX];
    record_put_name(filled, field_size, name);
    return strcmp(field, filled) == 0;
}
