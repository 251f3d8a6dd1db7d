/* settings.h: settings.def as data. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scope {
#define SCOPE(name, where) SCOPE_##name,
#include "config/settings.def"
    SCOPE_COUNT,
    SCOPE_NONE
};

enum setting_id {
#define SETTING(scope, key, ...) SET_##scope##_##key,
#define NEST(scope, key, ...) SET_##scope##_##key,
#define NEST_OR(scope, key, ...) SET_##scope##_##key,
#define CHOICE(scope, key, ...) SET_##scope##_##key,
#include "config/settings.def"
    SETTING_COUNT
};

enum setting_type {
    TYPE_BOOL,
    TYPE_COUNT,
    TYPE_SIZE,
    TYPE_DURATION,
    TYPE_SECONDS,
    TYPE_WAIT,
    TYPE_SHARE,
    TYPE_CHOICE,
    TYPE_TEXT,
    TYPE_TRIMMED,
    TYPE_TEXTS,
    TYPE_ONE_OR_MORE,
    TYPE_COUNTS,
    TYPE_PAIRS,
    TYPE_EACH_TEXT,
    TYPE_EACH_TEXTS,
    TYPE_VRAM,
    TYPE_MEGABYTES,
    TYPE_ANY,
    TYPE_EACH_ANY,
    TYPE_MACROS, /* handled before binding */
    TYPE_MAP,    /* one mapping of the inner scope */
    TYPE_MAPS,   /* id: mapping of the inner scope */
    TYPE_LIST,   /* a list of mappings of the inner scope */
};

enum setting_low { LOW_REFUSED, LOW_RAISED, LOW_UNSET, LOW_ZERO_UNSET, LOW_MINUS_1 };

struct setting {
    enum scope scope;
    const char *key;
    enum setting_type type;
    enum scope inner;         /* of MAP, MAPS and LIST */
    const char *const *words; /* of a CHOICE or NEST_OR, by their numbers; NULL follows the last */
    const char *def;          /* as it would be written; "" where there is none */
    int64_t min, max;
    enum setting_low low;
    const char *unit; /* of a COUNT */
    bool has_field;
    size_t offset, size; /* of the field, in the struct that belongs to the scope */
    const char *doc;
};

extern const struct setting settings[SETTING_COUNT];

/* "models.ID.timeouts" */
const char *setting_scope_path(enum scope scope);
/* Its keys are names that people choose: it has one row, of type EACH_TEXT or EACH_TEXTS. */
bool setting_takes_names(enum scope scope);
/* The rows of a scope: from the first, up to but not including the end. */
uint32_t setting_first(enum scope scope);
uint32_t setting_end(enum scope scope);
/* The row, or NULL when the scope has no such key. */
const struct setting *setting_find(enum scope scope, const char *key);
/* The known key nearest to one that is not known, or NULL. */
const char *setting_nearest(enum scope scope, const char *key);
/* A key that this scope lacks and another has: the other's path; else NULL. */
const char *setting_elsewhere(enum scope scope, const char *key);

#endif
