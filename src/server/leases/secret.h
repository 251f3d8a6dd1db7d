/* secret.h: what only one other may know: made of random bytes, compared without saying how much of
 * it was right. */
#ifndef SERVER_SECRET_H
#define SERVER_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* So many random bytes as hexadecimal digits, and a NUL. */
void secret_make(char *out, size_t bytes);
/* given: n bytes, not terminated. The time depends on them alone, not on how much of it is right.
 */
bool secret_equal(const char *given, size_t n, const char *secret);

#endif
