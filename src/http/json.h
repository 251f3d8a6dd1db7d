/* json.h: an incremental, validating scanner for the top level of a JSON object (RFC 8259).
 *
 * It is fed a request body piece by piece, checks that the whole of it is one valid JSON object in
 * UTF-8, and reports where the wanted top-level members' values stand, so that rewriting is
 * splicing and every other byte stays as it was. It builds no tree and allocates nothing.
 * Names are compared after their escapes are decoded: "mod\u0065l" is "model". */
#ifndef HTTP_JSON_H
#define HTTP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pure/check.h"

#define JSON_DEPTH_MAX 512
#define JSON_TEXT_MAX 512 /* bytes of a wanted string value, decoded */

/* The names are long because Jansson has the short ones. */
enum json_type {
    JSON_TYPE_ABSENT,
    JSON_TYPE_STRING,
    JSON_TYPE_NUMBER,
    JSON_TYPE_TRUE,
    JSON_TYPE_FALSE,
    JSON_TYPE_NULL,
    JSON_TYPE_OBJECT,
    JSON_TYPE_ARRAY,
};

/* Top-level members that the scanner looks for. Add a row in json.c for each name added here. */
enum json_member { JSON_MEMBER_MODEL, JSON_MEMBER_STREAM, JSON_MEMBER__COUNT };

struct json_found {
    enum json_type type;
    bool duplicate;    /* the member stands there more than once; the first is reported */
    uint64_t off, len; /* the value's bytes in the body, quotes included */
    uint32_t text_len; /* for JSON_TYPE_STRING: decoded length; above JSON_TEXT_MAX it was cut */
};

struct json_scan {
    struct json_found found[JSON_MEMBER__COUNT];
    /* Decoded value of "model", NUL-terminated, half surrogate pairs as U+FFFD. A \u0000 within it
     * is there as a NUL: it is no usable id unless its strlen is text_len. */
    char model[JSON_TEXT_MAX + 1];
    uint64_t offset; /* bytes taken so far; on an error the offset of the bad byte */
    /* private from here */
    uint8_t state, sink, number;
    uint16_t depth;
    uint8_t nesting[JSON_DEPTH_MAX / 8]; /* a bit a level: 1 object, 0 array */
    uint8_t utf8_left, utf8_min, utf8_max;
    uint8_t literal_at, escape_left;
    uint16_t escape_value, surrogate;
    const char *literal;
    uint8_t name_len;
    bool in_name;
    int8_t member; /* which wanted member's value is being read, -1 for none */
    char name[16];
};

void json_scan_init(struct json_scan *s);
/* Takes the next piece. Returns 0, or -ERR_JSON_INVALID with s->offset at the offending byte. */
int json_scan_feed(struct json_scan *s, const char *data, size_t n) warn_unused;
/* Says that the body has ended. Same errors: a body that stops early is invalid at its end. */
int json_scan_end(struct json_scan *s) warn_unused;

#endif
