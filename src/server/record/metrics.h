/* metrics.h: /metrics, in Prometheus' text format 0.0.4. Each metric is a row of a table in
 * metrics.c, with its help and a function that writes its samples. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

struct buf;
struct server;

void metrics_write(const struct server *s, struct buf *out);

#endif
