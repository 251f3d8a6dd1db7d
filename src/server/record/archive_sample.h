/* archive_sample.h: what the archive keeps of the devices, once a second. */
#ifndef SERVER_ARCHIVE_SAMPLE_H
#define SERVER_ARCHIVE_SAMPLE_H

#define ARCHIVE_SAMPLE_MS 1000

struct server;

/* A row for each device, and one for those who wait and who are served. */
void archive_sample(struct server *s);

#endif
