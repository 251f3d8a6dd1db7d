/* Any file as the records of an earlier daemon: whatever holds there stays as it is over a put, a
 * drop and another opening, and nothing else is believed. The checksum is to notice what was half
 * written and no secret: where the input's first bits say so, a place gets the right one. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define PLACES 8
#define BOOT "fuzz"

/* As records.c has it. */
struct place {
    uint64_t sequence, checksum;
    uint32_t kind, len;
    uint64_t reserved;
    char data[RECORD_BYTES_MAX];
};

static uint64_t hash(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    return h;
}

static void seal(struct place *p)
{
    uint64_t h = UINT64_C(14695981039346656037);
    if (p->len > sizeof(p->data))
        return;
    h = hash(h, &p->sequence, sizeof(p->sequence));
    h = hash(h, &p->kind, sizeof(p->kind));
    h = hash(h, &p->len, sizeof(p->len));
    p->checksum = hash(h, p->data, p->len);
}

/* A head that is right, then places of the input's bytes. */
static void write_file(const char *path, const uint8_t *input, size_t size)
{
    static struct place places[1 + PLACES];
    uint8_t sealed = size ? input[0] : 0;
    memset(places, 0, sizeof(places));
    memcpy(places, "wharf records 1\n" BOOT, 16 + sizeof(BOOT) - 1);
    for (size_t i = 0, at = 1; i < PLACES && at < size; i++) {
        size_t n = (size - at) / (PLACES - i);
        n = n > sizeof(places[0]) ? sizeof(places[0]) : n ? n : 1;
        memcpy(&places[1 + i], input + at, n);
        at += n;
        if (sealed >> i & 1)
            seal(&places[1 + i]);
    }
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    must(fd >= 0 && write(fd, places, sizeof(places)) == (ssize_t)sizeof(places));
    close(fd);
}

static uint32_t count(const struct records *r)
{
    uint32_t cursor = 0, n = 0;
    struct record one;
    while (records_next(r, &cursor, &one)) {
        must(one.len <= RECORD_BYTES_MAX && one.kind != RECORD_FREE && one.slot < RECORDS_MAX);
        must(one.len == 0 || hash(0, one.data, one.len) != 1); /* all of it can be read */
        n++;
    }
    return n;
}

static void open_again(struct records *r, const char *path)
{
    struct err err = {0};
    must(records_open(r, path, BOOT, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static char path[] = "/tmp/wharf-fuzz-records-XXXXXX";
    static bool made;
    if (!made) {
        int fd = mkstemp(path);
        must(fd >= 0);
        close(fd);
        made = true;
    }
    struct records r;
    write_file(path, input, size);
    open_again(&r, path);
    uint32_t n = count(&r), slot = RECORDS_NONE;
    must(records_put(&r, &slot, RECORD_LEASE, "x", 1) == 0);
    must(count(&r) == n + 1);
    must(records_put(&r, &slot, RECORD_MODEL, input, size < 64 ? (uint32_t)size : 64) == 0);
    records_close(&r);
    open_again(&r, path);
    must(count(&r) == n + 1);
    records_drop(&r, &slot);
    must(slot == RECORDS_NONE && count(&r) == n);
    records_close(&r);
    return 0;
}
