/* archive_decision.h: what the archive keeps of decisions. */
#ifndef SERVER_ARCHIVE_DECISION_H
#define SERVER_ARCHIVE_DECISION_H

struct server;

/* The last one that was noted, as often as it has been repeated since it was kept: before another
 * one follows, and from time to time. */
void archive_decision(struct server *s);

#endif
