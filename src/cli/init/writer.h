/* writer.h: what was found, as a configuration with comments. Pure: the same finds and wishes are
 * the same text. */
#ifndef CLI_INIT_WRITER_H
#define CLI_INIT_WRITER_H

#include "base/buf.h"
#include "cli/init/found.h"

#define WRITER_LISTEN_DEFAULT "127.0.0.1:8080"

struct writer_wishes {
    const char *file;   /* what it will be called, for the commands in comments */
    const char *listen; /* config_parse_listen takes it */
};

/* The ids are given already (names_assign); every path is quote_is_word, every name quote_is_text.
 */
void writer_write(const struct found *f, const struct writer_wishes *wishes, struct buf *out);

/* Whether an address is this machine's alone. */
bool writer_is_loopback(const char *listen);

#endif
