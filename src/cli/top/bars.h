/* bars.h: a device's memory as the pieces of a bar. */
#ifndef CLI_TOP_BARS_H
#define CLI_TOP_BARS_H

#include <stdint.h>

struct json_t; /* <jansson.h> */

#define TOP_PARTS_MAX 64
#define TOP_LABEL_MAX 64

enum top_part_kind {
    TOP_PART_MODEL,
    TOP_PART_LEASED,
    TOP_PART_FOREIGN,
    TOP_PART_SETTLING,
    TOP_PART_RESERVED,
    TOP_PART_FREE,
    TOP_PART__COUNT
};

struct top_part {
    enum top_part_kind kind;
    char label[TOP_LABEL_MAX]; /* a model's id, a lease's name, or the kind in a word; safe */
    uint64_t bytes;
};

struct top_bar {
    struct top_part parts[TOP_PARTS_MAX];
    uint32_t count;
    uint64_t total_bytes; /* 0: not known, and then there are no parts */
};

/* Of a device of the status; queue may be NULL: leases are then one piece. Models are charged in
 * equal shares on the devices that they are on. The last piece is what is free. */
void top_bar_of(const struct json_t *status, const struct json_t *queue,
                const struct json_t *device, struct top_bar *ret);
/* How many of `width` columns each piece has: by its share, one at least as far as there are so
 * many, all together width. */
void top_bar_share(const struct top_bar *bar, uint32_t width, uint32_t columns[TOP_PARTS_MAX]);

#endif
