/* cors.h: pages of other sites may read what models answer (the Fetch standard, "CORS protocol").
 */
#ifndef SERVER_PROXY_CORS_H
#define SERVER_PROXY_CORS_H

struct buf;
struct exchange;

/* Appends the fields by which a browser lets the page that sent a request for a model have its
 * answer, errors too: its Origin is allowed, cookies and the like are not. At most 1 KiB; nothing
 * for requests that no page sent, nor on wharf's own paths. The request's head must still be there.
 */
void cors_put_fields(const struct exchange *ex, struct buf *out);

#endif
