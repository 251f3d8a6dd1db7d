/* layout.h: a screen of `wharf top`, made of what is known and of where the person is in it: the
 * same every time, without a terminal. */
#ifndef CLI_TOP_LAYOUT_H
#define CLI_TOP_LAYOUT_H

#include "cli/top/cells.h"
#include "cli/top/known.h"
#include "cli/top/view.h"

/* Below that, the screen says so and nothing else. */
#define TOP_WIDTH_MIN 80
#define TOP_HEIGHT_MIN 24

/* Fills cells, which are as large as the screen. now_ns: on the clock of top_now_ns; ages and what
 * is counted down go on from when the answers came, as long as the daemon answers. where: its
 * address. */
void top_layout(const struct top_known *k, const struct top_view *v, const char *where,
                uint64_t now_ns, struct top_cells *cells);

#endif
