/* redact.h: header fields as they are shown to people: without what lets somebody in. */
#ifndef SERVER_REDACT_H
#define SERVER_REDACT_H

struct buf;
struct http_head;

/* Appends a JSON object of the fields, the first of each name, spelled as in Content-Type. Values
 * that are secrets are "[REDACTED]". */
void redact_fields(const struct http_head *h, const char *bytes, struct buf *out);

/* Overwrites the values that are secrets, for a head that is kept. */
void redact_erase(const struct http_head *h, char *bytes);

#endif
