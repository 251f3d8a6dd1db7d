/* Any JSON as lines of a held lease: nothing is read that is not there, and what is taken for a
 * line is one. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "base/pure/check.h"
#include "client/client_lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void check(const struct client_lease_line *l)
{
    must(l->json != NULL && (int)l->state < CLIENT_LEASE__COUNT && l->position >= -1);
    const char *texts[] = {l->id, l->token, l->why, l->code};
    for (size_t i = 0; i < countof(texts); i++)
        must(!texts[i] || strlen(texts[i]) < SIZE_MAX);
    const double times[] = {l->estimate_s, l->grace_s, l->waited_s, l->expires_s};
    for (size_t i = 0; i < countof(times); i++)
        must(times[i] >= 0 || times[i] == -1.0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    const char *at = (const char *)input, *end = at + size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);
        json_t *json = json_loadb(at, n, JSON_REJECT_DUPLICATES, NULL);
        struct client_lease_line l;
        if (json && client_lease_line_take(json, &l) == 0) {
            check(&l);
            client_lease_line_fini(&l);
        }
        at += n + 1;
    }
    return 0;
}
