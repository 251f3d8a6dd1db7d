/* output.h: what commands write, on stdout and stderr, safe for a terminal. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/pure/check.h"

/* "wharf: text" on stderr. Line feeds stay, and further lines are indented. */
void output_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Text that is safe already, as it is, on stdout; and out at once. */
void output_safe(const struct buf *text);
/* A whole JSON text and a line feed; the bytes as they came, but for characters that a terminal
 * would obey: they are given as JSON's own escapes. */
void output_json(const char *json, size_t n);
/* True once stdout did not take something: who prints without end stops then. */
bool output_broken(void);
/* Writes what is still buffered. 0, or -1 after saying why when stdout did not take everything. */
int output_finish(void) warn_unused;

#endif
