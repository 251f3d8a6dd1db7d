/* Which type a plain scalar has. The rules are those of gopkg.in/yaml.v3, resolve.go. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "config/node.h"

#define NUMBER_TEXT_MAX 64

static bool one_of(const char *text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, list[i]) == 0)
            return true;
    return false;
}

/* Drops underscores, which may stand anywhere in a number. */
static bool without_underscores(const char *text, char out[NUMBER_TEXT_MAX])
{
    size_t n = 0;
    for (; *text; text++) {
        if (*text == '_')
            continue;
        if (n + 1 == NUMBER_TEXT_MAX)
            return false;
        out[n++] = *text;
    }
    out[n] = '\0';
    return n > 0;
}

static int number_base(const char **digits)
{
    const char *p = *digits;
    if (p[0] != '0' || p[1] == '\0')
        return 10;
    int base = 8;
    char letter = (char)tolower((unsigned char)p[1]);
    if (letter == 'x')
        base = 16;
    else if (letter == 'b')
        base = 2;
    *digits += letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1;
    return base;
}

static bool read_int(const char *text, int64_t *ret)
{
    bool negative = *text == '-';
    const char *digits = text + (*text == '-' || *text == '+');
    int base = number_base(&digits);
    /* strtoull would skip blanks and take a second sign or prefix. */
    if (!isxdigit((unsigned char)digits[0]) || digits[1] == 'x' || digits[1] == 'X')
        return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(digits, &end, base);
    if (*end || errno || value > INT64_MAX)
        return false;
    *ret = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

/* [-+]? ( .digits | digits [. digits*] ) ( [eE] [-+]? digits )? */
static bool read_float(const char *text, double *ret)
{
    const char *p = text + (*text == '-' || *text == '+');
    size_t whole = strspn(p, "0123456789");
    p += whole;
    if (*p == '.') {
        size_t fraction = strspn(++p, "0123456789");
        p += fraction;
        if (whole == 0 && fraction == 0)
            return false;
    } else if (whole == 0) {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        size_t exponent = strspn(p, "0123456789");
        if (exponent == 0)
            return false;
        p += exponent;
    }
    if (*p)
        return false;
    *ret = strtod(text, NULL);
    return true;
}

static bool read_special_float(const char *text, double *ret)
{
    static const char *const infinite[] = {".inf", ".Inf", ".INF"};
    static const char *const no_number[] = {".nan", ".NaN", ".NAN"};
    if (one_of(text, no_number, countof(no_number))) {
        *ret = (double)NAN;
        return true;
    }
    bool negative = *text == '-';
    if (!one_of(text + (*text == '-' || *text == '+'), infinite, countof(infinite)))
        return false;
    *ret = negative ? -(double)INFINITY : (double)INFINITY;
    return true;
}

struct scalar scalar_read(const struct node *n)
{
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL"};
    static const char *const yes[] = {"true", "True", "TRUE"};
    static const char *const no[] = {"false", "False", "FALSE"};
    struct scalar s = {.type = SCALAR_TEXT};
    char digits[NUMBER_TEXT_MAX] = "";
    if (n->kind != NODE_SCALAR || !n->plain)
        return s;
    if (one_of(n->text, nothing, countof(nothing))) {
        s.type = SCALAR_NULL;
    } else if (one_of(n->text, yes, countof(yes)) || one_of(n->text, no, countof(no))) {
        s.type = SCALAR_BOOL;
        s.flag = one_of(n->text, yes, countof(yes));
    } else if (n->text[0] != '_' && without_underscores(n->text, digits)) {
        if (read_int(digits, &s.number))
            s.type = SCALAR_INT;
        else if (read_float(digits, &s.real) || read_special_float(n->text, &s.real))
            s.type = SCALAR_FLOAT;
    }
    return s;
}

/* Go's %v of a float64: the fewest digits that read back as the same number, with an exponent below
 * 1e-4 and from 1e6 on. */
static const char *format_real(struct arena *a, double real)
{
    if (isnan(real))
        return "NaN";
    if (isinf(real))
        return real < 0 ? "-Inf" : "+Inf";
    char text[40];
    int digits = 1;
    for (; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, real);
        if (!(strtod(text, NULL) < real) && !(strtod(text, NULL) > real))
            break;
    }
    int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent >= -4 && exponent < 6)
        snprintf(text, sizeof(text), "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0,
                 real);
    return arena_text(a, text);
}

const char *scalar_format(struct arena *a, const struct node *n)
{
    struct scalar s = scalar_read(n);
    switch (s.type) {
    case SCALAR_BOOL:
        return s.flag ? "true" : "false";
    case SCALAR_INT:
        return arena_printf(a, "%lld", (long long)s.number);
    case SCALAR_FLOAT:
        return format_real(a, s.real);
    case SCALAR_NULL:
    case SCALAR_TEXT:
        break;
    }
    return n->text;
}
