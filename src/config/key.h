/* key.h: a key, or a user of this machine in its place, and what that may do. Texts are owned by
 * the struct config; the key itself never enters a log. */
#ifndef CONFIG_KEY_H
#define CONFIG_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "config/strings.h"
#include "config/words.h"

struct config_model;

/* More keys than this, those of files included, are a configuration error; and a longer one. */
#define CONFIG_KEYS_MAX 4096
#define CONFIG_KEY_BYTES_MAX 4096

struct config_key {
    char *key;  /* "" for a user */
    char *name; /* "" when not given */
    char *file; /* where it was read; "" when it stands in the configuration */
    char *user; /* as it was given; "" when it is a key */
    uint32_t uid;
    uint32_t entry; /* of `keys`; CONFIG_KEY_PLAIN for one of apiKeys */
    bool has_class;
    enum config_class class;     /* of requests that name none; without has_class: the model's */
    enum config_class class_max; /* the best that its requests can have */
    bool has_wait;
    uint64_t wait_ns_max;         /* how long they wait at most; 0: not at all */
    struct config_strings models; /* patterns; none: all models */
    bool admin_given, admin;      /* as it stands there */
    bool administers;             /* as it is: see settle_admins in keys.c */
    bool read_only;
};

#define CONFIG_KEY_PLAIN UINT32_MAX

/* Whether one of its patterns fits; any does where it has none. */
bool config_key_fits(const struct config_key *k, const char *name);
/* Whether it may use the model: one of its patterns fits the id, or another name of it. */
bool config_key_fits_model(const struct config_key *k, const struct config_model *m);

#endif
