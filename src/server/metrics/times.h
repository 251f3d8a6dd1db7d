/* times.h: when things happened to a request, as far as they are measured; by uv_hrtime, 0: not
 * yet. */
#ifndef SERVER_METRICS_TIMES_H
#define SERVER_METRICS_TIMES_H

#include <stdint.h>

struct metrics_times {
    uint64_t arrived_ns; /* its head was there */
    uint64_t granted_ns; /* it was let through to its model's server, for the first time */
    uint64_t first_ns;   /* that one's answer had content */
};

#endif
