/* Planted faults, which tools/fuzz must find before it believes that it finds none elsewhere. Each
 * lies behind bytes that nobody guesses in seconds without being led by what they reach, and is of
 * a kind that one part of the tools alone notices; WHARF_CANARY says which. */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static volatile int sink;
static void *volatile kept;

static void read_behind(void)
{
    volatile size_t size = 8;
    char *bytes = malloc(size);
    memset(bytes, 1, size);
    sink = bytes[size];
    free(bytes);
}

static void overflow(void)
{
    sink = INT_MAX;
    sink = sink + 1;
}

static void lose(void)
{
    kept = malloc(1000);
    kept = NULL;
}

static void hang(void)
{
    sink = 1;
    while (sink)
        continue;
}

static void swell(void)
{
    kept = malloc((size_t)2 << 30);
    free(kept);
}

static void do_wrong(const char *kind)
{
    if (strcmp(kind, "address") == 0)
        read_behind();
    else if (strcmp(kind, "undefined") == 0)
        overflow();
    else if (strcmp(kind, "leak") == 0)
        lose();
    else if (strcmp(kind, "hang") == 0)
        hang();
    else if (strcmp(kind, "memory") == 0)
        swell();
    else
        must(strcmp(kind, "check") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    const char *kind = getenv("WHARF_CANARY");
    if (kind && size > 4 && input[0] == 'w' && input[1] == 'h' && input[2] == 'a' &&
        input[3] == (input[4] ^ 0x55))
        do_wrong(kind);
    return 0;
}
