/* inflight.h: what is told of the recorded requests that are under way, in llama-swap's form: when
 * somebody asks, and, while somebody follows the changes (changes.h), as they come, change and go.
 * Whoever lags behind those begins anew with all of them. */
#ifndef SERVER_INFLIGHT_H
#define SERVER_INFLIGHT_H

#include <stdint.h>

#define CHANGE_INFLIGHT "inflight"

struct buf;
struct recording;
struct server;

/* A JSON array of all, the oldest first. */
void inflight_put_all(const struct server *s, struct buf *out);
/* What followers begin with. */
void inflight_put_snapshot(struct server *s, struct buf *out);

/* It is new, or its answer begins. */
void inflight_changed(struct recording *t);
/* Its answer has more bytes: told four times a second at most. */
void inflight_grown(struct recording *t);
void inflight_gone(struct server *s, uint64_t id);

#endif
