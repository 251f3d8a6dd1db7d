/* access.h: one line in the log for each request that is over, in llama-swap's form:
 *
 *   Request IP "METHOD PATH PROTOCOL" STATUS BYTES "USER-AGENT" DURATION
 *
 * The address is the first of X-Forwarded-For, else X-Real-IP, else the connection's; the query is
 * not shown, since it may hold what is nobody's business. */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include <stddef.h>

struct access;
struct exchange;

/* NULL where no line will be written: the log's level forbids it, or the path is one that is asked
 * all the time (/wol-health, /api/performance, /metrics). */
struct access *access_begin(const struct exchange *ex);
/* The rest take NULL, too. */
void access_status(struct access *a, unsigned status);
void access_bytes(struct access *a, size_t n);
/* Writes the line; without a status the client has left before it got an answer: 499. Frees it. */
void access_end(struct access *a);

#endif
