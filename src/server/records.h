/* records.h: small records that outlive a daemon that is killed: one file, and the same in memory.
 *
 * What is put is in the kernel's page cache at once, and stays there whatever becomes of the
 * process; nothing waits for a disk. It is written and not mapped, since a page that a full disk
 * has no room for would end the process. What could not be written is in memory until it can be.
 * After the machine itself went down it means nothing any more: the file names the boot that it was
 * written in (boot_id of random(4)), and begins anew in another.
 *
 * Each record has two places, used in turns: {sequence, checksum, kind, length, payload}. The one
 * with a right checksum and the higher sequence holds, so that a record that was being written when
 * the process died is as it was before. */
#ifndef SERVER_RECORDS_H
#define SERVER_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"

#define RECORDS_MAX 2048
#define RECORDS_NONE UINT32_MAX
#define RECORD_NAME_BYTES_MAX 512
#define RECORDS_BOOT_BYTES 40
/* A page, with its head. */
#define RECORD_PLACE_BYTES 4096
#define RECORD_BYTES_MAX (RECORD_PLACE_BYTES - 32)

enum record_kind {
    RECORD_FREE,  /* nothing is kept there */
    RECORD_LEASE, /* server/leases/leases_kept.c */
    RECORD_MODEL, /* server/residents/process_kept.c */
};

struct records {
    char *image; /* owned; the file as it is to be; NULL: not opened */
    char *path;  /* owned */
    char boot[RECORDS_BOOT_BYTES];
    int fd;                     /* owned; -1: the file cannot be had */
    uint32_t slots, file_slots; /* that there is room for: in the image, in the file */
    bool *used;                 /* owned; by slot */
    bool *behind;               /* owned; by slot: the file does not have it as it is */
    uint32_t behind_count;
    bool head_behind;
    uint32_t unused; /* all slots below are used */
    /* Something cannot be written; NULL: nobody is told. */
    void (*on_trouble)(void *arg, const char *why);
    void *arg;
};

/* Opens or makes the file. boot: the id of this boot, NULL: the kernel's. 0, or -1 with a sentence:
 * all works, and is in memory alone until it is mended. */
int records_open(struct records *r, const char *path, const char *boot,
                 struct err *err) warn_unused;
/* Brings the file up to date. 0, or -1 with a sentence. */
int records_mend(struct records *r, struct err *err) warn_unused;
/* Whether the file has all. */
bool records_kept(const struct records *r);
void records_close(struct records *r);
/* Writes a record of RECORD_BYTES_MAX at most; *slot: RECORDS_NONE for a new one, which gets its
 * slot. -1: there is no room for another. One that has a slot always has it. */
int records_put(struct records *r, uint32_t *slot, enum record_kind kind, const void *data,
                uint32_t len) warn_unused;
/* Not kept any more; *slot is RECORDS_NONE then. */
void records_drop(struct records *r, uint32_t *slot);

struct record {
    uint32_t slot;
    enum record_kind kind;
    const void *data; /* borrowed until the next put or drop */
    uint32_t len;
};
/* Visits all that are kept; *cursor: 0 at first. */
bool records_next(const struct records *r, uint32_t *cursor, struct record *ret);

/* A name in a record's field of that many bytes, RECORD_NAME_BYTES_MAX at most: as it is or, where
 * it is too long, as its beginning and a hash. */
void record_put_name(char *out, size_t out_size, const char *name);
/* Whether the field was filled with that name. */
bool record_has_name(const char *field, size_t field_size, const char *name);

#endif
