#include "http/chunk.h"

#include "base/pure/errors.h"
#include "http/chars.h"

/* 15 digits: a size stays below 2^60, so that sums of sizes do not wrap. */
#define SIZE_DIGITS_MAX 15

enum chunk_state {
    SIZE, /* must be 0: the start of a body */
    SIZE_SPACE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_NAME, /* at the start of a line when `line` is 0 */
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
    FAILED,
};

/* Each of the functions below takes one byte and returns the next state, or FAILED. */

static enum chunk_state after_size(struct chunk_decoder *d, char c)
{
    if (d->digits == 0)
        return FAILED;
    d->overhead++;
    if (c == '\r')
        return SIZE_LF;
    if (c == ';')
        return EXTENSION;
    return c == ' ' || c == '\t' ? SIZE_SPACE : FAILED;
}

static enum chunk_state take_size(struct chunk_decoder *d, char c)
{
    int value = chars_hex_value(c);
    if (value < 0)
        return after_size(d, c);
    if (d->digits == SIZE_DIGITS_MAX)
        return FAILED;
    d->digits++;
    d->left = d->left << 4 | (uint64_t)value;
    return SIZE;
}

/* Space may stand only before the ';' of an extension (RFC 9112, section 7.1.1). */
static enum chunk_state take_extension(struct chunk_decoder *d, char c)
{
    if (c == '\r')
        return d->state == EXTENSION ? SIZE_LF : FAILED;
    if (++d->overhead > CHUNK_EXTENSION_BYTES_MAX || !chars_is(c, CHAR_TEXT))
        return FAILED;
    if (d->state == EXTENSION || c == ';')
        return EXTENSION;
    return c == ' ' || c == '\t' ? SIZE_SPACE : FAILED;
}

static enum chunk_state end_size(struct chunk_decoder *d, char c)
{
    d->overhead = 0;
    d->line = 0;
    d->digits = 0;
    if (c != '\n')
        return FAILED;
    return d->left ? DATA : TRAILER_NAME;
}

static enum chunk_state take_trailer(struct chunk_decoder *d, char c)
{
    if (d->state == TRAILER_NAME && d->line == 0 && c == '\r')
        return END_LF;
    if (++d->overhead > CHUNK_TRAILER_BYTES_MAX)
        return FAILED;
    if (d->state == TRAILER_VALUE) {
        if (c == '\r')
            return TRAILER_LF;
        return chars_is(c, CHAR_TEXT) ? TRAILER_VALUE : FAILED;
    }
    if (c == ':')
        return d->line ? TRAILER_VALUE : FAILED;
    d->line++;
    return chars_is(c, CHAR_TOKEN) ? TRAILER_NAME : FAILED;
}

static enum chunk_state end_trailer(struct chunk_decoder *d, char c)
{
    d->line = 0;
    return ++d->overhead <= CHUNK_TRAILER_BYTES_MAX && c == '\n' ? TRAILER_NAME : FAILED;
}

static enum chunk_state take_byte(struct chunk_decoder *d, char c)
{
    switch ((enum chunk_state)d->state) {
    case SIZE:
        return take_size(d, c);
    case SIZE_SPACE:
    case EXTENSION:
        return take_extension(d, c);
    case SIZE_LF:
        return end_size(d, c);
    case DATA_CR:
        return c == '\r' ? DATA_LF : FAILED;
    case DATA_LF:
        return c == '\n' ? SIZE : FAILED;
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return take_trailer(d, c);
    case TRAILER_LF:
        return end_trailer(d, c);
    case END_LF:
        return c == '\n' ? DONE : FAILED;
    case DATA:
    case DONE:
    case FAILED:
        break;
    }
    return FAILED;
}

int chunk_decode(struct chunk_decoder *d, const char *data, size_t n, size_t *ret_used,
                 size_t *ret_off, size_t *ret_len)
{
    size_t at = 0, len = 0;
    while (at < n && d->state != DATA && d->state != DONE && d->state != FAILED)
        d->state = (uint8_t)take_byte(d, data[at++]);
    if (d->state == FAILED)
        return -ERR_HTTP_INVALID;
    if (d->state == DATA) {
        len = n - at < d->left ? n - at : (size_t)d->left;
        d->left -= len;
        if (d->left == 0)
            d->state = DATA_CR;
    }
    *ret_off = at;
    *ret_len = len;
    *ret_used = at + len;
    return d->state == DONE ? 1 : 0;
}

size_t chunk_format_size(char out[CHUNK_SIZE_LINE_MAX], uint64_t size)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 1;
    for (uint64_t rest = size >> 4; rest; rest >>= 4)
        n++;
    for (size_t i = n; i > 0; i--, size >>= 4)
        out[i - 1] = digits[size & 15];
    out[n] = '\r';
    out[n + 1] = '\n';
    return n + 2;
}
