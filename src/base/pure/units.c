#include "units.h"

#include <string.h>

/* Digits after the point that are kept; more are read and ignored. */
#define FRACTION_DIGITS 9

struct number {
    uint64_t whole, frac; /* frac counts 1/scale */
    uint64_t scale;
};

static const char *parse_number(const char *p, struct number *ret)
{
    struct number n = {0, 0, 1};
    const char *start = p;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (n.whole > (UINT64_MAX >> 1) / 10)
            return NULL;
        n.whole = n.whole * 10 + (uint64_t)(*p - '0');
    }
    if (p == start)
        return NULL;
    if (*p == '.') {
        int digits = 0;
        p++;
        if (*p < '0' || *p > '9')
            return NULL;
        for (; *p >= '0' && *p <= '9'; p++) {
            if (digits++ >= FRACTION_DIGITS)
                continue;
            n.frac = n.frac * 10 + (uint64_t)(*p - '0');
            n.scale *= 10;
        }
    }
    *ret = n;
    return p;
}

/* whole*unit + frac*unit/scale, without leaving 63 bits. */
static bool scale_number(struct number n, uint64_t unit, uint64_t *ret)
{
    const uint64_t max = UINT64_MAX >> 1;
    if (n.whole > max / unit)
        return false;
    uint64_t rest = unit / n.scale * n.frac + unit % n.scale * n.frac / n.scale;
    if (n.whole * unit > max - rest)
        return false;
    *ret = n.whole * unit + rest;
    return true;
}

bool units_parse_bytes(const char *text, uint64_t *ret_bytes)
{
    static const char letters[] = "kmgt";
    struct number n;
    const char *p = parse_number(text, &n);
    if (!p)
        return false;
    while (*p == ' ')
        p++;
    uint64_t unit = 1;
    char lower = (char)(*p | 0x20);
    const char *letter = *p ? strchr(letters, lower) : NULL;
    if (letter) {
        bool decimal = (p[1] | 0x20) == 'b' && p[1];
        for (long i = letter - letters; i >= 0; i--)
            unit *= decimal ? 1000 : 1024;
        p++;
        if (*p == 'i')
            p++;
    }
    if (*p == 'B' || *p == 'b')
        p++;
    return *p == '\0' && scale_number(n, unit, ret_bytes);
}

bool units_parse_duration(const char *text, uint64_t bare_ns, uint64_t *ret_ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1},
                 {"us", NS_PER_US},
                 {"ms", NS_PER_MS},
                 {"s", NS_PER_S},
                 {"m", 60 * NS_PER_S},
                 {"h", 3600 * NS_PER_S},
                 {"d", 86400 * NS_PER_S}};
    uint64_t total = 0;
    const char *p = text;
    do {
        struct number n;
        uint64_t part, unit = 0;
        p = parse_number(p, &n);
        if (!p)
            return false;
        size_t len = strspn(p, "numshd");
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
            if (len == strlen(units[i].name) && strncmp(p, units[i].name, len) == 0)
                unit = units[i].ns;
        if (len == 0 && *p == '\0' && total == 0)
            unit = bare_ns;
        if (unit == 0 || !scale_number(n, unit, &part) || part > (UINT64_MAX >> 1) - total)
            return false;
        total += part;
        p += len;
    } while (*p);
    *ret_ns = total;
    return true;
}

static char *append_number(char *p, uint64_t value)
{
    char digits[20];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n)
        *p++ = digits[--n];
    return p;
}

static char *append_text(char *p, const char *text)
{
    while (*text)
        *p++ = *text++;
    *p = '\0';
    return p;
}

/* value/unit with one decimal, cut off rather than rounded, so that nothing seems to fit that does
 * not. */
static char *append_tenths(char *p, uint64_t value, uint64_t unit)
{
    p = append_number(p, value / unit);
    uint64_t tenth = value % unit / (unit / 10);
    if (tenth > 9)
        tenth = 9;
    if (tenth) {
        *p++ = '.';
        *p++ = (char)('0' + tenth);
    }
    return p;
}

char *units_format_bytes(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    uint64_t unit = 1;
    size_t i = 0;
    while (i + 1 < sizeof(names) / sizeof(names[0]) && bytes / unit >= 1024) {
        unit *= 1024;
        i++;
    }
    char *p = unit == 1 ? append_number(out, bytes) : append_tenths(out, bytes, unit);
    append_text(p, names[i]);
    return out;
}

char *units_format_duration(uint64_t ns, char out[UNITS_TEXT_MAX])
{
    uint64_t s = ns / NS_PER_S;
    if (ns < NS_PER_MS) {
        append_text(append_number(out, ns / NS_PER_US), "us");
    } else if (s == 0) {
        append_text(append_number(out, ns / NS_PER_MS), "ms");
    } else if (s < 60) {
        append_text(append_tenths(out, ns, NS_PER_S), "s");
    } else {
        char *p =
            append_text(append_number(out, s >= 3600 ? s / 3600 : s / 60), s >= 3600 ? "h" : "m");
        uint64_t rest = s >= 3600 ? s % 3600 / 60 : s % 60;
        if (rest)
            append_text(append_number(p, rest), s >= 3600 ? "m" : "s");
    }
    return out;
}

size_t units_put_digits(uint64_t value, char out[UNITS_DIGITS_MAX])
{
    char text[UNITS_DIGITS_MAX], *at = text + sizeof(text);
    do
        *--at = (char)('0' + value % 10);
    while ((value /= 10));
    size_t n = (size_t)(text + sizeof(text) - at);
    memcpy(out, at, n);
    return n;
}
