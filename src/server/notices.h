/* notices.h: the core's notices and decisions as public events and log lines. */
#ifndef SERVER_NOTICES_H
#define SERVER_NOTICES_H

struct effect;
struct server;

void notices_publish(struct server *s, const struct effect *e);
void notices_decision(struct server *s, const struct effect *e);

#endif
