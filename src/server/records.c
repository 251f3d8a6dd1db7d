#include "server/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

#define BOOT_BYTES 40
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define MAGIC "wharf records 1\n"

/* The file's first place. */
struct file_head {
    char magic[16];
    char boot[BOOT_BYTES];
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

/* A file begins with room for so many, and doubles. */
#define RECORDS_FIRST 64

static size_t file_bytes(uint32_t slots)
{
    return (size_t)(1 + 2 * slots) * RECORD_PLACE_BYTES;
}

static struct place *place_at(const struct records *r, uint32_t slot, unsigned which)
{
    return (struct place *)(r->map + (1 + 2 * (size_t)slot + which) * RECORD_PLACE_BYTES);
}

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
    uint64_t h = UINT64_C(14695981039346656037);
    h = hash(h, &p->sequence, sizeof(p->sequence));
    h = hash(h, &p->kind, sizeof(p->kind));
    h = hash(h, &p->len, sizeof(p->len));
    return hash(h, p->data, p->len);
}

static bool is_whole(const struct place *p)
{
    return p->sequence && p->len <= sizeof(p->data) && p->checksum == checksum_of(p);
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

static void write_place(struct records *r, uint32_t slot, enum record_kind kind, const void *data,
                        uint32_t len)
{
    struct place *now = newest(r, slot);
    struct place *to = now == place_at(r, slot, 0) ? place_at(r, slot, 1) : place_at(r, slot, 0);
    to->sequence = now ? now->sequence + 1 : 1;
    to->kind = (uint32_t)kind;
    to->len = len;
    if (len)
        memcpy(to->data, data, len);
    to->checksum = checksum_of(to);
}

static void read_boot(const char *boot, char ret[BOOT_BYTES])
{
    memset(ret, 0, BOOT_BYTES);
    if (boot) {
        snprintf(ret, BOOT_BYTES, "%s", boot);
        return;
    }
    FILE *f = fopen(BOOT_ID, "re");
    if (f && fscanf(f, "%39[0-9a-f-]", ret) != 1)
        ret[0] = '\0';
    if (f)
        fclose(f);
}

/* With all its space: a write to a mapped hole of a full disk would end the process. */
static int map_file(struct records *r, const char *path, struct err *err)
{
    struct stat st;
    uint32_t slots = RECORDS_FIRST;
    if (fstat(r->fd, &st) < 0)
        return err_set(err, "cannot look at %s: %s", path, strerror(errno));
    while (slots < RECORDS_MAX && file_bytes(slots) < (size_t)st.st_size)
        slots *= 2;
    int rc = posix_fallocate(r->fd, 0, (off_t)file_bytes(slots));
    if (rc != 0)
        return err_set(err, "cannot make %s %zu bytes long: %s", path, file_bytes(slots),
                       strerror(rc));
    void *map = mmap(NULL, file_bytes(slots), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (map == MAP_FAILED)
        return err_set(err, "cannot map %s: %s", path, strerror(errno));
    r->map = map;
    r->slots = slots;
    return 0;
}

static bool grow(struct records *r)
{
    uint32_t slots = r->slots * 2;
    if (slots > RECORDS_MAX || posix_fallocate(r->fd, 0, (off_t)file_bytes(slots)) != 0)
        return false;
    void *map = mremap(r->map, file_bytes(r->slots), file_bytes(slots), MREMAP_MAYMOVE);
    if (map == MAP_FAILED)
        return false;
    r->map = map;
    r->slots = slots;
    return true;
}

/* Of another boot, or no such file: nothing in it counts. */
static void begin_anew(struct records *r, const char boot[BOOT_BYTES])
{
    struct file_head *head = (struct file_head *)r->map;
    for (uint32_t i = 0; i < r->slots; i++)
        for (unsigned which = 0; which < 2; which++)
            if (place_at(r, i, which)->sequence)
                place_at(r, i, which)->sequence = 0;
    memcpy(head->boot, boot, BOOT_BYTES);
    memcpy(head->magic, MAGIC, sizeof(head->magic));
}

int records_open(struct records *r, const char *path, const char *boot, struct err *err)
{
    char id[BOOT_BYTES];
    *r = (struct records){.map = NULL};
    r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r->fd < 0)
        return err_set(err, "cannot open %s: %s", path, strerror(errno));
    if (map_file(r, path, err) < 0) {
        close(r->fd);
        return -1;
    }
    const struct file_head *head = (const struct file_head *)r->map;
    read_boot(boot, id);
    bool ours = memcmp(head->magic, MAGIC, sizeof(head->magic)) == 0 && *id &&
                memcmp(head->boot, id, BOOT_BYTES) == 0;
    if (!ours)
        begin_anew(r, id);
    r->used = alloc_zeroed(RECORDS_MAX, sizeof(*r->used));
    for (uint32_t i = 0; i < r->slots; i++) {
        const struct place *p = newest(r, i);
        r->used[i] = p && p->kind != RECORD_FREE;
    }
    return 0;
}

void records_close(struct records *r)
{
    if (r->map) {
        munmap(r->map, file_bytes(r->slots));
        close(r->fd);
    }
    free(r->used);
    *r = (struct records){.map = NULL};
}

int records_put(struct records *r, uint32_t *slot, enum record_kind kind, const void *data,
                uint32_t len)
{
    must(len <= RECORD_BYTES_MAX && kind != RECORD_FREE);
    if (!r->map)
        return -1;
    uint32_t to = *slot;
    for (uint32_t i = r->unused; to == RECORDS_NONE && i < RECORDS_MAX; i++)
        if (!r->used[i])
            to = i;
    if (to == RECORDS_NONE || (to >= r->slots && !grow(r)))
        return -1;
    if (*slot == RECORDS_NONE)
        r->unused = to + 1;
    write_place(r, to, kind, data, len);
    r->used[to] = true;
    *slot = to;
    return 0;
}

void records_drop(struct records *r, uint32_t *slot)
{
    if (!r->map || *slot == RECORDS_NONE)
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
    for (; r->map && *cursor < r->slots; (*cursor)++) {
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
