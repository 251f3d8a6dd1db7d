/* merge.h: one configuration out of several.
 *
 * Mappings are merged key by key, lists follow each other, and two values of one key must be the
 * same unless one of them is empty. What has a name of its own, such as a model, stands in one
 * source as a whole: the same name in a second one is an error. */
#ifndef CONFIG_MERGE_H
#define CONFIG_MERGE_H

#include "config/diag.h"
#include "config/node.h"

/* Adds `from`, whose nodes become part of root. Both are mappings of a finished source each. */
void merge_root(struct arena *a, struct diag *d, struct node *root, const struct node *from);

#endif
