/* queue_text.h: those who wait, in words. */
#ifndef CLI_QUEUE_TEXT_H
#define CLI_QUEUE_TEXT_H

#include "base/buf.h"

struct json_t; /* <jansson.h> */

/* "qwen", "lease train, 6GiB on 2 GPUs, mlx": of an entry of /wharf/queue. Not escaped. */
void queue_text_who(struct buf *out, const struct json_t *w);

#endif
