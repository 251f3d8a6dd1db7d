/* popup.h: what lies over the sections: the keys, a choice, a question. */
#ifndef CLI_TOP_POPUP_H
#define CLI_TOP_POPUP_H

#include "cli/top/cells.h"
#include "cli/top/known.h"
#include "cli/top/view.h"

/* Nothing where none is open. */
void top_put_popup(const struct top_known *k, const struct top_view *v, struct top_cells *cells);

#endif
