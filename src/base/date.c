#include "base/date.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS 1000000000U

/* Digits that stand for digits, all else for itself: the shape that text must have. Returns what is
 * behind it, or NULL. */
static const char *match(const char *text, const char *shape)
{
    for (; *shape; shape++, text++)
        if (*shape == '0' ? !isdigit((unsigned char)*text) : *text != *shape)
            return NULL;
    return text;
}

static int two(const char *p)
{
    return (p[0] - '0') * 10 + p[1] - '0';
}

static const char *read_fraction(const char *p, uint64_t *ret_ns)
{
    uint64_t unit = NS / 10;
    *ret_ns = 0;
    if (*p != '.' || !isdigit((unsigned char)p[1]))
        return p;
    for (p++; isdigit((unsigned char)*p); p++, unit /= 10)
        *ret_ns += (uint64_t)(*p - '0') * unit;
    return p;
}

static bool read_zone(const char *p, int64_t *ret_seconds)
{
    *ret_seconds = 0;
    if (strcmp(p, "Z") == 0)
        return true;
    const char *end = *p == '+' || *p == '-' ? match(p + 1, "00:00") : NULL;
    if (!end || *end || two(p + 1) > 23 || two(p + 4) > 59)
        return false;
    *ret_seconds = (two(p + 1) * 3600 + two(p + 4) * 60) * (*p == '-' ? -1 : 1);
    return true;
}

static bool parse(const char *text, int64_t *ret_seconds, uint64_t *ret_fraction_ns)
{
    int64_t zone;
    const char *p = match(text, "0000-00-00T00:00:00");
    if (!p)
        return false;
    struct tm tm = {.tm_year = two(text) * 100 + two(text + 2) - 1900,
                    .tm_mon = two(text + 5) - 1,
                    .tm_mday = two(text + 8),
                    .tm_hour = two(text + 11),
                    .tm_min = two(text + 14),
                    .tm_sec = two(text + 17)};
    struct tm same = tm;
    if (!read_zone(read_fraction(p, ret_fraction_ns), &zone))
        return false;
    *ret_seconds = timegm(&same) - zone;
    /* The 31st of April comes back as the 1st of May. */
    return same.tm_mday == tm.tm_mday && same.tm_mon == tm.tm_mon && same.tm_hour == tm.tm_hour &&
           same.tm_min == tm.tm_min && same.tm_sec == tm.tm_sec;
}

bool date_parse(const char *text, uint64_t *ret_ns)
{
    int64_t seconds;
    uint64_t fraction;
    if (!parse(text, &seconds, &fraction) || seconds < 0 || seconds >= (int64_t)(UINT64_MAX / NS))
        return false;
    *ret_ns = (uint64_t)seconds * NS + fraction;
    return true;
}

bool date_parse_seconds(const char *text, int64_t *ret)
{
    int64_t seconds;
    uint64_t fraction;
    if (!parse(text, &seconds, &fraction))
        return false;
    *ret = seconds;
    return true;
}

char *date_format(uint64_t ns, char out[DATE_TEXT_MAX])
{
    time_t seconds = (time_t)(ns / NS);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(out, DATE_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, DATE_TEXT_MAX - n, ".%09uZ", (unsigned)(ns % NS));
    return out;
}

char *date_format_seconds(int64_t seconds, char out[DATE_TEXT_MAX])
{
    struct tm tm;
    time_t time = (time_t)seconds;
    gmtime_r(&time, &tm);
    strftime(out, DATE_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return out;
}
