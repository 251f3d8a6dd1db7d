/* utf8.h: where characters begin and end in UTF-8 (RFC 3629, section 4). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* The bytes of the character at s, of n > 0 that there are; 0 where none is whole and well
 * formed. */
size_t utf8_len(const unsigned char *s, size_t n);

#endif
