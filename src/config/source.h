/* source.h: YAML text → a tree of nodes. The only place that knows libfyaml.
 *
 * Anchors, aliases and `<<` merges are resolved here; duplicate keys, keys that are not text, a
 * second document, aliases that contain themselves and anything beyond the limits below are
 * errors. Source of the rules: YAML 1.2.2, and the merge key of YAML 1.1. */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H

#include "config/diag.h"
#include "config/node.h"

#define SOURCE_BYTES_MAX (4u << 20) /* and of text that aliases repeat */
#define SOURCE_NODES_MAX 100000u    /* with aliases expanded */
#define SOURCE_DEPTH_MAX 64u

/* Reads the file into the arena. NULL when it cannot; the reason is in d. */
const char *source_read(struct arena *a, struct diag *d, const char *path, size_t *ret_n);
/* The top-level mapping; empty for an empty document. NULL when the text is no usable YAML. */
struct node *source_parse(struct arena *a, struct diag *d, const char *text, size_t n);

#endif
