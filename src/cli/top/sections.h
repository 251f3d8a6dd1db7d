/* sections.h: the devices, the models and the queue, each into its lines of the screen. */
#ifndef CLI_TOP_SECTIONS_H
#define CLI_TOP_SECTIONS_H

#include <stdint.h>

#include "cli/top/cells.h"
#include "cli/top/known.h"
#include "cli/top/view.h"

/* All borrowed. */
struct top_part_of {
    const struct top_known *known;
    const struct top_view *view;
    struct top_cells *cells;
    double past_s;     /* since the answers came */
    uint32_t y, lines; /* where, and how many, with the heading */
    uint32_t each;     /* lines of one entry */
};

/* Each shows those around the one that is selected. */
void top_put_devices(const struct top_part_of *p);
void top_put_models(const struct top_part_of *p);
void top_put_queue(const struct top_part_of *p);

/* The first entry that is shown, of count, where so many fit: the selected one is among them. */
size_t top_first_shown(size_t selected, size_t count, size_t fit);
enum top_style top_heading_style(const struct top_part_of *p, enum top_section section);

#endif
