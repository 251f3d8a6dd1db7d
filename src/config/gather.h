/* gather.h: what config.c needs of sources.c: several files as one tree. */
#ifndef CONFIG_GATHER_H
#define CONFIG_GATHER_H

#include "config/diag.h"
#include "config/node.h"
#include "config/sources.h"

/* The merged top-level mapping, environment variables expanded; NULL after an error that leaves
 * nothing to go on with. */
struct node *sources_gather(struct arena *a, struct diag *d, const struct config_sources *s);
/* The paths of a folder's sources, by name, SOURCES_MAX at most. 0 or an errno. */
int sources_list(struct arena *a, const char *dir, const char *const **ret_paths,
                 uint32_t *ret_n) warn_unused;

#endif
