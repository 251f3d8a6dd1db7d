#include "base/logtime.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/pure/check.h"

/* Letters behind % mean what they mean to strftime, but for
 *   %i  the zone as RFC 3339 has it: Z, or +hh:mm
 *   %I  the hour of 12, not padded
 *   %3 %6 %9  a fraction of that many digits;  %N  one of nine without zeros at its end
 * strftime itself would know neither, and names of the locale instead of the format's. */
struct logtime {
    const char *name, *layout;
};

static const struct logtime forms[] = {
    {"", ""},
    {"ansic", "%a %b %e %T %Y"},
    {"unixdate", "%a %b %e %T %Z %Y"},
    {"rubydate", "%a %b %d %T %z %Y"},
    {"rfc822", "%d %b %y %H:%M %Z"},
    {"rfc822z", "%d %b %y %H:%M %z"},
    {"rfc850", "%A, %d-%b-%y %T %Z"},
    {"rfc1123", "%a, %d %b %Y %T %Z"},
    {"rfc1123z", "%a, %d %b %Y %T %z"},
    {"rfc3339", "%Y-%m-%dT%T%i"},
    {"rfc3339nano", "%Y-%m-%dT%T%N%i"},
    {"kitchen", "%I:%M%p"},
    {"stamp", "%b %e %T"},
    {"stampmilli", "%b %e %T%3"},
    {"stampmicro", "%b %e %T%6"},
    {"stampnano", "%b %e %T%9"},
};

static const struct logtime own = {"", "%Y-%m-%dT%T%3%i"};

static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

const struct logtime *logtime_find(const char *name)
{
    for (size_t i = 0; i < countof(forms); i++)
        if (strcmp(forms[i].name, name) == 0)
            return &forms[i];
    return NULL;
}

struct text {
    char *out;
    size_t at;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->out + t->at, LOGTIME_MAX - t->at, fmt, ap);
    va_end(ap);
    t->at += n > 0 ? (size_t)n : 0;
    if (t->at >= LOGTIME_MAX)
        t->at = LOGTIME_MAX - 1;
}

static void put_zone(struct text *t, const struct tm *tm, bool iso)
{
    long minutes = tm->tm_gmtoff / 60, size = minutes < 0 ? -minutes : minutes;
    if (iso && minutes == 0)
        put(t, "Z");
    else
        put(t, "%c%02ld%s%02ld", minutes < 0 ? '-' : '+', size / 60, iso ? ":" : "", size % 60);
}

static void put_fraction(struct text *t, long ns, int digits)
{
    char all[16];
    snprintf(all, sizeof(all), "%09ld", ns);
    bool trims = digits == 0;
    int n = trims ? 9 : digits;
    while (trims && n > 0 && all[n - 1] == '0')
        n--;
    if (n)
        put(t, ".%.*s", n, all);
}

static void put_day(struct text *t, char what, const struct tm *tm)
{
    if (what == 'a')
        put(t, "%.3s", days[tm->tm_wday]);
    else if (what == 'A')
        put(t, "%s", days[tm->tm_wday]);
    else if (what == 'b')
        put(t, "%s", months[tm->tm_mon]);
    else if (what == 'm')
        put(t, "%02d", tm->tm_mon + 1);
    else if (what == 'd')
        put(t, "%02d", tm->tm_mday);
    else if (what == 'e')
        put(t, "%2d", tm->tm_mday);
    else if (what == 'y')
        put(t, "%02d", tm->tm_year % 100);
    else if (what == 'Y')
        put(t, "%04d", tm->tm_year + 1900);
}

static void put_clock(struct text *t, char what, const struct tm *tm, long ns)
{
    if (what == 'T')
        put(t, "%02d:%02d:%02d", tm->tm_hour, tm->tm_min, tm->tm_sec);
    else if (what == 'H')
        put(t, "%02d", tm->tm_hour);
    else if (what == 'I')
        put(t, "%d", tm->tm_hour % 12 ? tm->tm_hour % 12 : 12);
    else if (what == 'M')
        put(t, "%02d", tm->tm_min);
    else if (what == 'p')
        put(t, "%s", tm->tm_hour < 12 ? "AM" : "PM");
    else if (what == 'Z')
        put(t, "%s", tm->tm_zone);
    else if (what == 'z' || what == 'i')
        put_zone(t, tm, what == 'i');
    else if (what == 'N')
        put_fraction(t, ns, 0);
    else if (what >= '1' && what <= '9')
        put_fraction(t, ns, what - '0');
}

size_t logtime_format(const struct logtime *form, struct timespec at, char out[LOGTIME_MAX])
{
    struct text t = {out, 0};
    struct tm tm;
    if (form)
        localtime_r(&at.tv_sec, &tm);
    else
        gmtime_r(&at.tv_sec, &tm);
    out[0] = '\0';
    for (const char *p = form ? form->layout : own.layout; *p; p++) {
        if (*p != '%') {
            put(&t, "%c", *p);
            continue;
        }
        p++;
        if (strchr("aAbmdeyY", *p))
            put_day(&t, *p, &tm);
        else
            put_clock(&t, *p, &tm, at.tv_nsec);
    }
    return t.at;
}
