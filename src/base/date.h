/* date.h: points in time as text, in the form of RFC 3339. */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stdbool.h>
#include <stdint.h>

#define DATE_TEXT_MAX 40

/* Nanoseconds since 1970; false, and *ret_ns untouched, for anything but
 * YYYY-MM-DDThh:mm:ss[.fraction](Z|+hh:mm|-hh:mm), and for times before 1970
 * or after 2553. */
bool date_parse(const char *text, uint64_t *ret_ns);
/* The same in seconds since 1970, without the fraction, and for times before that, too. */
bool date_parse_seconds(const char *text, int64_t *ret);
/* In UTC, with nine digits behind the seconds. Returns out. */
char *date_format(uint64_t ns, char out[DATE_TEXT_MAX]);
/* Seconds since 1970, in UTC, without a fraction. Returns out. */
char *date_format_seconds(int64_t seconds, char out[DATE_TEXT_MAX]);

#endif
