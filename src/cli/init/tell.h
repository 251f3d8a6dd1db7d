/* tell.h: what `wharf init` says of what it found and wrote, to a person or a program. Pure. */
#ifndef CLI_INIT_TELL_H
#define CLI_INIT_TELL_H

#include "base/buf.h"
#include "cli/init/found.h"

/* The commands that come next are for that file and that address. Safe for a terminal. */
void tell_text(const struct found *f, const char *file, const char *listen, struct buf *out);
void tell_json(const struct found *f, const char *file, struct buf *out);

#endif
