/* chunk.h: the chunked transfer coding, decoding (RFC 9112, section 7.1).
 *
 * Extensions are read and dropped, 256 bytes of them a chunk at most; trailers are read and
 * dropped, 8 KiB at most. Lines end in CRLF and nothing else. The decoder keeps a few bytes of
 * state and gives out spans of the input; it copies nothing. */
#ifndef HTTP_CHUNK_H
#define HTTP_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pure/check.h"

struct chunk_decoder {
    uint8_t state; /* private; zero is the start of a body */
    uint8_t digits;
    uint32_t overhead; /* bytes of extension or trailer seen */
    uint32_t line;     /* bytes in the present trailer line */
    uint64_t left;     /* bytes left of the present chunk */
};

/* Takes bytes from data up to the end of one span of content, or up to where input ends.
 * *ret_used: bytes consumed. *ret_off and *ret_len: the content found within data (len may be 0).
 * Call again with the rest until used == n or it returns 1.
 * Returns 0: go on; 1: the body has ended (what follows is not part of it); -ERR_HTTP_INVALID, and
 * then nothing is set. */
int chunk_decode(struct chunk_decoder *d, const char *data, size_t n, size_t *ret_used,
                 size_t *ret_off, size_t *ret_len) warn_unused;

/* Room for the longest line that chunk_format_size writes. */
#define CHUNK_SIZE_LINE_MAX 20
#define CHUNK_EXTENSION_BYTES_MAX 256 /* of one chunk */
#define CHUNK_TRAILER_BYTES_MAX (8 * 1024)
/* Writes "<hex>\r\n"; returns its length. */
size_t chunk_format_size(char out[CHUNK_SIZE_LINE_MAX], uint64_t size);

#endif
