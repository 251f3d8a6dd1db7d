/* complete_line.h: a bash command line up to its cursor, taken apart as bash and readline do.
 *
 * Quotes are those of the POSIX shell (section 2.2). Nothing is expanded. Of the word before the
 * cursor, readline replaces only what follows the last character that breaks words for it
 * ($COMP_WORDBREAKS, with ':' and '=' in it), or the quote that is still open. */
#ifndef CLI_COMPLETE_LINE_H
#define CLI_COMPLETE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct complete_line {
    char **words;   /* owned; without their quotes. The last one is being typed, and may be empty */
    size_t *starts; /* owned; where each begins in the line, its quotes included */
    uint32_t count; /* 1 at least */
    size_t kept;    /* bytes of the last word that readline leaves as they are */
    char quote;     /* ' or ", when it is open at the end; else '\0' */
};

void complete_line_read(const char *line, const char *breaks, struct complete_line *ret);
void complete_line_fini(struct complete_line *l);

/* Appends what takes the place of the replaced part so that the last word becomes `word`, quoted as
 * that part is. False, with nothing appended: it does not begin as the word does, or cannot stand
 * in such quotes. */
bool complete_line_put(const struct complete_line *l, const char *word, struct buf *out);

#endif
