/* units.h: sizes in bytes and spans of time, as people write them.
 *
 * Sizes: "512", "500MiB", "10.5GiB", "24GB"; K M G T with "iB" are powers of 1024, with "B" powers
 * of 1000, a bare letter is taken as the power of 1024. Durations: "300ms", "10s", "1m30s", "2h";
 * a bare number is taken in the unit that the caller names. No floating point is involved. */
#ifndef BASE_PURE_UNITS_H
#define BASE_PURE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A point on the monotonic clock. 0 is "never happened". */
struct mono {
    uint64_t ns;
};

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * KIB)
#define GIB (UINT64_C(1024) * MIB)

/* Room for any text that units_format_* writes, the closing NUL included. */
#define UNITS_TEXT_MAX 24

/* False on anything that is not a whole, non-negative size below 2^63; *ret_bytes untouched. */
bool units_parse_bytes(const char *text, uint64_t *ret_bytes);
/* bare_ns: what one unit of a bare number means, e.g. NS_PER_S; 0 refuses bare numbers. */
bool units_parse_duration(const char *text, uint64_t bare_ns, uint64_t *ret_ns);
/* "10.5GiB": one decimal, dropped when it is zero. Returns out. */
char *units_format_bytes(uint64_t bytes, char out[UNITS_TEXT_MAX]);
/* "350ms", "1.5s", "2m5s": three figures or so, for people. Returns out. */
char *units_format_duration(uint64_t ns, char out[UNITS_TEXT_MAX]);

/* Writes the number in decimal, without a NUL; returns how many digits it has. Where printf would
 * be most of the work. */
#define UNITS_DIGITS_MAX 20
size_t units_put_digits(uint64_t value, char out[UNITS_DIGITS_MAX]);

#endif
