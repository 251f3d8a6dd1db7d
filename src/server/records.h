/* records.h: small records that outlive a daemon that is killed: one file, mapped into memory.
 *
 * What is put is in the kernel's page cache at once, and stays there whatever becomes of the
 * process; nothing waits for a disk. After the machine itself went down it means nothing any more:
 * the file names the boot that it was written in (boot_id of random(4)), and begins anew in
 * another.
 *
 * Each record has two places, used in turns: {sequence, checksum, kind, length, payload}. The one
 * with a right checksum and the higher sequence holds, so that a record that was being written when
 * the process died is as it was before. */
#ifndef SERVER_RECORDS_H
#define SERVER_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"

#define RECORDS_MAX 2048
#define RECORDS_NONE UINT32_MAX
/* A page, with its head. */
#define RECORD_PLACE_BYTES 4096
#define RECORD_BYTES_MAX (RECORD_PLACE_BYTES - 32)

enum record_kind {
    RECORD_FREE,  /* nothing is kept there */
    RECORD_LEASE, /* server/leases/leases_kept.c */
    RECORD_MODEL, /* server/residents/process_kept.c */
};

struct records {
    char *map;       /* owned; NULL: nothing is kept */
    int fd;          /* owned, with map */
    uint32_t slots;  /* that the file has room for; RECORDS_MAX at most */
    bool *used;      /* owned; by slot */
    uint32_t unused; /* all slots below are used */
};

/* Opens or makes the file. boot: the id of this boot, NULL: the kernel's. 0, or -1 with a sentence,
 * and then everything below does nothing. */
int records_open(struct records *r, const char *path, const char *boot,
                 struct err *err) warn_unused;
void records_close(struct records *r);
/* Writes a record of RECORD_BYTES_MAX at most; *slot: RECORDS_NONE for a new one, which gets its
 * slot. -1: there is no room for another, or no file. One that has a slot can always be written. */
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

#endif
