/* chars.h: classes of bytes and eight-at-a-time tests, private to the parsers in this folder.
 *
 * One table answers "may this byte stand here" for every grammar. The word tests say whether any of
 * eight bytes is special, so that long plain runs are passed over quickly; which byte it was is
 * then found with the table. Source of the arithmetic: "Bit Twiddling Hacks" (Sean Anderson),
 * sections "hasless" and "haszero"; both are exact about whether there is such a byte. */
#ifndef HTTP_CHARS_H
#define HTTP_CHARS_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CHAR_TOKEN 0x01    /* tchar, RFC 9110 section 5.6.2 */
#define CHAR_TEXT 0x02     /* field-vchar, SP, HTAB: RFC 9110 section 5.5 */
#define CHAR_TARGET 0x04   /* may stand in a request target: visible ASCII but '#' */
#define CHAR_REG_NAME 0x08 /* unreserved and sub-delims: RFC 3986 section 3.2.2 */
#define CHAR_BOUNDARY 0x10 /* bchars: RFC 2046 section 5.1.1 */
#define CHAR_DIGIT 0x20
#define CHAR_HEX 0x40
#define CHAR_ALNUM 0x80

/* The rest of this block makes the table from the grammars, at compile time. */
#define CHARS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define CHARS_ALNUM(c) (CHARS_DIGIT(c) || (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'z'))
#define CHARS_HEX(c) (CHARS_DIGIT(c) || (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'f'))
/* What token, reg-name and boundary have in common. */
#define CHARS_COMMON(c) (CHARS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '+')
#define CHARS_SUB(c) ((c) == '!' || (c) == '$' || (c) == '&' || (c) == '*' || (c) == '~')
#define CHARS_PAREN(c) ((c) == '(' || (c) == ')' || (c) == ',' || (c) == '=')
#define CHARS_TOKEN(c)                                                                             \
    (CHARS_COMMON(c) || CHARS_SUB(c) || (c) == '#' || (c) == '%' || (c) == '\'' || (c) == '^' ||   \
     (c) == '`' || (c) == '|')
#define CHARS_REG_NAME(c)                                                                          \
    (CHARS_COMMON(c) || CHARS_SUB(c) || CHARS_PAREN(c) || (c) == '\'' || (c) == ';')
#define CHARS_BOUNDARY(c)                                                                          \
    (CHARS_COMMON(c) || CHARS_PAREN(c) || (c) == '\'' || (c) == '/' || (c) == ':' || (c) == '?' || \
     (c) == ' ')
#define CHARS_CELL(c)                                                                              \
    (uint8_t)((CHARS_TOKEN(c) ? CHAR_TOKEN : 0) |                                                  \
              (((c) >= 0x20 && (c) != 0x7f) || (c) == '\t' ? CHAR_TEXT : 0) |                      \
              ((c) > 0x20 && (c) < 0x7f && (c) != '#' ? CHAR_TARGET : 0) |                         \
              (CHARS_REG_NAME(c) ? CHAR_REG_NAME : 0) | (CHARS_BOUNDARY(c) ? CHAR_BOUNDARY : 0) |  \
              (CHARS_DIGIT(c) ? CHAR_DIGIT : 0) | (CHARS_HEX(c) ? CHAR_HEX : 0) |                  \
              (CHARS_ALNUM(c) ? CHAR_ALNUM : 0))
#define CHARS_4(c) CHARS_CELL(c), CHARS_CELL((c) + 1), CHARS_CELL((c) + 2), CHARS_CELL((c) + 3)
#define CHARS_16(c) CHARS_4(c), CHARS_4((c) + 4), CHARS_4((c) + 8), CHARS_4((c) + 12)
#define CHARS_64(c) CHARS_16(c), CHARS_16((c) + 16), CHARS_16((c) + 32), CHARS_16((c) + 48)

static const uint8_t chars_table[256] = {CHARS_64(0), CHARS_64(64), CHARS_64(128), CHARS_64(192)};

static inline bool chars_is(char c, unsigned classes)
{
    return (chars_table[(uint8_t)c] & classes) != 0;
}

/* The first byte of p..end that is in none of the classes, or end. */
static inline const char *chars_skip(const char *p, const char *end, unsigned classes)
{
    while (p < end && chars_is(*p, classes))
        p++;
    return p;
}

/* A letter of ASCII in lower case; every other byte unchanged. */
static inline char chars_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Without case; text is in lower case and ends in NUL. */
static inline bool chars_equal_case(const char *p, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\0' || chars_lower(p[i]) != text[i])
            return false;
    return text[n] == '\0';
}

/* 0..15, or -1. */
static inline int chars_hex_value(char c)
{
    if (!chars_is(c, CHAR_HEX))
        return -1;
    return chars_is(c, CHAR_DIGIT) ? c - '0' : (c | 0x20) - 'a' + 10;
}

#define CHARS_ONES UINT64_C(0x0101010101010101)
#define CHARS_HIGHS UINT64_C(0x8080808080808080)

/* Eight bytes, the first one in the lowest place on every machine. */
static inline uint64_t chars_word(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    return le64toh(w);
}

/* Which of the eight comes first, by a non-zero result of the tests below. */
static inline unsigned chars_first(uint64_t mask)
{
    return (unsigned)__builtin_ctzll(mask) / 8;
}

/* Non-zero when a byte of w is below limit (1..128). */
static inline uint64_t chars_any_below(uint64_t w, uint8_t limit)
{
    return (w - CHARS_ONES * limit) & ~w & CHARS_HIGHS;
}

/* Non-zero when a byte of w equals c. */
static inline uint64_t chars_any_equal(uint64_t w, uint8_t c)
{
    return chars_any_below(w ^ (CHARS_ONES * c), 1);
}

#endif
