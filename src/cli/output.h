/* output.h: what commands write, on stdout and stderr, safe for a terminal.
 *
 * With --json, what fails ends with one object {"error":{"code","message"}}: the daemon's own where
 * it refused, else made of what was complained of. It goes to stdout, as all of the answer does;
 * where stdout is another program's, everything is JSON on stderr. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/pure/check.h"

enum output_mode {
    OUTPUT_TEXT,
    OUTPUT_JSON,        /* on stdout; sentences for people still go to stderr */
    OUTPUT_JSON_STDERR, /* stdout is another program's; stderr has a JSON object a line */
};

/* OUTPUT_TEXT until it is called. */
void output_use(enum output_mode mode);
enum output_mode output_mode(void);

/* Why the command fails: "wharf: text" on stderr. Line feeds stay, and further lines are indented.
 */
void output_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same of what is no failure. */
void output_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What programs may know the failure by, static; without, "usage" or "failed". */
void output_code(const char *code);
/* The daemon's own words for the failure: a whole JSON object, copied. */
void output_refusal(const char *json, size_t n);
/* With JSON, prints the error object, if anything was complained of. Once; is_usage: of the exit
 * status. */
void output_failure(bool is_usage);
/* Text that is safe already, as it is, on stdout; and out at once. */
void output_safe(const struct buf *text);
/* A whole JSON text and a line feed; the bytes as they came, but for characters that a terminal
 * would obey: they are given as JSON's own escapes. */
void output_json(const char *json, size_t n);
/* The same on stderr. */
void output_json_line(const char *json, size_t n);
/* True once stdout did not take something: who prints without end stops then. */
bool output_broken(void);
/* Writes what is still buffered. 0, or -1 after saying why when stdout did not take everything. */
int output_finish(void) warn_unused;

#endif
