/* swaps.h: what the archive keeps of models that come, go, move, sleep and wake. */
#ifndef SERVER_SWAPS_H
#define SERVER_SWAPS_H

struct effect;
struct server;
struct swaps;

void swaps_init(struct server *s);
void swaps_fini(struct server *s);
/* A DECISION: for whom it leaves. */
void swaps_decided(struct server *s, const struct effect *e);
/* A notice, before it is published. */
void swaps_note(struct server *s, const struct effect *e);

#endif
