/* llhttp_peer.h: what llhttp, the parser of Node.js, makes of the head of an HTTP message.
 *
 * It is a second opinion for tests; wharf itself does not link with it. The headers of the two
 * parsers use the same names for different things, so llhttp's stays in the .c and this one knows
 * neither. llhttp is as strict as it can be told to be: no lenient flag is set. */
#ifndef TESTS_LLHTTP_PEER_H
#define TESTS_LLHTTP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than wharf takes, so that one too many shows. */
#define PEER_FIELDS_MAX 128

enum peer_framing { PEER_NONE, PEER_LENGTH, PEER_CHUNKED, PEER_UNTIL_CLOSE };

struct peer_message {
    bool response, to_head; /* to_head: it answers a HEAD request */
    const char *method;     /* is read before the bytes of data; NULL: they begin with their own */
    const char *data;       /* the head, from its first byte to the LF that ends it */
    size_t len;
};

struct peer_span {
    const char *at; /* in the message's data or method; NULL when len is 0 */
    size_t len;
};

struct peer_field {
    struct peer_span name, value; /* the value with the white space behind it */
};

struct peer_head {
    char refused[128]; /* why llhttp does not take these bytes, all of them, for a head; or "" */
    struct peer_span method, target, reason;
    unsigned major, minor, status;
    /* Both as it treated the bytes that came next, but for a length of more than five. */
    enum peer_framing framing;
    uint64_t content_length;
    bool keep_alive, upgrade;
    size_t field_count;
    struct peer_field fields[PEER_FIELDS_MAX];
};

/* Why there is no llhttp in this build; NULL when there is. */
const char *peer_missing(void);
/* As "8.1.0". */
const char *peer_version(void);
unsigned peer_version_major(void);

/* The message's bytes are borrowed for as long as the spans are used. Not without an llhttp. */
void peer_read(const struct peer_message *m, struct peer_head *ret_head);

#endif
