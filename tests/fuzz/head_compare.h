/* head_compare.h: whether llhttp reads a head that wharf accepted in the same way.
 *
 * The rule: what wharf accepts llhttp accepts too, as one head of the same bytes, with the same
 * method, target, version, status, reason, names, values, framing and upgrade; and where wharf
 * would keep the connection, so would llhttp. What wharf refuses llhttp may accept: wharf is
 * stricter.
 *
 * Where llhttp departs from the RFCs, a row of `head_differences` says how to write the same
 * message so that it does not; written so, everything must agree. */
#ifndef TESTS_HEAD_COMPARE_H
#define TESTS_HEAD_COMPARE_H

#include "http/head.h"
#include "llhttp_peer.h"

enum head_agreement {
    HEAD_AGREES,
    HEAD_AGREES_REWRITTEN, /* by the rows that `rows` names */
    HEAD_DIFFERS,
};

struct head_comparison {
    enum head_agreement agreement;
    unsigned rows;           /* a bit for each of head_differences that was applied */
    char why[512];           /* what differs in the message as it came; "" when nothing does */
    char why_rewritten[512]; /* and in what `rows` made of it */
};

struct head_difference {
    const char *what;
    const char *source; /* why wharf's reading is right */
    /* Changes the message, whose data is a copy, so that the difference does not matter; false when
     * it is not there. */
    bool (*rewrite)(const struct http_head *h, struct peer_message *m, char *copy);
    enum http_kind kind;
    const char *example; /* where it shows in llhttp 8.1; newer ones may have mended it */
};

#define HEAD_DIFFERENCES 5
extern const struct head_difference head_differences[HEAD_DIFFERENCES];

/* h: what wharf's parser, or one that is tried in its place, made of data. */
void head_compare(const struct http_head *h, bool to_head, const char *data,
                  struct head_comparison *ret);

#endif
