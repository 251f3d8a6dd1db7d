/* access.h: one line in the log for each request that is over, in llama-swap's form:
 *
 *   Request IP "METHOD PATH PROTOCOL" STATUS BYTES "USER-AGENT" DURATION
 *
 * The forms that have fields have, besides that text, method, path, status, bytes, ms, client,
 * user_agent, key (its name), model, peer, waited_ms (until it could go to its model), request
 * (wharf's number of it) and request_id (X-Request-Id), as far as there are any.
 *
 * The address is the first of X-Forwarded-For, else X-Real-IP, else the connection's; the query is
 * not shown, since it may hold what is nobody's business. */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include <stddef.h>

struct access;
struct exchange;

/* NULL where no line will be written: the log's level or log.access forbids it, or the path is one
 * that is asked all the time (/wol-health, /api/performance, /metrics). */
struct access *access_begin(const struct exchange *ex);
/* The rest take NULL, too. */
void access_granted(struct access *a);
void access_status(struct access *a, unsigned status);
void access_bytes(struct access *a, size_t n);
/* Writes the line, unless log.access wants those of errors alone and it is none; without a status
 * the client has left before it got an answer: 499. Frees it. */
void access_end(const struct exchange *ex, struct access *a);
/* Frees it without a line. */
void access_forget(struct access *a);

#endif
