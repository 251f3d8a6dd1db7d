/* stream.h: an answer of a daemon that comes line by line for as long as somebody listens. */
#ifndef LIB_CLIENT_STREAM_H
#define LIB_CLIENT_STREAM_H

#include "lib/client/connection.h"

struct stream {
    struct stop stop;
    struct client_options options; /* the answer borrows its address */
    struct client_answer *answer;  /* NULL: it is over */
    struct buf line;               /* the last one, or the part of the next that has come */
    bool whole;                    /* it was given out, and makes way for the next */
    const char *rest;              /* of what has been read; the answer's */
    size_t rest_len;
};

/* Sends the request and reads the answer's head. 0 whatever the status; else a negative errno, and
 * a text unless ret_text is NULL. To be closed in any case. */
int stream_open(struct stream *s, const struct wharf_client *c, const struct client_request *rq,
                const struct wharf_limits *l, char **ret_text) warn_unused;
void stream_close(struct stream *s);
/* 0 with *ret_line, which is the stream's until the next call; -ETIMEDOUT: not yet; -ECANCELED; or
 * -EPROTO: the stream is over. */
int stream_line(struct stream *s, const struct wharf_limits *l, const char **ret_line) warn_unused;
/* The rest of the answer as one. 0, or a negative errno with a text. */
int stream_collect(struct stream *s, const struct wharf_limits *l, struct client_reply *ret,
                   char **ret_text) warn_unused;
/* -1: it is over. */
int stream_fd(const struct stream *s);

#endif
