/* body.h: a request's body, held whole by its exchange until the answer begins.
 *
 * The first BODY_MEMORY_MAX bytes are kept in memory (as long as all bodies together stay below
 * BODY_MEMORY_TOTAL), the rest goes to an unlinked spool file. Bytes can be replaced by splicing:
 * an edit names a span and what stands there instead; nothing is moved. Reading goes by position
 * in the edited body and can be repeated, which a retry needs. */
#ifndef SERVER_PROXY_BODY_H
#define SERVER_PROXY_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/pure/check.h"

#define BODY_MEMORY_MAX (64 * 1024)
#define BODY_MEMORY_TOTAL (64 * 1024 * 1024)

/* What all bodies share. */
struct body_budget {
    const char *folder;     /* of the spool files; borrowed */
    uint64_t memory_bytes;  /* held in memory now */
    uint64_t spooled_bytes; /* held in files now */
    uint64_t spooled_max, body_max;
    /* Nothing can be spooled, which is the machine's fault; NULL: nobody is told. */
    void (*on_trouble)(void *arg, const char *why);
    void *arg;
    uint32_t files; /* spool files */
    int file_error; /* errno of the last that could not be opened; the reader sets it to 0 */
    const uint32_t *streams;  /* connections, which take descriptors too; NULL: none */
    uint64_t descriptors_max; /* of both; 0: any number */
};

struct body_edit {
    uint64_t off, len; /* of the original bytes */
    char *text;        /* owned */
    size_t text_len;
    uint64_t pos; /* where the text begins in the edited body */
};

struct body {
    struct body_budget *budget;
    char *memory; /* owned; the first memory_len bytes */
    uint32_t memory_len, memory_cap;
    int fd;                  /* -1: no spool file */
    uint64_t size;           /* bytes received */
    struct body_edit *edits; /* owned; ascending, not overlapping */
    uint32_t edit_count, edit_cap;
};

void body_init(struct body *b, struct body_budget *budget);
/* Also legal on a body that is all zero. */
void body_fini(struct body *b);
/* 0, -ERR_BODY_TOO_LARGE, or -ERR_BODY_NO_ROOM when the spool is full or cannot be written.
 * expected: the Content-Length, as a hint; 0 when unknown. */
int body_append(struct body *b, const char *data, size_t n, uint64_t expected) warn_unused;
/* Whether something can be spooled now. */
bool body_try_spool(const struct body_budget *budget);
/* Has text, which is copied, stand in place of len bytes. In any order, before any of the edited
 * body is read; no two may take the same byte. Of texts put between the same two bytes the later
 * comes behind; one put before a byte that is replaced comes before what replaces it. */
void body_edit(struct body *b, uint64_t off, uint64_t len, const char *text, size_t text_len);
/* Size with the edits applied. */
uint64_t body_size(const struct body *b);
/* Bytes at a position of the edited body: points *ret_data at up to *ret_n contiguous bytes, in
 * the body itself or, for spooled parts, read into scratch. 0 at the end, -ERR_BODY_NO_ROOM when
 * the spool cannot be read. */
int body_peek(const struct body *b, uint64_t pos, char *scratch, size_t scratch_size,
              const char **ret_data, size_t *ret_n) warn_unused;

#endif
