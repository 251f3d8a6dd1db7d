#include <stddef.h>
#include <string.h>

#include "simulate/trace_row.h"

#define DAY_S 86400
#define MINUTE_S 60
#define HOUR_S 3600
#define NS_DIGITS 9

/* n digits as a number; NULL when they are not there. */
static const char *digits(const char *p, int n, int64_t *ret)
{
    *ret = 0;
    for (int i = 0; i < n; i++) {
        if (!p || p[i] < '0' || p[i] > '9')
            return NULL;
        *ret = *ret * 10 + (p[i] - '0');
    }
    return p + n;
}

static const char *expect(const char *p, const char *any)
{
    return p && *p && strchr(any, *p) ? p + 1 : NULL;
}

/* Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the day
 * that comes and goes is the last one. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * from_march + 2) / 5 + day - 1;
    return 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
}

static const char *parse_fraction(const char *p, uint64_t *ret_ns)
{
    uint64_t ns = 0;
    int count = 0;
    *ret_ns = 0;
    if (*p != '.')
        return p;
    for (p++; *p >= '0' && *p <= '9'; p++)
        if (count < NS_DIGITS) {
            ns = ns * 10 + (uint64_t)(*p - '0');
            count++;
        }
    if (count == 0)
        return NULL;
    for (; count < NS_DIGITS; count++)
        ns *= 10;
    *ret_ns = ns;
    return p;
}

/* "", "Z", "+02:00"; seconds east of Greenwich. */
static bool parse_offset(const char *p, int64_t *ret_s)
{
    int64_t hours, minutes;
    *ret_s = 0;
    if (*p == '\0' || strcmp(p, "Z") == 0)
        return true;
    const char *sign = p;
    p = expect(digits(expect(p, "+-"), 2, &hours), ":");
    p = digits(p, 2, &minutes);
    if (!p || *p)
        return false;
    *ret_s = (hours * HOUR_S + minutes * MINUTE_S) * (*sign == '-' ? -1 : 1);
    return true;
}

bool trace_parse_date(const char *text, uint64_t *ret_ns)
{
    int64_t year, month, day, hour, minute, second, offset_s;
    uint64_t fraction_ns;
    const char *p = expect(digits(text, 4, &year), "-");
    p = expect(digits(p, 2, &month), "-");
    p = expect(digits(p, 2, &day), "T ");
    p = expect(digits(p, 2, &hour), ":");
    p = expect(digits(p, 2, &minute), ":");
    p = digits(p, 2, &second);
    if (!p || year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
        minute > 59 || second > 60)
        return false;
    p = parse_fraction(p, &fraction_ns);
    if (!p || !parse_offset(p, &offset_s))
        return false;
    int64_t s =
        days_of(year, month, day) * DAY_S + hour * HOUR_S + minute * MINUTE_S + second - offset_s;
    if (s < 0 || (uint64_t)s > (UINT64_MAX >> 1) / NS_PER_S - 1)
        return false;
    *ret_ns = (uint64_t)s * NS_PER_S + fraction_ns;
    return true;
}
