/* text.h: text from elsewhere made safe for a terminal, as wide as it is, and wrapped.
 *
 * Names, logs and messages of the daemon can hold what a model or a client chose; a terminal that
 * is shown escape sequences obeys them. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum text_mode {
    TEXT_LINE, /* everything that is no printable character is shown as \xNN, \n, \u{NNNN} */
    TEXT_LOG,  /* as TEXT_LINE, but line feeds and tabs stay */
    TEXT_JSON, /* the text is valid JSON and stays so: \uNNNN, and spaces for line feeds */
};

/* Appends text to out with control bytes (C0, DEL, C1), bytes that are not UTF-8, and characters
 * that reorder or hide text (bidirectional controls, line separators) escaped.
 * more: further bytes may follow, so a character that is cut off at the end is left for the next
 * call. Returns how many bytes were taken, which is n without more. */
size_t text_escape(struct buf *out, enum text_mode mode, const char *text, size_t n, bool more);
void text_escape_all(struct buf *out, enum text_mode mode, const char *text);

/* The character at text, which is not empty, and how many bytes it has; what is not UTF-8 is
 * U+FFFD, a byte each. */
size_t text_char(const char *text, uint32_t *ret);
/* How many columns of a screen it takes: 2 for the wide ones of East Asia and for pictures, 0 for
 * what is set on top of the character before it (Unicode, UAX #11). */
size_t text_char_width(uint32_t c);
size_t text_width(const char *text);
/* Shortens text[0 .. len) to so many columns: how many bytes of it are left, behind which the
 * ellipsis has to stand. A number is left out rather than cut, since what is left of it is another
 * one; one that the text begins with is cut all the same. width: more than the ellipsis has. */
size_t text_cut(const char *text, size_t width);
/* What stands for what was left out, by the locale: one character, or three dots. */
const char *text_ellipsis(void);
/* Whether the locale of the environment has UTF-8. */
bool text_locale_is_utf8(void);
/* How wide stdout is, by $COLUMNS or the terminal itself; 0: it is no terminal. */
size_t text_terminal_columns(void);

/* Appends paragraphs, wrapped before column `width`, all lines but the first indented by indent
 * spaces, and the first too unless `column` says how far the present line already goes. */
void text_wrap(struct buf *out, const char *text, size_t column, size_t indent, size_t width);
/* Appends lines as they are, but for those that are wider than width: these are wrapped, and go on
 * indented by four more. 0: none is. */
void text_wrap_lines(struct buf *out, const char *text, size_t width);

#endif
