/* certificate.h: what is to be said of a certificate of wharf's own by the time: that it is not
 * valid yet, will soon not be any more, or has not been for a while. Who serves with it goes on. */
#ifndef SERVER_CERTIFICATE_H
#define SERVER_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#define CERTIFICATE_TEXT_MAX 128
/* This long before its end it is told of; of short-lived ones, in the last sixth of their life. */
#define CERTIFICATE_WARN_S (14 * INT64_C(86400))

/* Both ends are within; seconds since 1970. */
struct certificate_life {
    int64_t from, until;
};

/* A clause such as "expires in 9 days, on 2026-12-01T00:00:00Z". False: all is well. */
bool certificate_describe(struct certificate_life life, int64_t now,
                          char ret[CERTIFICATE_TEXT_MAX]);
/* In how many seconds that may be another; an hour at most, since clocks are set. */
uint32_t certificate_next_look_s(struct certificate_life life, int64_t now);

#endif
