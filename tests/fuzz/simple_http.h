/* simple_http.h: a reader of HTTP/1.1 messages that are there as a whole, which has nothing to do
 * with wharf's: RFC 9112 word for word where it says how long a message is, and refusing whatever
 * might be read in two ways. Of what a message means it knows nothing. */
#ifndef FUZZ_SIMPLE_HTTP_H
#define FUZZ_SIMPLE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum reading {
    READING_WHOLE,
    READING_CUT, /* it goes on behind the bytes that there are */
    READING_BAD, /* nobody can say where it ends */
};

struct message {
    struct buf method, target; /* of a request */
    int status;                /* of an answer */
    struct buf body;           /* free of its framing; also what there is of one that is cut */
    size_t used;               /* bytes of it, and of empty lines before */
    size_t head;               /* bytes of these that are its head */
    bool until_close;          /* an answer that ends with its connection */
};

struct simple_how {
    bool is_request;
    bool no_body; /* an answer to HEAD */
    bool ended;   /* nothing comes behind the bytes */
};

/* Fills *ret, which is zero or the last message that was read; message_fini it. */
enum reading simple_read(const struct simple_how *how, const char *data, size_t n,
                         struct message *ret);
void message_fini(struct message *m);

#endif
