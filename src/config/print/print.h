/* print.h: the parts of config_print. Private to config/. A depth is one of indentation, two blanks
 * each. */
#ifndef CONFIG_PRINT_PRINT_H
#define CONFIG_PRINT_PRINT_H

#include "config/config.h"
#include "config/settings.h"

void print_indent(struct buf *out, int depth);
/* The rows of a scope that have a field, a line each; `from` is the struct that they are in. */
void print_scope(struct buf *out, int depth, enum scope scope, const void *from);
/* One line; nothing where there are no texts. */
void print_texts(struct buf *out, int depth, const char *key, const struct config_strings *texts);
/* One line: the text in quotes. */
void print_text(struct buf *out, int depth, const char *key, const char *text);
/* In the largest unit that is exact, unlike units_format_bytes. */
void print_bytes(struct buf *out, uint64_t bytes);
void print_duration(struct buf *out, uint64_t ns);
/* Such as "id":, without the end of the line. */
void print_key(struct buf *out, int depth, const char *key);
/* One line of JSON, with *** for texts whose keys sound secret; nothing where it is "{}". */
void print_json(struct buf *out, int depth, const char *key, const char *json);
/* In quotes, secrets masked, and the end of the line. */
void print_command(struct buf *out, const char *text);
/* Same of an address, whose query may hold a key. */
void print_url(struct buf *out, const char *url);

/* Of a model: proxy, or endpoint and model. */
void print_where(struct buf *out, const struct config_model *m);
/* Of a model: devices, or vram, gpus and gpuCount. */
void print_placements(struct buf *out, const struct config_model *m);
/* Of a model: suspend. */
void print_sleep(struct buf *out, const struct config_model *m);

/* apiKeys, keys, hosts, cors, socket. */
void print_access(struct buf *out, const struct config *c);
/* routing: and all below it. */
void print_routing(struct buf *out, const struct config *c);
/* classes, gates, modes, hooks, host. */
void print_policies(struct buf *out, const struct config *c);

/* filters: where there are some. */
void print_filters(struct buf *out, int depth, const struct config_filters *f);
/* What depends on a model's requests and lists: filters, metadata, capabilities, compat. */
void print_model_faces(struct buf *out, const struct config_model *m);
/* peers, selectors, profiles. */
void print_names(struct buf *out, const struct config *c);
/* keys, logs, history, captures, measurements, upstream. */
void print_observe(struct buf *out, const struct config *c);
/* The value of a secret. */
#define PRINT_MASK "***"
/* Whether a name with these bytes sounds like that of a secret. */
bool print_is_secret(const char *name, size_t n);

#endif
