/* multipart.h: an incremental scanner for multipart/form-data (RFC 7578, RFC 2046 section 5.1).
 *
 * It finds the value of the form field "model" and where it stands, so that rewriting is splicing:
 * parts, their order and their types stay as they were. Bytes are given piece by piece.
 *
 * A part named "model" that has a file name is not the model. Lines end in CRLF and nothing else.
 * Forms that servers are known to read in different ways are refused, so that the one behind wharf
 * cannot see another model: text before the first delimiter, a delimiter that is the first thing in
 * a part's content, repeated or extended (name*) names, and a "model" with an empty or extended
 * file name or with a transfer encoding. */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pure/check.h"

#define MULTIPART_BOUNDARY_MAX 70
#define MULTIPART_TEXT_MAX 512
#define MULTIPART_HEAD_MAX 4096 /* bytes of one part's header */
#define MULTIPART_PARTS_MAX 1000

struct multipart_scan {
    bool model_found, model_duplicate;
    uint64_t model_off, model_len; /* the value's bytes in the body */
    /* NUL-terminated; cut when longer. The value's own NULs are kept: it is no usable id unless its
     * strlen is model_len. */
    char model[MULTIPART_TEXT_MAX + 1];
    uint64_t offset; /* bytes taken so far; on an error the bad byte's */
    /* private from here */
    uint8_t state;
    bool in_model;
    uint8_t delimiter_len; /* "\r\n--" and the boundary */
    uint8_t matched;       /* bytes of the delimiter matched so far */
    uint8_t implied;       /* of these, how many were not really there */
    uint32_t parts, head_len;
    char delimiter[MULTIPART_BOUNDARY_MAX + 5];
    char head[MULTIPART_HEAD_MAX];
};

/* content_type: the Content-Type field's value, n bytes. -ERR_FORM_INVALID without a usable
 * boundary: then the scan has failed at offset 0, and takes nothing. */
int multipart_scan_init(struct multipart_scan *s, const char *content_type, size_t n) warn_unused;
int multipart_scan_feed(struct multipart_scan *s, const char *data, size_t n) warn_unused;
/* The body has ended: -ERR_FORM_INVALID unless the closing delimiter was seen. */
int multipart_scan_end(struct multipart_scan *s) warn_unused;

#endif
