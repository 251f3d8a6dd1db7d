/* svg.h: a plot of who was where: a lane for each model on each device, and below them how many
 * requests waited. One file, without anything outside it. */
#ifndef SIMULATE_SVG_H
#define SIMULATE_SVG_H

#include "base/buf.h"
#include "config/config.h"
#include "simulate/timeline.h"

struct svg_panel {
    const char *title;
    const struct timeline *timeline;
};

/* Panels stand one below the other. */
void svg_write(struct buf *out, const struct config *c, const struct svg_panel *panels,
               uint32_t count);

#endif
