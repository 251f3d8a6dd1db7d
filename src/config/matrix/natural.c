#include "config/matrix/natural.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "config/matrix/expression.h"

static bool is_digit(uint32_t rune)
{
    return rune >= '0' && rune <= '9';
}

static bool is_letter(uint32_t rune)
{
    bool mark = is_digit(rune) || rune == '_' || rune == '-' || rune == '.';
    return rune && !mark && expression_is_name_char(rune);
}

static int order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* The value of the digits at text; what is beyond 64 bits is of no matter, as long as it is the
 * same each time. */
static uint64_t run_value(uint64_t value, const char *text, size_t *ret_length)
{
    size_t n = 0;
    for (; is_digit((unsigned char)text[n]); n++)
        value = value * 10 + (uint64_t)(text[n] - '0');
    *ret_length = n;
    return value;
}

/* Whether the digits that end before `at` have one that is not 0: then a 0 at `at` counts. */
static bool in_number(const char *text, const char *at)
{
    while (at > text && is_digit((unsigned char)at[-1]))
        if (*--at != '0')
            return true;
    return false;
}

int natural_compare(const char *a, const char *b)
{
    size_t same = 0, whole = 0, length_a, length_b;
    while (a[same] && a[same] == b[same])
        same++;
    if (a[same] == b[same])
        return 0;
    /* Back to where the character begins. */
    for (whole = same; whole && ((unsigned char)a[whole] & 0xc0) == 0x80;)
        whole--;
    const char *at_a = a + whole, *at_b = b + whole, *next_a = at_a, *next_b = at_b;
    uint32_t rune_a = expression_next_rune(&next_a), rune_b = expression_next_rune(&next_b);
    if (rune_a == 0 || rune_b == 0)
        return rune_a == 0 ? -1 : 1;
    bool letter_a = is_letter(rune_a), letter_b = is_letter(rune_b);
    if (letter_a && letter_b)
        return order(rune_a, rune_b);
    if (letter_a || letter_b) {
        bool behind_digit = whole && is_digit((unsigned char)a[whole - 1]);
        return letter_a == behind_digit ? -1 : 1;
    }
    bool zero = (rune_a == '0' || rune_b == '0') && in_number(a, at_a);
    uint64_t value_a = run_value(zero, at_a, &length_a), value_b = run_value(zero, at_b, &length_b);
    if (value_a != value_b)
        return order(value_a, value_b);
    return length_a != length_b ? order(length_a, length_b) : order(rune_a, rune_b);
}
