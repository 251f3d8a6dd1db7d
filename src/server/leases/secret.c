#include "server/leases/secret.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/pure/check.h"

#define SECRET_BYTES_MAX 32

void secret_make(char *out, size_t bytes)
{
    unsigned char random[SECRET_BYTES_MAX];
    must(bytes <= sizeof(random) && uv_random(NULL, NULL, random, bytes, 0, NULL) == 0);
    for (size_t i = 0; i < bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", random[i]);
}

bool secret_equal(const char *given, size_t n, const char *secret)
{
    size_t len = strlen(secret), at = 0;
    volatile unsigned char diff = n != len; /* no compiler may stop once it is set */
    for (size_t i = 0; i < n; i++) {
        diff |= (unsigned char)given[i] ^ (unsigned char)secret[at];
        at += at < len;
    }
    return diff == 0;
}
