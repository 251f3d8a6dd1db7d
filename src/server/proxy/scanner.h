/* scanner.h: looks for the model in a request body while it comes in: JSON, multipart or
 * urlencoded, by what the body is rather than by what its Content-Type says, since many clients get
 * that wrong. */
#ifndef SERVER_PROXY_SCANNER_H
#define SERVER_PROXY_SCANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pure/check.h"

struct body;
struct scanner;

/* What the body is. */
enum scanned { SCANNED_JSON, SCANNED_MULTIPART, SCANNED_FORM };

struct scanner_result {
    const char *model; /* NUL-terminated; valid as long as the scanner; NULL: none was found */
    bool stream;       /* JSON "stream": true */
    enum scanned how;
    uint64_t off, len; /* where the name's value stands in the body */
};

/* content_type may be NULL with n = 0. */
struct scanner *scanner_new(const char *content_type, size_t n);
void scanner_free(struct scanner *sc); /* NULL is fine */
/* 0 or a negative error (JSON_INVALID, FORM_INVALID). */
int scanner_feed(struct scanner *sc, const char *data, size_t n) warn_unused;
/* The body is whole. Errors as above, MODEL_MISSING, MODEL_DUPLICATE, or MODEL_UNKNOWN for a name
 * that none can have. */
int scanner_end(struct scanner *sc, const struct body *body,
                struct scanner_result *ret) warn_unused;
/* Of a whole body, or of one that has begun. */
bool scanner_is_json(const struct scanner *sc);
/* Byte offset of the error. */
uint64_t scanner_offset(const struct scanner *sc);

#endif
