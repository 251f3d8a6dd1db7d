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
    size_t len = strlen(secret);
    unsigned char diff = n != len;
    for (size_t i = 0; i < n; i++)
        diff |= (unsigned char)given[i] ^ (unsigned char)(len ? secret[i % len] : 0);
    return diff == 0;
}
