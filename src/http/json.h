/* json.h: an incremental, validating scanner for a JSON object (RFC 8259).
 *
 * It is fed a body piece by piece, checks that the whole of it is one valid JSON object in UTF-8,
 * and reports where the wanted values stand, so that rewriting is splicing and every other byte
 * stays as it was. It builds no tree and allocates nothing.
 * Names are compared after their escapes are decoded: "mod\u0065l" is "model". */
#ifndef HTTP_JSON_H
#define HTTP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pure/check.h"

#define JSON_DEPTH_MAX 512
#define JSON_WANTS_MAX 64
#define JSON_PATH_MAX 16 /* steps of a wanted path */

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

/* One step of a path. In an object it is a name, in an array a place. */
struct json_step {
    const char *name;
    uint32_t name_len;
    int32_t index; /* JSON_LAST: the last element; JSON_NO_INDEX: only a name */
};

#define JSON_LAST (-1)
#define JSON_NO_INDEX INT32_MIN
/* A step by a literal name alone. */
#define JSON_NAME(text)                                                                            \
    {                                                                                              \
        .name = text, .name_len = sizeof(text) - 1, .index = JSON_NO_INDEX                         \
    }

/* The innermost object or array on a path that is there: where what is missing would go. */
struct json_container {
    uint32_t steps; /* of the path that lead to it; 0: the whole body */
    uint64_t close; /* where its closing bracket stands */
    bool array, empty;
};

/* A value that is looked for, and what was found. Names that stand in their object more than once
 * are told, on any step of the path, and the first of them counts. Offsets are of the body. */
struct json_want {
    const struct json_step *path; /* borrowed while the scan lasts */
    uint32_t steps;               /* 1 to JSON_PATH_MAX */
    char *text;                   /* takes a string's value, decoded; or NULL */
    uint32_t text_size;           /* of it, at least 1: the value is cut, and ends with a NUL */
    /* found */
    enum json_type type;
    bool duplicate;         /* a name of the path stands there twice */
    uint64_t off, len;      /* the value's bytes, quotes included */
    uint64_t name_off;      /* of the opening quote of its name; of an element: off */
    uint64_t before, after; /* the commas on its two sides; 0: there is none */
    /* JSON_TYPE_STRING: the decoded length, also of what was cut. Half surrogate pairs are U+FFFD.
     * A \u0000 is there as a NUL: such a text is no usable id unless its strlen is text_len. */
    uint32_t text_len;
    struct json_container inner;
};

struct json_scan {
    struct json_want *wants; /* borrowed */
    uint64_t offset;         /* bytes taken so far; on an error the offset of the bad byte */
    /* private from here; sets of wants have a bit each */
    uint64_t all, here, name_off, comma;
    uint64_t candidates; /* whose next name begins as the one that is being read */
    const char *literal;
    uint32_t name_at;
    uint8_t state, sink, number;
    uint16_t depth;
    uint8_t utf8_left, utf8_min, utf8_max;
    uint8_t literal_at, escape_left;
    uint16_t escape_value, surrogate;
    bool in_name;
    uint64_t ends[JSON_PATH_MAX + 1]; /* wants of that many steps */
    /* Of the containers that are open, by their depth; what is deeper is left over. */
    uint64_t whose[JSON_PATH_MAX + 2];   /* whose paths lead to it */
    uint64_t seen[JSON_PATH_MAX + 1];    /* in an object: whose next name has been there */
    uint64_t index[JSON_PATH_MAX + 1];   /* in an array: of the element */
    uint8_t nesting[JSON_DEPTH_MAX / 8]; /* a bit a level: 1 object, 0 array */
};

/* Empties what the wants say was found. */
void json_scan_init(struct json_scan *s, struct json_want *wants, uint32_t count);
/* Takes the next piece. Returns 0, or -ERR_JSON_INVALID with s->offset at the offending byte. */
int json_scan_feed(struct json_scan *s, const char *data, size_t n) warn_unused;
/* Says that the body has ended. Same errors: a body that stops early is invalid at its end. */
int json_scan_end(struct json_scan *s) warn_unused;

#endif
