/* markup.h: text inside SVG and HTML. */
#ifndef SIMULATE_MARKUP_H
#define SIMULATE_MARKUP_H

#include "base/buf.h"

/* Appends text, which is UTF-8, so that it is text and nothing else wherever it stands, between
 * tags or in an attribute with quotes: markup is escaped, and what XML 1.0 does not allow even as a
 * reference becomes a space. */
void markup_text(struct buf *out, const char *text);

#endif
