/* notices.h: the core's notices and decisions as public events and log lines. */
#ifndef SERVER_NOTICES_H
#define SERVER_NOTICES_H

struct effect;
struct server;

void notices_publish(struct server *s, const struct effect *e);
void notices_decision(struct server *s, const struct effect *e);
/* waiting, granted, refused: published only while somebody follows or a hook wants them,
 * since they come by the thousand. */
void notices_waiter(struct server *s, const char *type, const struct effect *e);

#endif
