/* quote.h: texts from elsewhere in a configuration: nothing that a file or a model is called may
 * become structure, a comment, a macro or another word of a command. Pure. */
#ifndef CLI_INIT_QUOTE_H
#define CLI_INIT_QUOTE_H

#include <stdbool.h>

#include "base/buf.h"

/* Whether a text can be quoted at all: it is UTF-8 without control characters. */
bool quote_is_text(const char *text);
/* A scalar in a block of YAML, on one line. text: quote_is_text. */
void quote_scalar(struct buf *out, const char *text);
/* Whether a text can be a word of a `cmd` as well: "${PORT}" and "${PID}" are filled in after the
 * words were parted, wherever they stand. */
bool quote_is_word(const char *text);
/* One word of a `cmd` (config/command.h), or of a shell; no part of it is taken for a macro. */
void quote_word(struct buf *out, const char *word);
/* Whether quote_word leaves it as it is. */
bool quote_word_is_plain(const char *word);

#endif
