/* relay.h: the answer of a model's server on its way back to the client; tunnels. */
#ifndef SERVER_PROXY_RELAY_H
#define SERVER_PROXY_RELAY_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct exchange;
struct http_head;
struct problem;

void exchange_upstream_data(struct exchange *ex, const char *data, size_t n);
void exchange_upstream_end(struct exchange *ex, int error);
void exchange_tunnel_in(struct exchange *ex, const char *data, size_t n);

/* Gives the client another answer than the one that comes in; set in exchange->filter before the
 * answer begins, for one exchange. Without one the bytes go through uncopied. A filter appends to
 * out, which is sent and emptied after each call; it never ends the exchange. Tunnels are not
 * filtered. */
struct relay_filter {
    /* The answer's head. Appends the status line and the fields that the client gets, each with
     * CRLF; those that frame the body, and the empty line, follow by themselves. Where the client
     * has had a head already (exchange->answer_begun), nothing of that is to be appended. */
    void (*head)(struct exchange *ex, const struct http_head *h, const char *bytes,
                 struct buf *out);
    /* A piece of the body, free of its framing. */
    void (*data)(struct exchange *ex, const char *data, size_t n, struct buf *out);
    /* The end of the body; problem: it ends before its time, or never came. Where something is
     * appended to say so, the client's answer ends properly with it; else it is cut visibly. */
    void (*end)(struct exchange *ex, const struct problem *problem, struct buf *out);
    /* Frees exchange->filtering; once, when the exchange is over. May be NULL. */
    void (*fini)(struct exchange *ex);
};

/* For an answer that has begun and cannot be finished: lets the filter say why. False: there is no
 * filter, or it had nothing to say; then nothing was sent. True: that was the exchange's end. */
bool exchange_filter_fail(struct exchange *ex, const struct problem *p);

#endif
