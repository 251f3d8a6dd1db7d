/* archive_request.h: what the archive keeps of a request. */
#ifndef SERVER_ARCHIVE_REQUEST_H
#define SERVER_ARCHIVE_REQUEST_H

struct recording;
struct store_row;

/* At its end; row: as llama-swap's history has it. */
void archive_request(const struct recording *t, const struct store_row *row);

#endif
