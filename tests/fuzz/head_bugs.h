/* head_bugs.h: parsers that make one mistake each, to show that the comparison with llhttp would
 * catch it in wharf's. */
#ifndef TESTS_HEAD_BUGS_H
#define TESTS_HEAD_BUGS_H

#include "http/head.h"

#define HEAD_BUGS 18

struct head_bug {
    const char *what;
    /* As http_head_parse, for all of the data at once. */
    int (*parse)(enum http_kind kind, bool to_head, const char *data, size_t n,
                 struct http_head *ret_head);
};

extern const struct head_bug head_bugs[HEAD_BUGS];

#endif
