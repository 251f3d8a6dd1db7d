/* rewrite.h: a model's filters, applied to a JSON body by splicing: what they do not name stays
 * byte for byte as it was. */
#ifndef SERVER_PROXY_REWRITE_H
#define SERVER_PROXY_REWRITE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/pure/check.h"
#include "config/filters.h"

struct body;

/* A path that leads below the body's own members has that member's whole value put together in
 * memory; no larger one. */
#define REWRITE_VALUE_MAX (4 * 1024 * 1024)

/* A member that is set where the body has none of that name, once the filters have been through;
 * always: whatever the body has. */
struct rewrite_fallback {
    const char *name, *json; /* no path; one JSON text */
    bool always;
    const struct rewrite_fallback *next; /* a further one; NULL: none */
};

/* Whether the filters have anything to do. */
bool rewrite_is_needed(const struct config_filters *f, const char *name);
/* Strips, then sets, then sets what the filters say of `name`, each in its order; then the
 * fallbacks, which may be NULL. body: the whole of one valid JSON object, without edits yet; the
 * outcome stands in its edits. scratch: of SERVER_SCRATCH_BYTES. 0 or, without an edit made, a
 * negative error with a sentence in why: BODY_INVALID when a member to be changed stands there
 * twice, or where a list would need a member; BODY_TOO_LARGE; BODY_NO_ROOM. */
int rewrite_body(struct body *body, const struct config_filters *f, const char *name,
                 const struct rewrite_fallback *fallback, char *scratch,
                 struct buf *why) warn_unused;

#endif
