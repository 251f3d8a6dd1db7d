/* screen.h: the terminal: cells onto it, keys from it. The one part of `wharf top` that needs
 * ncurses; screen_none.c stands in where it was built without. */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pure/check.h"
#include "cli/top/cells.h"

/* NULL: it can be opened; else why not, in a sentence. */
const char *screen_lack(void);
/* Takes over the terminal of stdin and stdout. 0; or -1: it cannot draw (TERM=dumb), or cannot be
 * had. */
int screen_open(bool has_colours) warn_unused;
/* Gives it back as it was. */
void screen_close(void);
/* As it is now, also after it was resized. */
void screen_size(uint32_t *ret_width, uint32_t *ret_height);
void screen_draw(const struct top_cells *cells);
/* The next key, a character or an enum top_key; 0: none is there. */
uint32_t screen_key(void);

#endif
