/* What a slot of a daemon's gate costs while nobody else wants it: acquire and release over a
 * connection of its own. lib_lease URL GATE COUNT; prints microseconds, a line each. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <wharf/lease.h>

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    const struct wharf_limits minute = {.timeout_ns = INT64_C(60000000000)};
    struct wharf_client *client =
        argc == 4 ? wharf_client_new(&(struct wharf_client_options){.url = argv[1]}) : NULL;
    if (!client)
        return 2;
    for (long i = strtol(argv[3], NULL, 10); i > 0; i--) {
        struct wharf_lease *lease;
        double since_us = now_us();
        if (wharf_client_gate(client, argv[2], WHARF_FOREGROUND, &minute, &lease) != 0 ||
            wharf_lease_end(lease, NULL) != 0)
            return 1;
        printf("%.2f\n", now_us() - since_us);
    }
    wharf_client_free(client);
    return 0;
}
