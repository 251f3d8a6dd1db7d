/* buf.h: a growing run of bytes with an upper bound, for messages and text that is put together.
 *
 * A buf that is all zero is a valid, empty buf without a bound. An append that would pass the
 * bound, or that there is no memory for below it, leaves the contents as they were and sets
 * `overflow`, which stays set until buf_clear; callers that can overflow check it once at the end.
 * The text is always followed by a NUL byte that is not counted. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data;      /* owned; may be NULL while empty */
    size_t len, cap; /* bytes */
    size_t max;      /* bytes; 0: unbounded */
    bool overflow;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* Empties it and keeps the memory. */
void buf_clear(struct buf *b);
void buf_append(struct buf *b, const void *data, size_t n);
void buf_text(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
/* A whole number in decimal digits: what buf_printf would do, in a fraction of its time. */
void buf_whole(struct buf *b, int64_t value);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Removes n bytes from the front. */
void buf_consume(struct buf *b, size_t n);
/* Room for at least n more bytes; NULL when it overflows. Commit with buf_commit. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
/* Hands the memory to the caller (free()); the buf is empty afterwards. Never NULL. */
char *buf_take(struct buf *b);
/* A JSON string with its quotes (RFC 8259, section 7); bytes that are not UTF-8 become U+FFFD. All
 * that would break a line or drive a terminal is escaped. */
void buf_json(struct buf *b, const char *text, size_t n);
void buf_json_text(struct buf *b, const char *text);
/* base64 with padding (RFC 4648, section 4). */
void buf_base64(struct buf *b, const void *data, size_t n);

#endif
