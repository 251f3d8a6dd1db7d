/* termfilter.h: what others print, for a terminal: text and colours pass, what drives the terminal
 * does not.
 *
 * Of the control sequences (ECMA-48) SGR passes, CSI with numbers alone and a final m, where
 * colours are wanted. All others go, with what they hold: cursor movement, titles, the clipboard,
 * questions that the terminal would answer as if typed. So do control characters but newline and
 * tab; a carriage return that no newline follows becomes one. What is no UTF-8 becomes U+FFFD.
 * Sequences and characters may come in pieces. No I/O. */
#ifndef BASE_TERMFILTER_H
#define BASE_TERMFILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define TERMFILTER_SGR_MAX 48

/* All zero is a filter that has seen nothing, and lets no colours through. */
struct termfilter {
    bool colours;
    int state; /* private, as is the rest */
    char held[TERMFILTER_SGR_MAX];
    size_t held_n;
};

/* Appends what may be seen of it. */
void termfilter_feed(struct termfilter *f, const char *data, size_t n, struct buf *out);

#endif
