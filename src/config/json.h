/* json.h: nodes → JSON text, as llama-swap would send it. Private to config/. */
#ifndef CONFIG_JSON_H
#define CONFIG_JSON_H

#include "config/diag.h"
#include "config/node.h"

/* One JSON text (RFC 8259) without blanks: objects in ascending byte order of their keys, numbers
 * as Go's encoding/json writes them, so that equal values are equal texts. In arena a. A number
 * that JSON cannot say (.nan, .inf) is an error in d, and null in the text. */
char *json_from_node(struct arena *a, struct diag *d, const struct node *n)
    __attribute__((returns_nonnull));

#endif
