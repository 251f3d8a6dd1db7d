/* key.h: a key with a name and a class. Texts are owned by the struct config; the key itself never
 * enters a log. */
#ifndef CONFIG_KEY_H
#define CONFIG_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "config/words.h"

struct config_key {
    char *key;  /* also in the configuration's api_keys */
    char *name; /* "" when not given */
    bool has_class;
    enum config_class class;     /* of requests that name none; without has_class: the model's */
    enum config_class class_max; /* the best that its requests can have */
    bool has_wait;
    uint64_t wait_ns_max; /* how long they wait at most; 0: not at all */
};

#endif
